r"""Abstention (a reject option): images predicted neither real nor synthetic, so others are right.

On a calibration half, images are taken from the most confident inwards, on either side, and the
Clopper-Pearson bound of the errors among them is compared with the target error. The first step
that exceeds it ends the walk; all before it stand. Because the steps are fixed by the scores alone,
before a label is looked at, and the first failure ends it, no correction for their number is needed
(fixed-sequence testing; for calibration: Angelopoulos, Bates, Candès, Jordan and Lei 2021, "Learn
then Test"). Each side gets half of the 5 % that may go wrong.

The target holds for images drawn like the calibration images: of the same sources, and as many of
them synthetic. `layerfusion.metrics.transfer.abstention_table` says what becomes of it elsewhere.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from layerfusion.errors import UserError
from layerfusion.metrics.uncertainty import LEVEL, checked

STEPS = 20  # of equally many calibration images
FIRST_ERRORS = 1  # the walk begins with so many images that this many errors would be within it


class Band(NamedTuple):
    """Below `low` an image is predicted real, from `high` on synthetic, between them neither.

    Scores; -inf and inf where there is no confident image on a side.
    """

    low: float
    high: float

    def predict(self, score: ArrayLike) -> NDArray[np.int64]:
        """Return 0 (real), 1 (synthetic) or -1 (abstains) of scores, shape (n,)."""
        scores = np.asarray(score, dtype=np.float64)
        return np.where(scores >= self.high, 1, np.where(scores < self.low, 0, -1))


def error_bound(errors: int, images: int, confidence: float = LEVEL) -> float:
    """Return the upper end of Clopper and Pearson's (1934) one-sided interval, in [0, 1].

    A share of errors above it would give so few errors, or fewer, with a chance of at most
    1 - confidence.
    """
    if errors >= images:
        return 1.0
    return float(betaincinv(errors + 1, images - errors, confidence))


def abstention_band(label: ArrayLike, score: ArrayLike, target: float) -> Band:
    """Return the narrowest band outside of which at most `target` of the predictions are wrong.

    A small target takes many images: a side whose most confident ones are too few to bear it out,
    however right they are, abstains.

    Parameters
    ----------
    label, score
        Of calibration images: 0 or 1, and real numbers, shape (n,).
    target
        Share of errors, in (0, 1), on each side of the band and so on both together.

    Raises
    ------
    UserError
        If the arrays differ in length or are empty, or the target is out of range.
    """
    labels, scores = checked(label, score)
    if not 0 < target < 1:
        raise UserError("a target error must lie between 0 and 1")
    high = _innermost(scores, labels == 1, target)
    low = -_innermost(-scores, labels == 0, target)
    low = float(np.nextafter(low, np.inf)) if np.isfinite(low) else low  # real is what lies below
    return Band(min(low, high), high)


def _innermost(scores: NDArray[np.float64], right: NDArray[np.bool_], target: float) -> float:
    """Return the lowest score down to which the walk from the highest one gets; inf if nowhere."""
    confidence = (1 + LEVEL) / 2  # each side has half of what may go wrong
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # images of equal score go together
    errors, found = np.cumsum(~right[order]), np.inf
    for step in range(1, STEPS + 1):
        reach = -(-len(scores) * step // STEPS) - 1  # rounded up; position of the last image
        position = reach + int(np.argmax(last[reach:]))
        images = position + 1
        if error_bound(min(FIRST_ERRORS, images), images, confidence) > target:
            continue
        if error_bound(int(errors[position]), images, confidence) > target:
            break
        found = float(scores[order][position])
    return found
