"""The model card of a shipped detector: numbers that `facts` computes, in the template's prose.

Its headings and the fields at its top are those of Hugging Face's model cards.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import EvalResult, ModelCardData

from layerfusion.evidence.pages import NOT_MEASURED, render
from layerfusion.images.degradations import Jpeg, Launder, degradation
from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.groups import FEWEST_IMAGES, UNKNOWN
from layerfusion.metrics.uncertainty import LEVEL, Interval
from layerfusion.model.known_weights import KNOWN
from layerfusion.provenance import processor_name
from layerfusion.release.facts import (
    Facts,
    by_condition,
    by_generator,
    by_size,
    by_source,
    by_style,
    operating_point,
    rates,
    real_illustrations,
    shared_sources,
)
from layerfusion.runs.condition import CONDITIONS

LICENCE = "apache-2.0"  # the project's, of the head


def model_card(facts: Facts) -> str:
    """Return the card as Markdown with YAML before it; the same facts give the same text."""
    title = f"layerfusion: {facts.profile.name}, {facts.record.run} run"
    encoder, point = facts.profile.encoder, operating_point(facts.local, facts.threshold)
    known = KNOWN.get(encoder.weights)
    named = f"{Path(encoder.model).stem}, weights '{Path(encoder.weights).name}'"
    conditions = by_condition(facts, {name: _condition(name) for name in facts.scored})
    sources = by_source(facts)
    text = render(
        "release/templates/model_card.md.j2",
        title=title,
        facts=facts,
        profile=facts.profile,
        record=facts.record,
        made=facts.record.provenance,
        processor=processor_name(facts.record.provenance),
        known=known,
        encoder=known.about if known else named,
        licence=LICENCE,
        classes=CLASSES,
        trained=_counts(facts.training),
        training=_sources(facts.training),
        validated=_counts(facts.local),
        shared=shared_sources(facts),
        n_sources=facts.local["source"].nunique(),
        point=point,
        conditions=_rows(conditions),
        by_source=_rows(sources),
        worst=_rows(sources[sources["images"] >= FEWEST_IMAGES].drop_duplicates("label")),
        by_style=_rows(by_style(facts)),
        by_size=_rows(by_size(facts)),
        by_generator=_rows(by_generator(facts)),
        illustrations=real_illustrations(facts),
        platforms_known=facts.local["platform"].notna().any(),
        level=LEVEL,
        fewest=FEWEST_IMAGES,
        unknown=UNKNOWN,
        not_measured=NOT_MEASURED,
    )
    return f"{_front_matter(title, rates(facts.local, facts.threshold) | point)}\n\n{text}\n"


def _front_matter(title: str, values: dict[str, Interval]) -> str:
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
        model_name=title,
        eval_results=results,
    )
    return f"---\n{fields.to_yaml()}\n---"


def _rows(table: pd.DataFrame) -> list[Any]:
    return table.to_dict("records")


def _counts(images: pd.DataFrame) -> dict[str, int]:
    return {name: int((images["label"] == label).sum()) for label, name in CLASSES.items()}


def _sources(images: pd.DataFrame) -> list[Any]:
    """Return ``label``, ``source``, ``images`` and ``licence``, a row a source of a class."""
    named = images.assign(source=images["source"].fillna(UNKNOWN)).replace({"label": CLASSES})
    groups = named.groupby(["label", "source"], as_index=False)
    return _rows(groups.agg(images=("label", "size"), licence=("licence", _licences)))


def _licences(stated: pd.Series) -> str:
    return "; ".join(sorted(stated.dropna().unique())) or "not stated"


def _condition(name: str) -> str:
    named = CONDITIONS[name].degradation
    if named is None:
        return "as they are"
    change = degradation(named)
    if isinstance(change, Jpeg):
        return f"JPEG of quality {change.quality}"
    assert isinstance(change, Launder)
    return f"shrunk to {change.scale} %, enlarged and cropped"
