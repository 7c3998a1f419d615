"""Levels of evidence, each with the share of validation images that reach it.

A level is decided by how rarely photographs score as high, or generated images as low, among the
detector's validation images. Those shares are of these images: on other sources they were measured
to be several times as large (the page *Choosing a threshold*), and the reports say so.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.metrics.groups import FEWEST_IMAGES, by_group, members_by
from layerfusion.metrics.uncertainty import Interval, share_interval
from layerfusion.scoring.detectors import ReferenceScores


class EvidenceLevel(IntEnum):
    """What a score is evidence of, from the lowest to the highest."""

    NONE = 0
    UNSURE = 1
    WEAK = 2
    MODERATE = 3
    STRONG = 4

    @property
    def text(self) -> str:
        """As a report writes it."""
        if self == EvidenceLevel.UNSURE:
            return "unsure"
        amount = "no" if self == EvidenceLevel.NONE else self.name.lower()
        return f"{amount} evidence of a generated image"


# At most this share of the validation photographs scores as high as an image with this level; and
# at most this share of the generated images as low as one without evidence.
PHOTOGRAPHS = {
    EvidenceLevel.STRONG: 0.01,
    EvidenceLevel.MODERATE: 0.05,
    EvidenceLevel.WEAK: 0.10,
}
GENERATED = 0.10


class LevelShares(NamedTuple):
    """How many validation images have a level.

    Attributes
    ----------
    photographs, generated
        Share of each class, with Wilson's interval.
    """

    photographs: Interval
    generated: Interval


class EvidenceScale:
    """The levels of one detector's scores.

    Parameters
    ----------
    reference
        Validation images as this detector scores them.
    """

    def __init__(self, reference: ReferenceScores) -> None:
        self._real = np.sort(reference.logit[reference.label == 0])
        self._generated = np.sort(reference.logit[reference.label == 1])
        self._bounds = {level: self._exceeded_by(share) for level, share in PHOTOGRAPHS.items()}
        self._low = float(self._generated[int(GENERATED * len(self._generated))])

    def level(self, logit: float) -> EvidenceLevel:
        """Return the level of a score."""
        for level, bound in self._bounds.items():
            if logit > bound:
                return level
        return EvidenceLevel.NONE if logit < self._low else EvidenceLevel.UNSURE

    def shares(self, level: EvidenceLevel) -> LevelShares:
        """Return which share of the validation photographs and generated images has a level."""
        shares = [
            share_interval(sum(self.level(logit) == level for logit in own), len(own))
            for own in (self._real, self._generated)
        ]
        return LevelShares(*shares)

    def _exceeded_by(self, share: float) -> float:
        """Return the score that at most this share of the photographs exceeds."""
        return float(self._real[-int(share * len(self._real)) - 1])


def reference_of(images: pd.DataFrame) -> ReferenceScores:
    """Return the scores of a table with ``label`` and ``logit`` as a scale is made of them."""
    return ReferenceScores(images["label"].to_numpy(np.int64), images["logit"].to_numpy(float))


def levels_by_source(
    images: pd.DataFrame, reference: ReferenceScores | None = None
) -> pd.DataFrame:
    """Return the levels of each source's images.

    Parameters
    ----------
    images
        A row an image: ``label`` (0 or 1), ``logit``, ``source``.
    reference
        What makes the scale. None: for each source all images of the others.

    Returns
    -------
    DataFrame
        A row a source and class of it with `FEWEST_IMAGES` or more: ``source``, ``label``,
        ``images``, and by the name of each level (``NONE``, ...) the number of images that have it.
        The score alone decides.
    """
    groups = members_by(images, ["source", "label"])

    def measure(own: NDArray[np.bool_]) -> dict[str, int]:
        others = images[(images["source"] != images.loc[own, "source"].iloc[0]).to_numpy(bool)]
        scale = EvidenceScale(reference or reference_of(others))
        found = [scale.level(logit) for logit in images.loc[own, "logit"]]
        return {level.name: found.count(level) for level in EvidenceLevel}

    enough = {key: own for key, own in groups.items() if own.sum() >= FEWEST_IMAGES}
    return by_group(images, ["source", "label"], measure, enough)
