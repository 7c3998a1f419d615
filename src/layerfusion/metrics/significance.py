"""What several tests at once are worth, and whether a group of images lies above the rest."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 19_999  # of a permutation test: no p-value is below 1 / (1 + draws)
DEALS = 500  # of them in memory at once


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


def groups_above_the_rest(
    value: ArrayLike, groups: ArrayLike, strata: ArrayLike | None = None
) -> NDArray[np.float64]:
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
    strata
        The source of each image, shape (n,): values are dealt within sources alone, so that a group
        is compared with other images of its own sources. None: among all images.

    Returns
    -------
    NDArray
        Shape (groups,), float64 in (0, 1]; 1 of a group that is empty or holds all images, also all
        of those sources that it has any of.

    Raises
    ------
    ValueError
        If shapes do not fit, or a value is NaN.
    """
    values, members = np.asarray(value, dtype=np.float64), np.asarray(groups, dtype=bool)
    if members.ndim != 2 or members.shape[1:] != values.shape or np.isnan(values).any():
        raise ValueError(f"values {values.shape} and groups {members.shape} do not fit, or are NaN")
    rng, weights = np.random.default_rng(0), members.astype(np.float64)
    own = np.zeros(len(values)) if strata is None else np.asarray(strata)
    alike = [np.flatnonzero(own == name) for name in np.unique(own)]
    # Sums of thirds differ in their last bits by the order in which they are taken.
    reached = weights @ values - 1e-9
    at_least = np.zeros(len(members), dtype=np.int64)
    for first in range(0, DRAWS, DEALS):
        dealt = np.tile(values, (min(DEALS, DRAWS - first), 1))
        for same in alike:
            dealt[:, same] = rng.permuted(dealt[:, same], axis=1)
        at_least += (weights @ dealt.T >= reached[:, None]).sum(axis=1)
    return (1 + at_least) / (1 + DRAWS)
