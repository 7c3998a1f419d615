"""Metrics on resamples of the images, and how sure they are over other images (bootstrap).

A metric here is not one value but a row of them, shape (1 + resamples,), float64: first its value
on the images themselves, the *estimate*, then its *replicates*, one for each bootstrap resample of
the images. Rows of the same resamples are subtracted value by value; that is what makes a
comparison *paired*. Where a metric is not defined, its value is NaN.

A resample is a count an image, how often it was drawn, and metrics are computed from these counts:
scores are sorted once, and nothing is copied.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from layerfusion.errors import UserError

LEVEL = 0.95

# Shape (n,) and 0 or 1; shape (rows, n), how often each image counts; numbers of any shape.
Labels = NDArray[np.int64]
Counts = NDArray[np.int32]
Values = NDArray[np.float64]

_ROWS = 64  # resamples to a step: enough for speed, few enough for memory (10,000 images: 5 MB)


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval of confidence `LEVEL` around it."""

    estimate: float
    low: float
    high: float

    def row(self, name: str = "estimate") -> dict[str, float]:
        """Return the estimate by a name, with ``low`` and ``high``: columns of a table."""
        return {name: self.estimate, "low": self.low, "high": self.high}

    def columns(self, name: str) -> dict[str, float]:
        """Return the columns of one of several intervals: `name`, ``<name>_low``, ``_high``."""
        return {name: self.estimate, f"{name}_low": self.low, f"{name}_high": self.high}

    @property
    def complement(self) -> "Interval":
        """The interval of one minus the number, of a share."""
        return Interval(1 - self.estimate, 1 - self.high, 1 - self.low)


def checked(label: ArrayLike, score: ArrayLike, *, both: bool = False) -> tuple[Labels, Values]:
    """Return labels and scores as arrays, shape (n,).

    Raises
    ------
    UserError
        If labels are not 0 and 1, the arrays differ in length or are empty, a score is NaN, or one
        of the classes is missing where `both` are needed.
    """
    labels, scores = np.asarray(label), np.asarray(score, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape or len(labels) == 0:
        raise UserError(
            f"labels {labels.shape} and scores {scores.shape} must be two lists of equal length, "
            "not empty"
        )
    if not np.isin(labels, (0, 1)).all():
        raise UserError("labels must be 0 (real) or 1 (synthetic), every one of them")
    if np.isnan(scores).any():
        raise UserError(f"{int(np.isnan(scores).sum())} scores are not numbers (NaN)")
    if both and len(np.unique(labels)) < 2:
        raise UserError("both real and synthetic images are needed, and one of them is missing")
    return labels.astype(np.int64), scores


def resample_images(
    label: ArrayLike, *, resamples: int = 1000, seed: int | Sequence[int] = 0
) -> Counts:
    """Draw bootstrap resamples of images, as many real and synthetic ones as there are.

    Parameters
    ----------
    label
        0 (real) or 1 (synthetic), shape (n,). Classes are drawn apart (a stratified bootstrap):
        how many of each a benchmark has was somebody's decision, not chance.
    seed
        Non-negative; the same labels and seed give the same resamples.

    Returns
    -------
    NDArray
        Shape (1 + resamples, n), int32: how often each image counts. The first row is 1
        everywhere: the images themselves.
    """
    labels = np.asarray(label)
    rng = np.random.default_rng(seed)
    counts = np.ones((1 + resamples, len(labels)), dtype=np.int32)
    for value in np.unique(labels):
        members = np.flatnonzero(labels == value)
        equal = np.full(len(members), 1 / len(members))
        counts[1:, members] = rng.multinomial(len(members), equal, size=resamples)
    return counts


def with_known_spread(label: ArrayLike, counts: Counts) -> Counts:
    """Return resamples of some images, emptied where a class has one image alone.

    One image, drawn again, is always itself: an interval of no width, as if nothing were surer.
    Without a drawn image replicates are NaN, and so are the ends of the interval.

    Parameters
    ----------
    label
        0 or 1, shape (n,).
    counts
        As `resample_images` returns them, or some of their columns; shape (rows, n).
    """
    _, images = np.unique(np.asarray(label), return_counts=True)
    if not (images == 1).any():
        return counts
    emptied = np.zeros_like(counts)
    emptied[0] = counts[0]
    return emptied


def resampled_rates(
    label: ArrayLike, predicted: ArrayLike, counts: Counts | None = None
) -> dict[str, Values]:
    """Return ``accuracy``, ``precision``, ``recall`` and ``f1`` of images predicted synthetic.

    Parameters
    ----------
    label, predicted
        0 or 1 and whether the image is predicted synthetic, shape (n,).
    counts
        As `resample_images` returns them, or some of their columns; shape (rows, n).

    Returns
    -------
    dict
        Of arrays of shape (rows,). As in `layerfusion.metrics.rates`, a rate whose denominator is
        zero is 0; of rows without any synthetic image it is NaN, the accuracy of rows without any
        image.
    """
    counts = _once(label) if counts is None else counts
    labels, synthetic = np.asarray(label) == 1, np.asarray(predicted, dtype=bool)
    groups = np.stack([labels & synthetic, ~labels & synthetic, labels], axis=1)
    tp, fp, positives = (counts @ groups.astype(np.int32)).T.astype(np.float64)
    defined = np.where(positives > 0, 1.0, np.nan)
    images = counts.sum(axis=1, dtype=np.float64)
    return {
        "accuracy": np.where(images > 0, _ratio(images - fp - (positives - tp), images), np.nan),
        "precision": _ratio(tp, tp + fp) * defined,
        "recall": _ratio(tp, positives) * defined,
        "f1": _ratio(2 * tp, tp + fp + positives) * defined,
    }


def resampled_roc_auc(label: ArrayLike, score: ArrayLike, counts: Counts | None = None) -> Values:
    r"""Return ROC AUC: the chance that a synthetic image outranks a real one, ties counting half.

    .. math:: \frac{\sum_{i: y_i = 1} w_i \left(\sum_{j: y_j = 0} w_j
              ([s_j < s_i] + \tfrac12 [s_j = s_i])\right)}
              {\sum_{i: y_i = 1} w_i \; \sum_{j: y_j = 0} w_j}

    (Mann-Whitney), read off `cumulative_counts`.

    Parameters
    ----------
    label, score
        0 or 1, and real numbers of which only the order matters, shape (n,).
    counts
        w, as `resample_images` returns it, or some of its columns; shape (rows, n). None is the
        images themselves, a row.

    Returns
    -------
    NDArray
        Shape (rows,); NaN in rows that lack one of the classes.
    """

    def won(tp: Values, fp: Values) -> Values:
        outranked = (np.diff(fp, axis=1) * (tp[:, 1:] + tp[:, :-1]) / 2).sum(axis=1)
        return _share(outranked, tp[:, -1] * fp[:, -1])

    return _over_rows(label, score, counts, won)


def resampled_average_precision(
    label: ArrayLike, score: ArrayLike, counts: Counts | None = None
) -> Values:
    r"""Return average precision, images of equal score taken together, as scikit-learn does.

    .. math:: \mathrm{AP} = \sum_k (R_k - R_{k-1}) P_k

    with precision :math:`P_k` and recall :math:`R_k` at each distinct score, from the highest down.

    Parameters
    ----------
    label, score
        0 or 1, and real numbers of which only the order matters, shape (n,).
    counts
        As `resample_images` returns it, or some of its columns; shape (rows, n).

    Returns
    -------
    NDArray
        Shape (rows,); NaN in rows without a synthetic image.
    """

    def area(tp: Values, fp: Values) -> Values:
        precision = _ratio(tp[:, 1:], (tp + fp)[:, 1:])
        return _share((np.diff(tp, axis=1) * precision).sum(axis=1), tp[:, -1])

    return _over_rows(label, score, counts, area)


def resampled_recall_at(
    label: ArrayLike, score: ArrayLike, rate: ArrayLike, counts: Counts
) -> Values:
    """Return the recall of the lowest threshold whose false-positive rate does not exceed `rate`.

    Thresholds are observed scores, and images of equal score are predicted alike. (No curve is
    drawn between them: a detector has only the points that it has.)

    Parameters
    ----------
    label, score, counts
        As in `resampled_roc_auc`.
    rate
        In [0, 1], a number or one for each row, shape (rows,).

    Returns
    -------
    NDArray
        Shape (rows,), float64; NaN in rows that lack one of the classes.
    """
    rates = np.broadcast_to(np.asarray(rate, dtype=np.float64), (len(counts),))
    found = [np.empty(0)]
    for tp, fp in cumulative_counts(label, score, counts):
        start = sum(map(len, found))
        # Counts are whole, products of rates need not be.
        allowed = rates[start : start + len(tp), None] * fp[:, -1:] + 1e-9
        recall = _share(np.where(fp <= allowed, tp, 0.0).max(axis=1), tp[:, -1])
        found.append(np.where(fp[:, -1] > 0, recall, np.nan))
    return np.concatenate(found)


def cumulative_counts(
    label: ArrayLike, score: ArrayLike, counts: Counts | None = None
) -> Iterator[tuple[Values, Values]]:
    """Yield true and false positives at every threshold that tells images apart, some rows a time.

    Parameters
    ----------
    label, score, counts
        As in `resampled_roc_auc`.

    Yields
    ------
    tuple
        Both of shape (rows, 1 + distinct scores): first 0, of no image predicted synthetic, then
        at each distinct score, from the highest down.
    """
    labels, scores = np.asarray(label), np.asarray(score, dtype=np.float64)
    counts = _once(label) if counts is None else counts
    order = np.argsort(-scores, kind="stable")
    ranked, synthetic = scores[order], labels[order] == 1
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)[: len(scores)])
    for start in range(0, len(counts), _ROWS):
        w = counts[start : start + _ROWS, order].astype(np.float64)
        tp = np.cumsum(w * synthetic, axis=1)[:, last]
        both = np.cumsum(w, axis=1)[:, last]
        yield tuple(np.pad(found, ((0, 0), (1, 0))) for found in (tp, both - tp))  # type: ignore[misc]


def image_interval(values: Values) -> Interval:
    """Return the percentile interval of a metric or of a difference of metrics.

    It says how far the number would move with other images of the same kind, for this one training.

    Parameters
    ----------
    values
        Estimate and replicates, shape (1 + resamples,). Replicates that are NaN are left out.
    """
    replicates = values[1:][~np.isnan(values[1:])]
    if len(replicates) == 0:
        return Interval(float(values[0]), np.nan, np.nan)
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(values[0]), float(low), float(high))


def share_interval(part: int, whole: int) -> Interval:
    """Return the share part / whole of images with Wilson's interval; NaN of no images."""
    if whole == 0:
        return Interval(np.nan, np.nan, np.nan)
    found = stats.binomtest(part, whole).proportion_ci(LEVEL, method="wilson")
    return Interval(part / whole, float(found.low), float(found.high))


def _ratio(part: Values, whole: Values) -> Values:
    """Return part / whole, and 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _share(part: Values, whole: Values) -> Values:
    """Return part / whole, and NaN where the whole is 0."""
    return np.where(whole > 0, _ratio(part, whole), np.nan)


def _once(label: ArrayLike) -> Counts:
    """Return counts of the images themselves, shape (1, n)."""
    return np.ones((1, len(np.asarray(label))), dtype=np.int32)


def _over_rows(
    label: ArrayLike, score: ArrayLike, counts: Counts | None, metric: Callable[..., Values]
) -> Values:
    """Return a metric of true and false positives for every row of counts."""
    found = [metric(tp, fp) for tp, fp in cumulative_counts(label, score, counts)]
    return np.concatenate([np.empty(0), *found])
