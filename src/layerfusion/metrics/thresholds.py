r"""Rules that choose a threshold: best F1, a target false-positive rate, least cost, balance.

Which threshold is right is no property of a detector. It follows from how many of the images that
come in are synthetic, the *prevalence* π, and from what the two errors cost. With a false positive
as the unit and a false negative at the cost c, an image costs on average

.. math:: K(t) = (1 - \pi)\,\mathrm{FPR}(t) + \pi\, c\,(1 - \mathrm{recall}(t))

(Provost and Fawcett 2001). Both rates are of one class each and so the same at every prevalence; a
benchmark of half synthetic images serves to choose for a stream that has one in a hundred.

Every rule takes labels, 0 or 1, and scores, real numbers, shape (n,), and returns a threshold on
the scale of the scores, to be used as ``score >= threshold``.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerfusion.errors import UserError
from layerfusion.metrics.uncertainty import Counts, Values, checked, cumulative_counts


class Costs(NamedTuple):
    """What a practitioner must say: the share of synthetic images, in (0, 1), and an error's cost.

    The cost of a false negative, above 0, is in false positives.
    """

    prevalence: float
    fn_cost: float

    def of(self, fpr: ArrayLike, recall: ArrayLike) -> NDArray[np.float64]:
        """Return the cost of an image, in false positives, where rates are these."""
        missed = self.prevalence * self.fn_cost * (1 - np.asarray(recall, dtype=np.float64))
        return (1 - self.prevalence) * np.asarray(fpr, dtype=np.float64) + missed

    @property
    def trivial(self) -> float:
        """The cost of predicting all or no images synthetic, whichever is less."""
        return min(self.prevalence * self.fn_cost, 1 - self.prevalence)


def best_f1_threshold(label: ArrayLike, score: ArrayLike) -> float:
    """Return the observed score that, used as threshold, gives the largest F1 (section 2).

    Exact: every distinct observed score is tried, F1 = 2 TP / (predicted synthetic + synthetic).
    Among equals the lowest threshold wins, which predicts more images synthetic.

    Raises
    ------
    UserError
        If labels are not 0 and 1, the arrays differ in length or are empty, or no image is
        synthetic (F1 is 0 everywhere then).
    """
    labels, scores = checked(label, score)
    if not labels.any():
        raise UserError("no threshold maximises F1: the validation images hold no synthetic one")
    return float(resampled_best_f1_threshold(labels, scores)[0])


def resampled_best_f1_threshold(
    label: ArrayLike, score: ArrayLike, counts: Counts | None = None
) -> Values:
    """Return `best_f1_threshold` on each resample of the images, shape (rows,).

    Parameters
    ----------
    counts
        As `layerfusion.metrics.uncertainty.resample_images` returns them; None is the images
        themselves, a row. Of rows without a synthetic image it is NaN.
    """
    observed, found = np.unique(np.asarray(score, dtype=np.float64))[::-1], [np.empty(0)]
    for tp, fp in cumulative_counts(label, score, counts):
        synthetic = tp[:, -1:]
        with np.errstate(invalid="ignore"):
            f1 = 2 * tp[:, 1:] / (tp[:, 1:] + fp[:, 1:] + synthetic)
        drawn = np.diff(tp + fp, axis=1) > 0  # a threshold is the score of an image that counts
        best = f1.shape[1] - 1 - np.argmax(np.where(drawn, f1, -1)[:, ::-1], axis=1)
        found.append(np.where(synthetic[:, 0] > 0, observed[best], np.nan))
    return np.concatenate(found)


def target_fpr_threshold(label: ArrayLike, score: ArrayLike, rate: float) -> float:
    """Return the lowest threshold whose false-positive rate does not exceed `rate`, in [0, 1].

    It has the recall of `layerfusion.metrics.uncertainty.resampled_recall_at`. On the images that
    chose it the rate is kept; on others it is kept on average at best.

    Returns
    -------
    float
        -inf where every image may be predicted synthetic.

    Raises
    ------
    UserError
        If there is no real image.
    """
    real = np.sort(np.asarray(score, dtype=np.float64)[np.asarray(label) == 0])[::-1]
    if not len(real):
        raise UserError("a false-positive rate needs real images, and there are none")
    allowed = allowed_false_positives(rate, len(real))
    return float(np.nextafter(real[allowed], np.inf)) if allowed < len(real) else -np.inf


def allowed_false_positives(rate: float, real: int) -> int:
    """Return how many of `real` images may be predicted synthetic at a false-positive rate."""
    return int(rate * real + 1e-9)  # counts are whole, products of rates need not be


def least_cost_threshold(label: ArrayLike, score: ArrayLike, costs: Costs) -> float:
    """Return the threshold of least expected cost; among equals the highest.

    How many of *these* images are synthetic does not matter.

    Returns
    -------
    float
        An observed score, or inf where predicting nothing synthetic costs least.

    Raises
    ------
    UserError
        If a class is missing, or the costs are out of range.
    """
    if not 0 < costs.prevalence < 1 or not costs.fn_cost > 0:
        raise UserError("a prevalence lies between 0 and 1, and a false negative costs above 0")
    labels, scores = checked(label, score, both=True)
    tp, fp = (found[0] / found[0, -1] for found in next(cumulative_counts(labels, scores)))
    thresholds = np.append(np.inf, np.unique(scores)[::-1])
    return float(thresholds[np.argmin(np.round(costs.of(fp, tp), 12))])


def rates_at(label: ArrayLike, score: ArrayLike, threshold: float) -> tuple[float, float]:
    """Return false-positive rate and recall of ``score >= threshold``; NaN of a missing class."""
    labels, predicted = np.asarray(label), np.asarray(score, dtype=np.float64) >= threshold
    fpr, recall = (
        float(own.mean()) if len(own := predicted[labels == kind]) else np.nan for kind in (0, 1)
    )
    return fpr, recall
