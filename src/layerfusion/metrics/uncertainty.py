"""How sure a number is: over other images (bootstrap) and over other trainings (seeds).

A metric here is not one value but a row of them, shape (1 + resamples,), float64: first its value
on the images themselves, the *estimate*, then its *replicates*, one for each bootstrap resample of
the images. Rows of the same resamples are subtracted value by value; that is what makes a
comparison *paired*. Where a metric is not defined, its value is NaN.

A resample is a count an image, how often it was drawn, and metrics are computed from these counts:
scores are sorted once, and nothing is copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from layerfusion.metrics.rates import ranking_metrics

LEVEL = 0.95

_ROWS = 64  # resamples to a step: enough for speed, few enough for memory (10,000 images: 5 MB)


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval of confidence `LEVEL` around it."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class SeedInterval(Interval):
    """The mean over seeds, and what its interval is made of (see `seed_interval`).

    Attributes
    ----------
    seed_sd
        Standard deviation of the estimates between seeds, s.
    image_se
        Bootstrap standard error of the mean over seeds, from the sampling of images.
    seeds
        Number of seeds, n.
    """

    seed_sd: float
    image_se: float
    seeds: int


def evaluate(
    label: ArrayLike, score: ArrayLike, threshold: float, *, resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the paper's metrics of scored images, each with its interval over other images.

    Parameters
    ----------
    label
        0 (real) or 1 (synthetic), shape (n,).
    score
        Probabilities or logits, shape (n,). Logits rank better: probabilities round to 1.
    threshold
        On the scale of `score`: an image is called synthetic where ``score >= threshold``. Chosen
        on other images than these, or the numbers flatter.
    resamples, seed
        As in `resample_images`.

    Returns
    -------
    DataFrame
        Index: accuracy, precision, recall, f1, roc_auc, average_precision. Columns: ``estimate``,
        ``low`` and ``high``, the interval of confidence `LEVEL`.

    Raises
    ------
    UserError
        If labels are not 0 and 1, one class is missing, the arrays differ in length, or a score is
        NaN.
    """
    ranking_metrics(label, score)  # objects to what is no pair of labels and scores
    labels, scores = np.asarray(label, dtype=np.int64), np.asarray(score, dtype=np.float64)
    counts = resample_images(labels, resamples=resamples, seed=seed)
    values = resampled_rates(labels, scores >= threshold, counts)
    values["roc_auc"] = resampled_roc_auc(labels, scores, counts)
    values["average_precision"] = resampled_average_precision(labels, scores, counts)
    rows = {name: vars(image_interval(replicates)) for name, replicates in values.items()}
    return pd.DataFrame.from_dict(rows, orient="index", dtype=float)


def resample_images(
    label: ArrayLike, *, resamples: int = 1000, seed: int | Sequence[int] = 0
) -> NDArray[np.int32]:
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


def with_known_spread(label: ArrayLike, counts: NDArray[np.int32]) -> NDArray[np.int32]:
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
    label: ArrayLike, called: ArrayLike, counts: NDArray[np.int32]
) -> dict[str, NDArray[np.float64]]:
    """Return ``accuracy``, ``precision``, ``recall`` and ``f1`` of calling images synthetic.

    Parameters
    ----------
    label, called
        0 or 1 and whether the image is called synthetic, shape (n,).
    counts
        As `resample_images` returns them, or some of their columns; shape (rows, n).

    Returns
    -------
    dict
        Of arrays of shape (rows,). As in `layerfusion.metrics.rates`, a rate whose denominator is
        zero is 0; of rows without any synthetic image it is NaN, the accuracy of rows without any
        image.
    """
    labels, calls = np.asarray(label) == 1, np.asarray(called, dtype=bool)
    groups = np.stack([labels & calls, ~labels & calls, labels], axis=1)
    tp, fp, positives = (counts @ groups.astype(np.int32)).T.astype(np.float64)
    defined = np.where(positives > 0, 1.0, np.nan)
    images = counts.sum(axis=1, dtype=np.float64)
    return {
        "accuracy": np.where(images > 0, _ratio(images - fp - (positives - tp), images), np.nan),
        "precision": _ratio(tp, tp + fp) * defined,
        "recall": _ratio(tp, positives) * defined,
        "f1": _ratio(2 * tp, tp + fp + positives) * defined,
    }


def resampled_roc_auc(
    label: ArrayLike, score: ArrayLike, counts: NDArray[np.int32]
) -> NDArray[np.float64]:
    r"""Return ROC AUC: the chance that a synthetic image outranks a real one, ties counting half.

    .. math:: \frac{\sum_{i: y_i = 1} w_i \left(\sum_{j: y_j = 0} w_j
              ([s_j < s_i] + \tfrac12 [s_j = s_i])\right)}
              {\sum_{i: y_i = 1} w_i \; \sum_{j: y_j = 0} w_j}

    (Mann-Whitney), the inner sums read off one cumulative sum over the sorted scores.

    Parameters
    ----------
    label, score
        0 or 1, and real numbers of which only the order matters, shape (n,).
    counts
        w, as `resample_images` returns it, or some of its columns; shape (rows, n).

    Returns
    -------
    NDArray
        Shape (rows,); NaN in rows that lack one of the classes.
    """
    labels, scores = np.asarray(label), np.asarray(score, dtype=np.float64)
    order = np.argsort(scores, kind="stable")
    ranked, synthetic = scores[order], np.flatnonzero(labels[order] == 1)
    first = np.searchsorted(ranked, ranked[synthetic], side="left")
    last = np.searchsorted(ranked, ranked[synthetic], side="right")
    real = (labels[order] == 0).astype(np.float64)
    auc = [np.empty(0)]
    for start in range(0, len(counts), _ROWS):
        w = counts[start : start + _ROWS, order].astype(np.float64)
        below = np.pad(np.cumsum(w * real, axis=1), ((0, 0), (1, 0)))  # real ones before position
        outranked = (below[:, first] + below[:, last]) / 2
        w_synthetic = w[:, synthetic]
        pairs = w_synthetic.sum(axis=1) * below[:, -1]
        won = (w_synthetic * outranked).sum(axis=1)
        auc.append(np.where(pairs > 0, _ratio(won, pairs), np.nan))
    return np.concatenate(auc)


def resampled_average_precision(
    label: ArrayLike, score: ArrayLike, counts: NDArray[np.int32]
) -> NDArray[np.float64]:
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
    labels, scores = np.asarray(label), np.asarray(score, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)[: len(scores)])
    synthetic = (labels[order] == 1).astype(np.float64)
    ap = [np.empty(0)]
    for start in range(0, len(counts), _ROWS):
        w = counts[start : start + _ROWS, order].astype(np.float64)
        tp = np.cumsum(w * synthetic, axis=1)[:, last]
        called = np.cumsum(w, axis=1)[:, last]
        gained = np.diff(tp, axis=1, prepend=0.0)
        positives = (w * synthetic).sum(axis=1)
        total = (gained * _ratio(tp, called)).sum(axis=1)
        ap.append(np.where(positives > 0, _ratio(total, positives), np.nan))
    return np.concatenate(ap)


def image_interval(values: NDArray[np.float64]) -> Interval:
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


def seed_interval(values: NDArray[np.float64]) -> SeedInterval:
    r"""Return the mean of an effect over seeds, with an interval for other seeds *and* images.

    .. math:: \bar e \pm t_{n-1,\,0.975}\,\mathrm{SE}, \qquad
              \mathrm{SE}^2 = \frac{s^2}{n} + \mathrm{SE}_\text{image}^2

    with :math:`s` the standard deviation of the effect between the n seeds, each on all images, and
    :math:`\mathrm{SE}_\text{image}` the standard deviation of the *mean over seeds* between
    bootstrap resamples of the images (all seeds are scored on the same images, so that a mean
    over more seeds does not average these out).

    Assumed: seeds and images are independent draws; their effects add up; the mean is about
    normally distributed. Two things make the interval rather too wide than too narrow: how seeds
    differ in *which* images they get wrong counts in both terms, and all of SE has the few degrees
    of freedom of s. It speaks of this training set and this recipe: other training images,
    encoders or benchmarks are not in it.

    Parameters
    ----------
    values
        Shape (n, 1 + resamples), n >= 2: each seed's estimate and replicates, of the same
        resamples. Replicates that are NaN in any seed are left out.

    Raises
    ------
    ValueError
        If there are fewer than two seeds.
    """
    n = len(values)
    if n < 2:
        raise ValueError("the spread between seeds needs two of them")
    means = values.mean(axis=0)
    replicates = means[1:][~np.isnan(means[1:])]
    seed_sd = float(np.std(values[:, 0], ddof=1))
    image_se = float(np.std(replicates, ddof=1)) if len(replicates) > 1 else np.nan
    reach = stats.t.ppf((1 + LEVEL) / 2, n - 1) * np.hypot(seed_sd / np.sqrt(n), image_se)
    mean = float(means[0])
    return SeedInterval(mean, mean - float(reach), mean + float(reach), seed_sd, image_se, n)


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return part / whole, and 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
