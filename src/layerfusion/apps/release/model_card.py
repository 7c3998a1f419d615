"""The model card of a shipped detector: numbers that `facts` computes, in the template's prose.

Its headings and the fields at its top are those of Hugging Face's model cards.
"""

from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from layerfusion.apps.evidence.pages import NOT_MEASURED, render
from layerfusion.apps.release.facts import Facts
from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.groups import FEWEST_IMAGES, UNKNOWN
from layerfusion.metrics.uncertainty import LEVEL
from layerfusion.model.known_weights import KNOWN
from layerfusion.provenance import processor_name

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
