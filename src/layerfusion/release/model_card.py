"""The model card of a shipped detector: plain sentences around numbers that `facts` computes.

Its headings and the fields at its top are those of Hugging Face's model cards.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from huggingface_hub import EvalResult, ModelCardData

from layerfusion.analysis.sources import FEWEST_IMAGES, UNKNOWN
from layerfusion.data.manifest import CLASSES
from layerfusion.images.degradations import DEGRADATIONS, Jpeg, Launder
from layerfusion.metrics.uncertainty import LEVEL, Interval
from layerfusion.model.known_weights import KNOWN, KnownWeights
from layerfusion.provenance import processor_name
from layerfusion.release.facts import (
    REAL,
    SYNTHETIC,
    Facts,
    Rates,
    Slice,
    by_generator,
    by_size,
    by_source,
    by_style,
    operating_point,
    rates,
    real_illustrations,
    roc_auc,
    shared_sources,
    worst_source,
)
from layerfusion.runs.conditions import CONDITIONS

LICENCE = "apache-2.0"  # the project's, of the head
NOT_MEASURED = "not measured"


def model_card(facts: Facts) -> str:
    """Return the card as Markdown with YAML before it; the same facts give the same text."""
    parts = [
        _front_matter(facts),
        f"# {_title(facts)}",
        *([f"> {facts.profile.notice}."] if facts.profile.notice else []),
        _details(facts),
        _uses(),
        _start(facts),
        _training(facts),
        _evaluation(facts),
        _failures(facts),
        _not_measured(facts),
        _making(facts),
        _citation(),
    ]
    return "\n\n".join(parts) + "\n"


# --- what it is, and what for ---------------------------------------------------------------------


def _front_matter(facts: Facts) -> str:
    point = operating_point(facts.local, facts.threshold)
    values = {"roc_auc": roc_auc(facts.local), **point}
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type="imagefolder",
            dataset_name="its own validation images",
            metric_type=name,
            metric_value=round(values[name].estimate, 4),
        )
        for name in ("roc_auc", "f1", "precision", "recall")
    ]
    fields = ModelCardData(
        license=LICENCE,
        library_name="layerfusion",
        pipeline_tag="image-classification",
        tags=["synthetic-image-detection", "image-forensics", "clip"],
        model_name=_title(facts),
        eval_results=results,
    )
    return f"---\n{fields.to_yaml()}\n---"


def _title(facts: Facts) -> str:
    return f"layerfusion: {facts.profile.name}, {facts.record.run} run"


def _details(facts: Facts) -> str:
    record, known = facts.record, _known(facts)
    blocks = len(record.block_weights)
    plural = "s" if blocks > 1 else ""
    encoder = known.about if known else f"{_model(facts)}, weights '{_weights(facts)}'"
    licence = f" They have a licence of their own: {known.licence}." if known else ""
    return f"""## Model details

It answers with one number between 0 and 1 how far an image looks as if a program had generated it.

- Head: {record.parameters["head"]:,} parameters in float16, {facts.head_bytes:,} bytes. It weighs
  the class tokens of {blocks} block{plural} of an encoder and classifies their sum.
- Encoder: {encoder}; {record.parameters["frozen"]:,} parameters, frozen. They are not in this
  folder, and were not trained here.{licence}
- Input: the central {facts.profile.images.crop} px square of an RGB image whose shorter side is
  enlarged to {facts.profile.images.min_side} px where it is smaller.
- Licence of the head: {LICENCE}.

{facts.profile.about}"""


def _uses() -> str:
    return """## Uses

### Intended

A baseline that other detectors are compared with; a start for training on images of one's own; a
first sorting of many images that a person then looks at.

### Out of scope

Evidence about any one image. Decisions about people or accounts without a person who looks. Images
of which a part alone was generated or edited. Video. Images that somebody altered to deceive it."""


def _start(facts: Facts) -> str:
    known = _known(facts)
    get = f"{known.command}\n" if known else ""
    return f"""## How to get started

```bash
{get}layerfusion score IMAGES --detector FOLDER
```

`FOLDER` is the one that holds this card. The copy that comes with the package is the default, and
needs no `--detector`. Read `prob` against `threshold`, never against 0.5: it is no calibrated
probability. `label` is 1, synthetic, where `prob >= threshold`."""


# --- training -------------------------------------------------------------------------------------


def _training(facts: Facts) -> str:
    rows, settings, record = facts.training, facts.profile.training, facts.record
    counts = {name: int((rows["label"] == label).sum()) for label, name in CLASSES.items()}
    return f"""## Training

### Training data

{counts["real"]:,} real and {counts["synthetic"]:,} synthetic images, none of them in this folder.
Licences are as the images' own description says; unstated is not free.

{_table(("class", "source", "images", "licence of the images"), _training_rows(facts))}

### Training procedure

Epochs: {len(record.history)}, of which epoch {record.best_epoch} is kept, for its ROC AUC on \
validation images.
Batch: {settings.batch_size} images; learning rate of the head: {settings.head_learning_rate:g}; \
weight decay: {settings.weight_decay:g}; seed: {record.seed}.
After training the head was rounded to float16. That moved a validation logit by at most \
{facts.moved:.2g}."""


def _training_rows(facts: Facts) -> list[Sequence[str]]:
    rows = facts.training.assign(source=facts.training["source"].fillna(UNKNOWN))
    found: list[Sequence[str]] = []
    for label, name in CLASSES.items():
        for source, own in rows[rows["label"] == label].groupby("source"):
            licences = sorted(own["licence"].dropna().unique())
            said = "; ".join(licences) if licences else "not stated"
            found.append((name, str(source), f"{len(own):,}", said))
    return found


# --- evaluation -----------------------------------------------------------------------------------


def _evaluation(facts: Facts) -> str:
    counts = facts.local["label"].value_counts()
    return f"""## Evaluation

### Validation data

{counts[REAL]:,} real and {counts[SYNTHETIC]:,} synthetic images. {_shared(facts)} These images
chose the epoch and the threshold, so the numbers below flatter. Intervals ({LEVEL:.0%}) are over
other images of the same sources, not over other sources or trainings.

### Operating point

The threshold is {facts.threshold:.6g}, that of the largest F1 on the validation images.

{_point_table(facts)}

### Scores

{_conditions_table(facts)}

{_source_section(facts)}

{_style_section(facts)}

### By size

{_rates_table("shorter side", by_size(facts).items())}"""


def _shared(facts: Facts) -> str:
    shared, sources = shared_sources(facts), facts.local["source"].nunique()
    if not shared:
        return f"None of their {sources} sources has training images."
    return f"Of their {sources} sources {len(shared)} also have training images: {_code(shared)}."


def _point_table(facts: Facts) -> str:
    point = operating_point(facts.local, facts.threshold)
    return _table(("rate", "value"), [(name, _percent(value)) for name, value in point.items()])


def _conditions_table(facts: Facts) -> str:
    named = {
        _condition(name): rates(table, facts.threshold) for name, table in facts.scored.items()
    }
    return _rates_table("validation images", named.items())


def _rates_table(what: str, rows: Iterable[tuple[str, Rates]]) -> str:
    head = (what, "images", "ROC AUC", "false alarms", "misses")
    return _table(head, [(name, *_rates(value)) for name, value in rows])


def _source_section(facts: Facts) -> str:
    rows = [
        (CLASSES[one.label], one.name, f"{one.images:,}", _auc(one.roc_auc), _percent(one.errors))
        for one in by_source(facts)
    ]
    head = ("class", "source", "images", "ROC AUC", "errors")
    return f"""### By source

Each source's images against all images of the other class; the worst of each class first. Errors
are false alarms of real sources and misses of synthetic ones.

{_table(head, rows)}"""


def _style_section(facts: Facts) -> str:
    slices = by_style(facts)
    if {one.name for one in slices} <= {UNKNOWN}:
        return "### By style\n\nThe styles of the images are not known."
    return f"""### By style

Generated images of each style against all real images.

{_slice_table("style", slices)}"""


def _slice_table(what: str, slices: Sequence[Slice]) -> str:
    rows = [
        (one.name, f"{one.images:,}", _auc(one.roc_auc), _percent(one.errors)) for one in slices
    ]
    return _table((what, "images", "ROC AUC", "misses"), rows)


# --- what fails, and what nobody knows ------------------------------------------------------------


def _failures(facts: Facts) -> str:
    points = [_worst(facts), _small(facts), *_altered(facts), _drawn(facts), _generators(facts)]
    listed = "\n".join(f"- {point}" for point in points)
    return f"## Known failures and limits\n\n{listed}"


def _worst(facts: Facts) -> str:
    found = {name: worst_source(facts, label) for label, name in CLASSES.items()}
    said = [
        f"{name} `{one.name}` (ROC AUC {_auc(one.roc_auc)}, errors {_percent(one.errors)})"
        for name, one in found.items()
        if one
    ]
    if not said:
        return f"Sources: none has {FEWEST_IMAGES} images, so which is the worst is not measured."
    return (
        f"Sources: the worst with {FEWEST_IMAGES} images or more is {' and '.join(said)}. One "
        "number over all images hides it."
    )


def _small(facts: Facts) -> str:
    said = [
        f"{name}, {value.images:,} images: ROC AUC {_auc(value.roc_auc)}, false alarms "
        f"{_percent(value.false_alarms)}, misses {_percent(value.misses)}"
        for name, value in by_size(facts).items()
    ]
    return f"Small images, by their shorter side. {'; '.join(said)}."


def _altered(facts: Facts) -> list[str]:
    before = rates(facts.local, facts.threshold)
    lines = []
    for name, table in facts.scored.items():
        if name == "local":
            continue
        after = rates(table, facts.threshold)
        lines.append(
            f"{_condition(name).capitalize()}, at the same threshold: ROC AUC "
            f"{before.roc_auc.estimate:.3f} becomes {after.roc_auc.estimate:.3f}, false alarms "
            f"{before.false_alarms.estimate:.1%} become {after.false_alarms.estimate:.1%}, misses "
            f"{before.misses.estimate:.1%} become {after.misses.estimate:.1%}. Stronger than that "
            f"is {NOT_MEASURED}."
        )
    return [line.replace("Jpeg", "JPEG") for line in lines]


def _drawn(facts: Facts) -> str:
    drawn = real_illustrations(facts)
    if drawn is None:
        return (
            f"Illustrations: styles are not known, so what these are taken for is {NOT_MEASURED}."
        )
    shares = {one.name: one.images for one in by_style(facts)}
    total = sum(shares.values())
    said = ", ".join(f"{count / total:.0%} {name}" for name, count in shares.items())
    told = f"Of the real ones {drawn:,} are illustrations."
    if not drawn:
        told = (
            "No real image is an illustration: what a person's drawing is taken for is "
            f"{NOT_MEASURED}"
        )
        told += ", and part of the numbers above is drawing." if "illustration" in shares else "."
    return f"Styles of the generated validation images: {said}. {told}"


def _generators(facts: Facts) -> str:
    slices = {one.name: one for one in by_generator(facts)}
    said = [
        f"{name}, {one.images:,} images: ROC AUC {_auc(one.roc_auc)}, misses {_percent(one.errors)}"
        for name, one in slices.items()
    ]
    return (
        f"Generators of the validation images. {'; '.join(said)}. What it does with generators "
        f"that are in neither set, such as newer ones, is {NOT_MEASURED}."
    )


def _not_measured(facts: Facts) -> str:
    also = "" if facts.local["platform"].notna().any() else " Images that went through a platform."
    return f"""## What was not measured here

Other trainings than this one. Test images. Images of other sources, countries and cameras than
those above.{also} Images generated or edited in part. Attacks. Whether `prob` is calibrated."""


# --- where it comes from --------------------------------------------------------------------------


def _making(facts: Facts) -> str:
    made = facts.record.provenance
    versions = [f"layerfusion {made['layerfusion']}", f"Python {made['python']}"]
    versions += [f"{name} {version}" for name, version in made["libraries"].items()]
    commit = f" commit {made['git_commit'][:10]}," if made.get("git_commit") else ""
    return f"""## How it was made

```bash
{facts.command}
```

- Exported: {facts.date}.
- Run: `{facts.record.run}`, seed {facts.record.seed}, key {facts.record.key[:10]};{commit} code
  {made["code_sha256"][:10]}.
- Frozen weights: sha256 {made["frozen_weights_sha256"]}.
- Trained with: {", ".join(versions)}.
- Trained on: {processor_name(made)}{f", {made['gpu']}" if made.get("gpu") else ""}, in \
{made["training_seconds"]:,.0f} seconds."""


def _citation() -> str:
    return """## Citation

The method is of J. W. J. Lean, "Layer-Wise CLIP Feature Fusion for Synthetic Image Detection"
(MediaEval 2026). How to cite it and this software is in layerfusion's `CITATION.cff`."""


# --- words ----------------------------------------------------------------------------------------


def _known(facts: Facts) -> KnownWeights | None:
    return KNOWN.get(facts.profile.encoder.weights)


def _model(facts: Facts) -> str:
    """Return the encoder's name; of a model-config JSON the file's, without its folders."""
    return Path(facts.profile.encoder.model).stem


def _weights(facts: Facts) -> str:
    return Path(facts.profile.encoder.weights).name


def _condition(name: str) -> str:
    named = CONDITIONS[name].degradation
    if named is None:
        return "as they are"
    degradation = DEGRADATIONS[named]
    if isinstance(degradation, Jpeg):
        return f"JPEG of quality {degradation.quality}"
    assert isinstance(degradation, Launder)
    return f"shrunk to {degradation.scale} %, enlarged and cropped"


def _auc(value: Interval) -> str:
    return _between(value, "{:.3f}")


def _percent(value: Interval) -> str:
    return _between(value, "{:.1%}")


def _between(value: Interval, form: str) -> str:
    """Return an estimate with its interval; in words what is not known of it."""
    if np.isnan(value.estimate):
        return NOT_MEASURED
    if np.isnan(value.low):
        return f"{form.format(value.estimate)} (interval unknown)"
    low, high = form.format(value.low), form.format(value.high)
    return f"{form.format(value.estimate)} ({low} to {high})"


def _rates(value: Rates) -> tuple[str, ...]:
    return (
        f"{value.images:,}",
        _auc(value.roc_auc),
        _percent(value.false_alarms),
        _percent(value.misses),
    )


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a bar in a cell stays a bar."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )
