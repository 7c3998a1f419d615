"""What a model card is written from, and the numbers that are computed of it.

Everything here is of one detector on validation images. Intervals are over other images *of the
same sources*; what a source that is not there would do, none of them knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from layerfusion.metrics.classes import REAL, SYNTHETIC
from layerfusion.metrics.groups import (
    STYLES,
    UNKNOWN,
    Measure,
    Members,
    auc_interval,
    by_group,
    correct_by_class,
    style_groups,
)
from layerfusion.metrics.probability import decide
from layerfusion.metrics.uncertainty import (
    Interval,
    image_interval,
    resample_images,
    resampled_rates,
    share_interval,
)
from layerfusion.runs.record import RunRecord
from layerfusion.settings import Profile


@dataclass(frozen=True)
class Facts:
    """All that is known of a detector that is shipped.

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
        A row a training image: ``label``, ``source``, ``style``, ``generator``, ``platform``,
        ``licence``; text, missing where unknown.
    scored
        Validation images as they are, ``local``, and under other conditions, by their names in
        `layerfusion.runs.condition.CONDITIONS`: ``image_id``, ``label`` (0 or 1), ``logit``
        (float64), ``width`` and ``height`` (px), then as in `training`.
    command, date
        The command that made it, without folders of a machine, and the day, as ISO 8601 has it.
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

    @property
    def local(self) -> pd.DataFrame:
        """The validation images as they are."""
        return self.scored["local"]


def rates(table: pd.DataFrame, threshold: float) -> dict[str, Interval]:
    """Return ``roc_auc``, ``fpr`` and ``fnr`` of images; NaN where a class is missing."""
    specificity, recall = correct_by_class(table["label"], decide(table["logit"], threshold))
    auc = auc_interval(table["label"], table["logit"])
    return {"roc_auc": auc, "fpr": specificity.complement, "fnr": recall.complement}


def operating_point(table: pd.DataFrame, threshold: float) -> dict[str, Interval]:
    """Return ``precision``, ``recall``, ``f1`` and ``false positive rate`` at the threshold."""
    labels, predicted = table["label"], decide(table["logit"], threshold)
    resampled = resampled_rates(labels, predicted, resample_images(labels))
    found = {name: image_interval(resampled[name]) for name in ("precision", "recall", "f1")}
    return found | {"false positive rate": correct_by_class(labels, predicted)[0].complement}


def by_source(facts: Facts) -> pd.DataFrame:
    """Compare each source's images of a class with all images of the other class.

    Returns
    -------
    DataFrame
        ``label``, ``source``, ``images``, ``roc_auc`` and ``errors``, both with ``_low`` and
        ``_high``, the worst of each class first; real sources before synthetic ones.
    """
    return _by_group(facts, ["label", "source"]).sort_values(["label", "roc_auc"], kind="stable")


def by_style(facts: Facts) -> pd.DataFrame:
    """Compare generated images of each group of styles that there is with all real images."""
    return _by_group(facts, "style", style_groups(facts.local))


def by_generator(facts: Facts) -> pd.DataFrame:
    """Compare generated images with all real ones, by whether their generator is in training."""
    generator, synthetic = facts.local["generator"], facts.local["label"] == SYNTHETIC
    seen, known = generator.isin(facts.training["generator"].dropna()), generator.notna()
    groups = {
        "also in training": synthetic & known & seen,
        "not in training": synthetic & known & ~seen,
        UNKNOWN: synthetic & ~known,
    }
    members = {name: own.to_numpy(dtype=bool) for name, own in groups.items() if own.any()}
    return _by_group(facts, "generator", members)


def by_size(facts: Facts) -> pd.DataFrame:
    """Return `rates` of small images and of the others, where there are such."""
    side, table = facts.profile.training.small_side, facts.local
    small = (table[["width", "height"]].min(axis=1) < side).to_numpy(dtype=bool)
    groups = {f"below {side} px": small, f"{side} px or more": ~small}
    present = {name: own for name, own in groups.items() if own.any()}
    return by_group(table, "size", _rates(table, facts.threshold), present)


def by_condition(facts: Facts, names: Mapping[str, str]) -> pd.DataFrame:
    """Return `rates` of all validation images under each condition, by its text in `names`."""
    parts = []
    for name, table in facts.scored.items():
        every = np.ones(len(table), dtype=bool)
        measure = _rates(table, facts.threshold)
        parts.append(by_group(table, "condition", measure, {names[name]: every}))
    return pd.concat(parts, ignore_index=True)


def shared_sources(facts: Facts) -> list[str]:
    """Return the sources, sorted, that have training and validation images."""
    return sorted(set(facts.training["source"].dropna()) & set(facts.local["source"].dropna()))


def real_illustrations(facts: Facts) -> int | None:
    """Return how many real validation images are illustrations; None if styles are not known."""
    style = facts.local.loc[facts.local["label"] == REAL, "style"]
    return int(style.isin(STYLES["illustration"]).sum()) if style.notna().any() else None


def _rates(table: pd.DataFrame, threshold: float) -> Measure:
    return lambda own: rates(table[own], threshold)


def _by_group(
    facts: Facts, by: str | list[str], groups: Mapping[str, Members] | None = None
) -> pd.DataFrame:
    """Return ``roc_auc`` against the other class, and ``errors``, of images of one class."""
    labels = facts.local["label"].to_numpy(dtype=np.int64)
    logits = facts.local["logit"].to_numpy(dtype=np.float64)
    wrong = decide(logits, facts.threshold) != (labels == SYNTHETIC)

    def measure(own: Members) -> dict[str, Interval]:
        held = own | (labels != labels[own][0])
        errors = share_interval(int(wrong[own].sum()), int(own.sum()))
        return {"roc_auc": auc_interval(labels[held], logits[held]), "errors": errors}

    return by_group(facts.local, by, measure, groups)
