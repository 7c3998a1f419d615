"""What a model card is written from, and the numbers that are computed of it.

Everything here is of one detector on validation images. Intervals are over other images *of the
same sources*; what a source that is not there would do, none of them knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.metrics.classes import REAL, SYNTHETIC
from layerfusion.metrics.groups import (
    FEWEST_IMAGES,
    STYLES,
    UNKNOWN,
    auc_interval,
    correct_by_class,
    members_by,
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
    """All that is said of a detector that is shipped.

    Attributes
    ----------
    profile, record
        Of the run that it comes from.
    threshold
        Probability from which an image is called synthetic, chosen with the rounded head.
    moved
        The largest change of a validation logit by rounding.
    head_bytes
        Of the file with the head's tensors.
    training
        A row a training image: ``label``, ``source``, ``style``, ``generator``, ``platform``,
        ``licence``; text, missing where unknown.
    scored
        Validation images as they are, ``local``, and under other conditions, by their names in
        `layerfusion.runs.conditions.CONDITIONS`: ``image_id``, ``label`` (0 or 1), ``logit`` and
        ``probability`` (float64), ``width`` and ``height`` (px), then as in `training`.
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


@dataclass(frozen=True)
class Rates:
    """How well images of both classes are told apart, and the errors at the threshold.

    Attributes
    ----------
    images
        How many, of both classes.
    roc_auc
        In [0, 1]; NaN where a class is missing.
    false_alarms, misses
        The share of real images that are called synthetic, and of synthetic ones that are not.
    """

    images: int
    roc_auc: Interval
    false_alarms: Interval
    misses: Interval


@dataclass(frozen=True)
class Slice:
    """Some images of one class, held against all images of the other.

    Attributes
    ----------
    name, label
        What they have in common, and their class.
    images
        How many they are.
    roc_auc
        In [0, 1].
    errors
        The share of them that is on the wrong side of the threshold.
    """

    name: str
    label: int
    images: int
    roc_auc: Interval
    errors: Interval


def rates(table: pd.DataFrame, threshold: float) -> Rates:
    """Return the rates of a table as in `Facts.scored`, or of some of its rows."""
    labels = _labels(table)
    specificity, recall = correct_by_class(labels, decide(table["logit"], threshold))
    auc = auc_interval(labels, table["logit"])
    return Rates(len(table), auc, specificity.complement, recall.complement)


def operating_point(table: pd.DataFrame, threshold: float) -> dict[str, Interval]:
    """Return ``precision``, ``recall``, ``f1`` and ``false alarm rate`` at the threshold."""
    labels, called = _labels(table), decide(table["logit"], threshold)
    resampled = resampled_rates(labels, called, resample_images(labels))
    found = {name: image_interval(resampled[name]) for name in ("precision", "recall", "f1")}
    return found | {"false alarm rate": correct_by_class(labels, called)[0].complement}


def by_source(facts: Facts) -> list[Slice]:
    """Hold each source's images of a class against the other class; the worst of each class first.

    Real sources come before synthetic ones.
    """
    groups = members_by(facts.local, ["label", "source"])
    slices = [_slice(facts, str(name), label, own) for (label, name), own in groups.items()]
    return sorted(slices, key=lambda one: (one.label, one.roc_auc.estimate))


def worst_source(facts: Facts, label: int) -> Slice | None:
    """Return the source of a class that is told apart worst, of those with enough images."""
    enough = [s for s in by_source(facts) if s.label == label and s.images >= FEWEST_IMAGES]
    return enough[0] if enough else None


def by_style(facts: Facts) -> list[Slice]:
    """Hold generated images of each group of styles that there is against all real images."""
    return _slices(facts, style_groups(facts.local))


def by_generator(facts: Facts) -> list[Slice]:
    """Hold generated images against all real ones, by whether their generator is in training."""
    generator, synthetic = facts.local["generator"], _labels(facts.local) == SYNTHETIC
    known = generator.notna().to_numpy(bool)
    seen = generator.isin(facts.training["generator"].dropna()).to_numpy(bool) & known
    groups = {
        "also in training": seen & synthetic,
        "not in training": known & ~seen & synthetic,
        UNKNOWN: ~known & synthetic,
    }
    return _slices(facts, {name: own for name, own in groups.items() if own.any()})


def by_size(facts: Facts) -> dict[str, Rates]:
    """Return the rates of small images and of the others, where there are such."""
    side = facts.profile.training.small_side
    small = (facts.local[["width", "height"]].min(axis=1) < side).to_numpy(bool)
    groups = {f"below {side} px": small, f"{side} px or more": ~small}
    return {
        name: rates(facts.local[own], facts.threshold) for name, own in groups.items() if own.any()
    }


def shared_sources(facts: Facts) -> list[str]:
    """Return the sources, sorted, that have training and validation images."""
    return sorted(set(facts.training["source"].dropna()) & set(facts.local["source"].dropna()))


def real_illustrations(facts: Facts) -> int | None:
    """Return how many real validation images are illustrations; None if styles are not known."""
    style = facts.local.loc[_labels(facts.local) == REAL, "style"]
    return int(style.isin(STYLES["illustration"]).sum()) if style.notna().any() else None


def _slices(facts: Facts, groups: Mapping[str, NDArray[np.bool_]]) -> list[Slice]:
    return [_slice(facts, name, SYNTHETIC, own) for name, own in groups.items()]


def _slice(facts: Facts, name: str, label: int, own: NDArray[np.bool_]) -> Slice:
    held, part = facts.local[own | (_labels(facts.local) != label)], facts.local[own]
    wrong = decide(part["logit"], facts.threshold) != (label == SYNTHETIC)
    return Slice(
        name=name,
        label=label,
        images=len(part),
        roc_auc=auc_interval(_labels(held), held["logit"]),
        errors=share_interval(int(wrong.sum()), len(part)),
    )


def _labels(table: pd.DataFrame) -> NDArray[np.int64]:
    return table["label"].to_numpy(dtype=np.int64)
