r"""An *unsure* band: images that are called neither real nor synthetic, so that the others are.

On a calibration half, images are taken from the surest inwards, on either side, and the
Clopper-Pearson bound of the errors among them is held against what is promised. The first step that
exceeds it ends the walk; all before it stand. Because the steps are fixed by the scores alone,
before a label is looked at, and the first failure ends it, no correction for their number is needed
(fixed-sequence testing; for calibration: Angelopoulos, Bates, Candès, Jordan and Lei 2021, "Learn
then Test"). Each side gets half of the 5 % that may go wrong.

The promise is about images drawn like the calibration images: of the same sources, and as many of
them synthetic. `band_table` says what becomes of it elsewhere.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from layerfusion.analysis.source_splits import TRIED_ON
from layerfusion.analysis.sources import ScoredImages
from layerfusion.errors import UserError
from layerfusion.metrics.uncertainty import LEVEL

PROMISES = (0.05, 0.10, 0.15)  # at most so many errors among the images that are called
STEPS = 20  # of equally many calibration images
FIRST_ERRORS = 1  # the walk begins with so many images that this many errors would be within it


class Band(NamedTuple):
    """Below `low` an image is called real, from `high` on synthetic, between them neither.

    Scores; -inf and inf where no image of a side is sure.
    """

    low: float
    high: float

    def called(self, score: ArrayLike) -> NDArray[np.int64]:
        """Return 0 (real), 1 (synthetic) or -1 (unsure) of scores, shape (n,)."""
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


def unsure_band(
    label: ArrayLike, score: ArrayLike, promise: float, confidence: float = LEVEL
) -> Band:
    """Return the narrowest band outside of which at most `promise` of the calls are wrong.

    A small promise takes many images: a side whose surest ones are too few to bear it out, however
    right they are, stays unsure.

    Parameters
    ----------
    label, score
        Of calibration images: 0 or 1, and real numbers, shape (n,).
    promise
        Share of errors, in (0, 1), on each side of the band and so on both together.
    confidence
        In (0, 1): with how many draws of calibration images the promise is to be kept.

    Raises
    ------
    UserError
        If the arrays differ in length or are empty, or a share is out of range.
    """
    labels, scores = np.asarray(label), np.asarray(score, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1 or not len(labels):
        raise UserError("labels and scores must be two lists of equal length, not empty")
    if not 0 < promise < 1 or not 0 < confidence < 1:
        raise UserError("promise and confidence must lie between 0 and 1")
    each = (1 + confidence) / 2
    high = _innermost(scores, labels == 1, promise, each)
    low = -_innermost(-scores, labels == 0, promise, each)
    low = float(np.nextafter(low, np.inf)) if np.isfinite(low) else low  # called where below
    return Band(min(low, high), high)


def band_table(scored: ScoredImages, promises: Sequence[float] = PROMISES) -> pd.DataFrame:
    """Choose bands on half of the images, and look whether the others keep what they promise.

    Returns
    -------
    DataFrame
        A row a promise and a key of `layerfusion.analysis.source_splits.TRIED_ON`: ``promise``,
        ``tried_on``; ``sure``, the share of images that are called, mean over splits and seeds;
        ``error``, the share of wrong calls among all of these, and the ``low`` and ``high`` between
        which 90 % of the splits lie that call any; ``broken``, the share of all splits whose error
        exceeds the promise (chance in the half that it is tried on adds to it), and ``silent``, of
        those in which no image was sure. NaN where no split calls any image.
    """
    rows = []
    for tried_on, halves in TRIED_ON.items():
        splits = halves(scored.images)
        for promise in promises:
            row = {"promise": promise, "tried_on": tried_on}
            rows.append(row | _outcome(*_tried(scored, splits, promise).T, promise=promise))
    return pd.DataFrame(rows).sort_values(["promise", "tried_on"], ignore_index=True)


def _outcome(
    sure: NDArray[np.int64], wrong: NDArray[np.int64], images: NDArray[np.int64], *, promise: float
) -> dict[str, float]:
    spoke = sure > 0
    found = {"sure": float((sure / images).mean()), "error": np.nan, "low": np.nan, "high": np.nan}
    error = wrong[spoke] / sure[spoke]
    if spoke.any():
        found["error"] = float(wrong.sum() / sure.sum())
        found["low"], found["high"] = np.quantile(error, [0.05, 0.95]).tolist()
    broken = float((error > promise).sum() / len(sure))
    return found | {"broken": broken, "silent": float(1 - spoke.mean())}


def _tried(scored: ScoredImages, splits: NDArray[np.bool_], promise: float) -> NDArray[np.int64]:
    """Return sure images, wrong calls and images of every seed and split, shape (rows, 3)."""
    labels, rows = scored.images["label"].to_numpy(dtype=np.int64), []
    for own, chosen in ((own, chosen) for own in scored.logits for chosen in splits):
        called = unsure_band(labels[chosen], own[chosen], promise).called(own[~chosen])
        sure = called >= 0
        rows.append((sure.sum(), (sure & (called != labels[~chosen])).sum(), len(called)))
    return np.array(rows)


def _innermost(
    scores: NDArray[np.float64], right: NDArray[np.bool_], promise: float, confidence: float
) -> float:
    """Return the lowest score down to which the walk from the highest one gets; inf if nowhere."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # images of equal score are called alike
    errors, found = np.cumsum(~right[order]), np.inf
    for step in range(1, STEPS + 1):
        reach = -(-len(scores) * step // STEPS) - 1  # rounded up; position of the last image
        position = reach + int(np.argmax(last[reach:]))
        images = position + 1
        if error_bound(min(FIRST_ERRORS, images), images, confidence) > promise:
            continue
        if error_bound(int(errors[position]), images, confidence) > promise:
            break
        found = float(scores[order][position])
    return found
