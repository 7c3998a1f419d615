"""Scores in words, each with the share of validation images that have it.

A word is decided by how rarely photographs score as high, or generated images as low, among the
detector's validation images. Those shares are of these images: on other sources they were measured
to be several times as large (the page *Choosing a threshold*), and the words say so.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from layerfusion.metrics.uncertainty import Interval, share_interval
from layerfusion.scoring.reference import Reference


class Word(IntEnum):
    """What a score is called, from the lowest to the highest."""

    NONE = 0
    UNSURE = 1
    WEAK = 2
    MODERATE = 3
    STRONG = 4

    @property
    def text(self) -> str:
        """The words of a report."""
        return _TEXTS[self]


_TEXTS = {
    Word.NONE: "no evidence of a generated image",
    Word.UNSURE: "unsure",
    Word.WEAK: "weak evidence of a generated image",
    Word.MODERATE: "moderate evidence of a generated image",
    Word.STRONG: "strong evidence of a generated image",
}

# At most so many of the validation photographs score as high as what has this word; and at most so
# many of the generated images as low as what has none.
PHOTOGRAPHS = {Word.STRONG: 0.01, Word.MODERATE: 0.05, Word.WEAK: 0.10}
GENERATED = 0.10


class Meaning(NamedTuple):
    """How often a word is said of validation images.

    Attributes
    ----------
    photographs, generated
        Share of each class, with Wilson's interval.
    """

    photographs: Interval
    generated: Interval


class Scale:
    """The words of one detector.

    Parameters
    ----------
    reference
        Validation images as this detector scores them.
    """

    def __init__(self, reference: Reference) -> None:
        self._real = np.sort(reference.logit[reference.label == 0])
        self._generated = np.sort(reference.logit[reference.label == 1])
        self._bounds = {word: self._exceeded_by(share) for word, share in PHOTOGRAPHS.items()}
        self._low = float(self._generated[int(GENERATED * len(self._generated))])

    def word(self, logit: float) -> Word:
        """Return what a score is called."""
        for word, bound in self._bounds.items():
            if logit > bound:
                return word
        return Word.NONE if logit < self._low else Word.UNSURE

    def meaning(self, word: Word) -> Meaning:
        """Return how often a word is said of validation photographs, and of generated images."""
        shares = [
            share_interval(sum(self.word(logit) == word for logit in own), len(own))
            for own in (self._real, self._generated)
        ]
        return Meaning(*shares)

    def _exceeded_by(self, share: float) -> float:
        """Return the score that at most this share of the photographs exceeds."""
        return float(self._real[-int(share * len(self._real)) - 1])
