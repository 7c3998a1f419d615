r"""Tests for two detectors on the same images, and what several tests at once are worth.

They answer what a paired bootstrap (`layerfusion.metrics.uncertainty`) answers, from formulas: for
the ranking DeLong's test, for the decisions at given thresholds McNemar's. Both know of other
images alone; what other trainings would do is not in them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from layerfusion.errors import UserError
from layerfusion.metrics.uncertainty import LEVEL, Interval

DRAWS = 19_999  # of a permutation test: no p-value is below 1 / (1 + draws)
DEALS = 500  # of them in memory at once


@dataclass(frozen=True)
class TestedDifference(Interval):
    """A difference with its normal interval of confidence `LEVEL`, and the test that it is 0.

    Attributes
    ----------
    standard_error
        Of the estimate, over other images.
    p_value
        Two-sided, in [0, 1]: 1 of a difference of 0, NaN of another that has no standard error.
    """

    standard_error: float
    p_value: float


@dataclass(frozen=True)
class McNemar(TestedDifference):
    """Accuracy of one detector minus that of another, and on which images they differ.

    Attributes
    ----------
    only_first, only_second
        Numbers of images that one detector alone classifies correctly.
    """

    only_first: int
    only_second: int


def structural_components(
    label: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return what each image adds to the ROC AUC of detectors: DeLong's structural components.

    .. math:: V_{10}(x_i) = \frac1n \sum_j \psi(x_i, y_j), \qquad
              V_{01}(y_j) = \frac1m \sum_i \psi(x_i, y_j)

    with the m scores x of synthetic images and the n scores y of real ones, and :math:`\psi` = 1
    where x is the higher, 1/2 where they tie, 0 elsewhere (DeLong, DeLong and Clarke-Pearson 1988).
    Read off midranks, in n log n steps rather than m n (Sun and Xu 2014).

    Parameters
    ----------
    label
        0 (real) or 1 (synthetic), shape (images,).
    scores
        Real numbers of which only the order matters, shape (detectors, images).

    Returns
    -------
    tuple
        Of synthetic images, shape (detectors, m), and of real ones, shape (detectors, n); float64
        in [0, 1]. The mean of either is the AUC.

    Raises
    ------
    UserError
        If labels are not 0 and 1, one class is missing, shapes do not fit, or a score is NaN.
    """
    rows, labels = np.atleast_2d(np.asarray(scores, dtype=np.float64)), np.asarray(label)
    if labels.ndim != 1 or rows.shape[1:] != labels.shape:
        raise UserError(f"labels {labels.shape} and scores {rows.shape} are not of the same images")
    if set(np.unique(labels)) != {0, 1} or np.isnan(rows).any():
        raise UserError("labels must be 0 and 1, both of them, and scores must be numbers")
    synthetic = labels == 1
    x, y = rows[:, synthetic], rows[:, ~synthetic]
    ranks = stats.rankdata(rows, axis=1)
    above = (ranks[:, synthetic] - stats.rankdata(x, axis=1)) / y.shape[1]
    below = 1 - (ranks[:, ~synthetic] - stats.rankdata(y, axis=1)) / x.shape[1]
    return above, below


def delong_contrast(label: ArrayLike, scores: ArrayLike, weights: ArrayLike) -> TestedDifference:
    r"""Return a weighted sum of the ROC AUCs of detectors on the same images, tested against 0.

    .. math:: \hat\theta = \sum_k w_k \mathrm{AUC}_k, \qquad
              \mathrm{SE}^2 = \frac{\mathrm{var}_i \sum_k w_k V_{10}^k(x_i)}{m}
              + \frac{\mathrm{var}_j \sum_k w_k V_{01}^k(y_j)}{n}

    (DeLong, DeLong and Clarke-Pearson 1988, for one contrast). Weights (1, -1) compare
    two detectors; ±1/s, over s seeds of each, compare their means.

    Parameters
    ----------
    label, scores
        As in `structural_components`.
    weights
        Real, shape (detectors,).

    Returns
    -------
    TestedDifference
        With a standard error of NaN where a class has one image alone.

    Raises
    ------
    UserError
        As `structural_components`.
    """
    w = np.asarray(weights, dtype=np.float64)
    parts = [w @ components for components in structural_components(label, scores)]
    if min(map(len, parts)) < 2:
        return _normal(float(parts[0].mean()), np.nan)
    variance = sum(part.var(ddof=1) / len(part) for part in parts)
    return _normal(float(parts[0].mean()), float(np.sqrt(variance)))


def delong_test(label: ArrayLike, first: ArrayLike, second: ArrayLike) -> TestedDifference:
    """Return ROC AUC of the first detector minus that of the second, tested against 0.

    Parameters
    ----------
    label, first, second
        0 or 1, and two detectors' scores of the same images, shape (n,).

    Raises
    ------
    UserError
        If the arrays differ in length, or as `structural_components`.
    """
    if np.shape(first) != np.shape(second):
        raise UserError(f"scores {np.shape(first)} and {np.shape(second)} are not of one length")
    return delong_contrast(label, np.stack([np.asarray(first), np.asarray(second)]), [1, -1])


def mcnemar_test(label: ArrayLike, first: ArrayLike, second: ArrayLike) -> McNemar:
    r"""Test whether two detectors are equally often right (McNemar 1947, the exact form).

    Of the images that one alone classifies correctly, each detector would have half: the p-value is
    the binomial test's. Where there are none, it is 1. The interval of the difference is normal:
    with shares :math:`p_{10}`, :math:`p_{01}` of images that one alone classifies correctly,

    .. math:: \mathrm{SE}^2 = \frac{p_{10} + p_{01} - (p_{10} - p_{01})^2}{n}

    (Agresti, *Categorical Data Analysis*, 2nd ed. 2002, section 10.1).

    Parameters
    ----------
    label, first, second
        0 or 1, and whether each detector predicts the image synthetic, shape (n,).

    Raises
    ------
    UserError
        If the arrays differ in length or are empty.
    """
    labels, *calls = (np.asarray(values).astype(bool) for values in (label, first, second))
    if not len(labels) or any(call.shape != labels.shape for call in calls):
        raise UserError("labels and both detectors' decisions must be of one length, not empty")
    one, two = (call == labels for call in calls)
    only_first, only_second = int((one & ~two).sum()), int((two & ~one).sum())
    apart = only_first + only_second
    p = float(stats.binomtest(only_first, apart).pvalue) if apart else 1.0
    won, lost = only_first / len(labels), only_second / len(labels)
    error = float(np.sqrt((won + lost - (won - lost) ** 2) / len(labels)))
    found = _normal(won - lost, error)
    return McNemar(found.estimate, found.low, found.high, error, p, only_first, only_second)


def paired_mean_test(label: ArrayLike, value: ArrayLike) -> TestedDifference:
    r"""Return the mean over images of a difference between detectors, tested against 0.

    .. math:: \mathrm{SE}^2 = \sum_{c \in \{0, 1\}} \frac{n_c\, s_c^2}{(n_0 + n_1)^2}

    with the variance :math:`s_c^2` of the n_c images of a class: how many there are of each is no
    chance, as in `layerfusion.metrics.uncertainty.resample_images`. Of the decisions of two
    detectors it is McNemar's test for many images; a difference may also be a mean over seeds.

    Parameters
    ----------
    label
        0 or 1, shape (n,).
    value
        Real, such as right minus right of each image, shape (n,).

    Raises
    ------
    UserError
        If the arrays differ in length or are empty.
    """
    labels, values = np.asarray(label), np.asarray(value, dtype=np.float64)
    if labels.shape != values.shape or not len(labels):
        raise UserError("labels and differences must be of one length, not empty")
    classes = [values[labels == one] for one in np.unique(labels)]
    if min(map(len, classes)) < 2:
        return _normal(float(values.mean()), np.nan)
    variance = sum(len(own) * own.var(ddof=1) for own in classes) / len(labels) ** 2
    return _normal(float(values.mean()), float(np.sqrt(variance)))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    r"""Return p-values adjusted for being several (Holm 1979).

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\{1, (k - j + 1)\, p_{(j)}\}

    of k p-values in ascending order. Where those below 5 % are taken for differences, the chance
    that any of them is none is at most 5 %, however the tests hang together.

    Parameters
    ----------
    p_values
        In [0, 1], of any shape. NaN stays NaN and does not count.

    Returns
    -------
    NDArray
        Of the same shape, float64, each no smaller than before.

    Raises
    ------
    ValueError
        If one is no probability.
    """
    given = np.asarray(p_values, dtype=np.float64)
    if ((given < 0) | (given > 1)).any():
        raise ValueError("p-values must be between 0 and 1")
    p, adjusted = given.ravel(), np.full(given.size, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return adjusted.reshape(given.shape)


def groups_above_the_rest(value: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    r"""Return a p-value for each group of images: that its mean is above that of all by chance.

    A permutation test, one-sided: values are dealt to the images again and again, and

    .. math:: p = \frac{1 + b}{1 + \text{draws}}

    with the number b of deals that give the group a mean as high as it has, or higher
    (Phipson and Smyth 2010). Of one detector's errors it is Fisher's exact
    test of a group against the rest, drawn rather than counted; of a mean over seeds, whose errors
    on an image hang together, it still holds, for an image's value moves as a whole.

    Parameters
    ----------
    value
        Real, such as the share of seeds that err on an image, shape (n,).
    groups
        Which images are in each group, shape (groups, n), bool.

    Returns
    -------
    NDArray
        Shape (groups,), float64 in (0, 1]; 1 of a group that is empty or holds all images.

    Raises
    ------
    ValueError
        If shapes do not fit, or a value is NaN.
    """
    values, members = np.asarray(value, dtype=np.float64), np.asarray(groups, dtype=bool)
    if members.ndim != 2 or members.shape[1:] != values.shape or np.isnan(values).any():
        raise ValueError(f"values {values.shape} and groups {members.shape} do not fit, or are NaN")
    rng, weights = np.random.default_rng(0), members.astype(np.float64)
    # Sums of thirds differ in their last bits by the order in which they are taken.
    reached = weights @ values - 1e-9
    at_least = np.zeros(len(members), dtype=np.int64)
    for first in range(0, DRAWS, DEALS):
        dealt = rng.permuted(np.tile(values, (min(DEALS, DRAWS - first), 1)), axis=1)
        at_least += (weights @ dealt.T >= reached[:, None]).sum(axis=1)
    return (1 + at_least) / (1 + DRAWS)


def _normal(estimate: float, error: float) -> TestedDifference:
    reach = stats.norm.ppf((1 + LEVEL) / 2) * error
    if estimate == 0:
        p_value = 1.0
    else:
        p_value = float(2 * stats.norm.sf(abs(estimate) / error)) if error > 0 else np.nan
    return TestedDifference(estimate, estimate - reach, estimate + reach, error, p_value)
