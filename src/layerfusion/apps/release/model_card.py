"""The model card of a shipped detector: numbers that `facts` computes, in the template's prose.

Its headings and the fields at its top are those of Hugging Face's model cards.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from huggingface_hub import EvalResult, ModelCardData

from layerfusion.apps.evidence.pages import NOT_MEASURED, render
from layerfusion.errors import UserError
from layerfusion.experiments.given import identity_of
from layerfusion.experiments.record import FinishedStudy
from layerfusion.experiments.sealing import SEAL, Seal, read_seal
from layerfusion.images.degradations import Launder, degradation
from layerfusion.metrics.classes import CLASSES, REAL, SYNTHETIC
from layerfusion.metrics.groups import (
    FEWEST_IMAGES,
    STYLES,
    UNKNOWN,
    Members,
    auc_interval,
    by_group,
    correct_by_class,
    errors_by_source,
    style_groups,
)
from layerfusion.metrics.probability import decide
from layerfusion.metrics.scored import Metric, ScoredImages, with_other_class
from layerfusion.metrics.uncertainty import (
    LEVEL,
    Interval,
    image_interval,
    resample_images,
    resampled_rates,
    share_interval,
)
from layerfusion.model.detector import Detector
from layerfusion.model.known_weights import KNOWN
from layerfusion.provenance import processor_name
from layerfusion.runs.condition import condition_named
from layerfusion.runs.record import RunRecord
from layerfusion.settings import Profile

MEASURED: tuple[Metric, ...] = ("fpr", "recall", "roc_auc")  # of official images, in this order


@dataclass(frozen=True)
class Official:
    """A detector on images that chose nothing about it, beside others on the same images."""

    study: FinishedStudy
    name: str

    @property
    def scored(self) -> ScoredImages:
        """The official images as this detector scores them."""
        return self.study.scored["official"][self.name]

    @cached_property
    def rates(self) -> pd.DataFrame:
        """``fpr``, ``recall`` and ``roc_auc`` of each ``detector``, this one first."""
        scored, rows = self.study.scored["official"], []
        for name in sorted(scored, key=lambda name: name != self.name):
            row: dict[str, float | str] = {"detector": name}
            for metric in MEASURED:
                row |= scored[name].interval(metric).columns(metric)
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def seal(self) -> Seal | None:
        """The seal of the study, which says when labels were let in; None if it has none."""
        folder = self.study.directory
        return read_seal(folder) if (folder / SEAL).is_file() else None

    @cached_property
    def by_source(self) -> pd.DataFrame:
        """As `layerfusion.metrics.groups.errors_by_source`."""
        return errors_by_source(self.scored)


@dataclass(frozen=True)
class Facts:
    """All that is known of a detector that is shipped.

    Tables of numbers have a row a group, and each number with ``_low`` and ``_high``.

    Attributes
    ----------
    profile, record
        Of the run that it comes from.
    threshold
        Probability from which an image is predicted synthetic, chosen with the rounded head.
    moved
        The largest change of a validation logit by rounding.
    head_bytes
        Of the file with the head's tensors.
    training
        A row a training image: ``label``; ``source``, ``style``, ``generator``, ``platform``,
        ``licence``, text, missing where unknown.
    scored
        Validation images as they are, ``local``, and under other conditions, by their names in
        `layerfusion.runs.condition.CONDITIONS`: ``image_id``, ``label`` (0 or 1), ``logit``
        (float64), ``width`` and ``height`` (px), then as in `training`.
    command, date
        The command that made it, without folders of a machine, and the day, as ISO 8601 has it.
    fpr
        The false-positive rate that the threshold was chosen for; None: it has the largest F1.
    official
        How it did on images of other sources, where that is known.
    """

    profile: Profile
    record: RunRecord
    threshold: float
    moved: float
    head_bytes: int
    training: pd.DataFrame
    scored: Mapping[str, pd.DataFrame]
    command: str
    date: str
    fpr: float | None = None
    official: Official | None = None

    @property
    def local(self) -> pd.DataFrame:
        """The validation images as they are."""
        return self.scored["local"]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many ``training`` and ``validation`` images each class has."""
        parts = {"training": self.training["label"], "validation": self.local["label"]}
        return {
            part: {name: int((labels == label).sum()) for label, name in CLASSES.items()}
            for part, labels in parts.items()
        }

    @property
    def training_sources(self) -> pd.DataFrame:
        """``label`` (the class's name), ``source``, ``images`` and ``licence``."""
        sources = self.training["source"].fillna(UNKNOWN)
        named = self.training.assign(label=self.training["label"].map(CLASSES), source=sources)
        groups = named.groupby(["label", "source"], as_index=False)
        return groups.agg(images=("label", "size"), licence=("licence", _licences))

    @property
    def shared_sources(self) -> list[str]:
        """The sources, sorted, that have training and validation images."""
        return sorted(set(self.training["source"].dropna()) & set(self.local["source"].dropna()))

    def rates(self, table: pd.DataFrame) -> dict[str, Interval]:
        """Return ``roc_auc``, ``fpr`` and ``fnr`` of images; NaN where a class is missing."""
        calls = decide(table["logit"], self.threshold)
        specificity, recall = correct_by_class(table["label"], calls)
        auc = auc_interval(table["label"], table["logit"])
        return {"roc_auc": auc, "fpr": specificity.complement, "fnr": recall.complement}

    @cached_property
    def operating_point(self) -> dict[str, Interval]:
        """``precision``, ``recall``, ``f1`` and ``false positive rate`` at the threshold."""
        labels, predicted = self.local["label"], decide(self.local["logit"], self.threshold)
        resampled = resampled_rates(labels, predicted, resample_images(labels))
        found = {name: image_interval(resampled[name]) for name in ("precision", "recall", "f1")}
        return found | {"false positive rate": correct_by_class(labels, predicted)[0].complement}

    @cached_property
    def by_condition(self) -> pd.DataFrame:
        """`rates` of all validation images under each ``condition``, in words."""
        every = pd.concat(self.scored, names=["name"]).reset_index("name")
        groups = {_in_words(name): every["name"] == name for name in self.scored}
        return self._rates_by("condition", every, groups)

    @cached_property
    def by_size(self) -> pd.DataFrame:
        """`rates` of small images and of the others, where there are such, by ``size``."""
        side = self.profile.training.small_side
        small = self.local[["width", "height"]].min(axis=1) < side
        return self._rates_by(
            "size", self.local, {f"below {side} px": small, f"{side} px or more": ~small}
        )

    @cached_property
    def by_source(self) -> pd.DataFrame:
        """Each source's images of a class, by ``label`` and ``source``, the worst of a class first.

        ``images``, ``roc_auc`` against all images of the other class, and ``errors``; real sources
        come before synthetic ones.
        """
        found = self._of_one_class(["label", "source"])
        return found.sort_values(["label", "roc_auc"], kind="stable")

    @property
    def worst_sources(self) -> pd.DataFrame:
        """The rows of `by_source` of the worst source of each class with enough images."""
        return self.by_source[self.by_source["images"] >= FEWEST_IMAGES].drop_duplicates("label")

    @cached_property
    def by_style(self) -> pd.DataFrame:
        """As `by_source`, of generated images of each group of styles that there is."""
        return self._of_one_class("style", style_groups(self.local))

    @cached_property
    def by_generator(self) -> pd.DataFrame:
        """As `by_source`, of generated images, by whether their generator is in training."""
        generator, synthetic = self.local["generator"], self.local["label"] == SYNTHETIC
        seen, known = generator.isin(self.training["generator"].dropna()), generator.notna()
        groups = {
            "also in training": synthetic & known & seen,
            "not in training": synthetic & known & ~seen,
            UNKNOWN: synthetic & ~known,
        }
        return self._of_one_class("generator", _present(groups))

    @property
    def real_illustrations(self) -> int | None:
        """How many real validation images are illustrations; None if styles are not known."""
        style = self.local.loc[self.local["label"] == REAL, "style"]
        return int(style.isin(STYLES["illustration"]).sum()) if style.notna().any() else None

    def _rates_by(
        self, by: str, table: pd.DataFrame, groups: Mapping[str, pd.Series]
    ) -> pd.DataFrame:
        return by_group(table, by, lambda own: self.rates(table[own]), _present(groups))

    def _of_one_class(
        self, by: str | list[str], groups: Mapping[str, Members] | None = None
    ) -> pd.DataFrame:
        """Return ``roc_auc`` against the other class, and ``errors``, of images of one class."""
        labels = self.local["label"].to_numpy(dtype=np.int64)
        logits = self.local["logit"].to_numpy(dtype=np.float64)
        wrong = decide(logits, self.threshold) != (labels == SYNTHETIC)

        def measure(own: Members) -> dict[str, Interval]:
            held = with_other_class(labels, own)
            errors = share_interval(int(wrong[own].sum()), int(own.sum()))
            return {"roc_auc": auc_interval(labels[held], logits[held]), "errors": errors}

        return by_group(self.local, by, measure, groups)


def _present(groups: Mapping[str, pd.Series]) -> dict[str, Members]:
    """Return the groups that have members."""
    return {name: own.to_numpy(dtype=bool) for name, own in groups.items() if own.any()}


def _licences(stated: pd.Series) -> str:
    return "; ".join(sorted(stated.dropna().unique())) or "not stated"


def _in_words(condition: str) -> str:
    named = condition_named(condition).degradation
    if named is None:
        return "as they are"
    change = degradation(named)
    if isinstance(change, Launder):
        return f"shrunk to {change.scale} %, enlarged and cropped"
    kind, _, quality = named.partition("-")
    return f"{FORMATS[kind]} of quality {quality}"


def official_results(study: FinishedStudy, detector: Detector) -> "Official":
    """Return how detectors did on a study's official images, this one first.

    Raises
    ------
    UserError
        If the study has no such detector with this threshold, or its labels were not let in.
    """
    own = identity_of(detector)
    cells = study.record.cells
    names = [c.variant for c in cells if (c.key, c.threshold) == (own, detector.threshold)]
    if not names:
        raise UserError(
            f"{study.directory} has not scored this detector at this threshold; give the study of "
            "`layerfusion study detectors` that did"
        )
    if "official" not in study.scored:
        raise UserError(f"{study.directory} has no official labels yet; open it first")
    return Official(study, names[0])


FORMATS = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF"}
LICENCE = "apache-2.0"  # the project's, of the head


def model_card(facts: Facts) -> str:
    """Return the card as Markdown with YAML before it; the same facts give the same text."""
    title = f"layerfusion: {facts.profile.name}, {facts.record.run} run"
    encoder, made = facts.profile.encoder, facts.record.provenance
    text = render(
        "apps/release/templates/model_card.md.j2",
        title=title,
        facts=facts,
        profile=facts.profile,
        record=facts.record,
        made=made,
        processor=processor_name(made),
        known=KNOWN.get(encoder.weights),
        encoder=f"{Path(encoder.model).stem}, weights '{Path(encoder.weights).name}'",
        licence=LICENCE,
        classes=CLASSES,
        level=LEVEL,
        fewest=FEWEST_IMAGES,
        unknown=UNKNOWN,
        not_measured=NOT_MEASURED,
    )
    return f"{_front_matter(title, facts)}\n\n{text}\n"


def _front_matter(title: str, facts: Facts) -> str:
    values = facts.rates(facts.local) | facts.operating_point
    numbers = {name: values[name].estimate for name in ("roc_auc", "f1", "precision", "recall")}
    images = "its own validation images"
    if facts.official:
        images = "images of sources that chose nothing about it"
        numbers = {one: float(facts.official.rates[one].iloc[0]) for one in MEASURED}
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type="imagefolder",
            dataset_name=images,
            metric_type=name,
            metric_value=round(number, 4),
        )
        for name, number in numbers.items()
    ]
    fields = ModelCardData(
        license=LICENCE,
        library_name="layerfusion",
        pipeline_tag="image-classification",
        tags=["synthetic-image-detection", "image-forensics", "clip"],
        model_name=title,
        eval_results=results,
    )
    return f"---\n{fields.to_yaml()}\n---"
