"""Logits, probabilities and the decision; apart, so that scoring need not load the metrics."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

# The logits at which the logistic function becomes 0 and 1 in float64.
SATURATION = (-np.log(np.finfo(np.float64).max), 53 * np.log(2))

# How far apart two logits of one image may lie, scored in batches of different sizes in fp32: last
# bits of 1e-7 were seen.
SAME_LOGIT = 4e-6


def probability(logit: ArrayLike) -> NDArray[np.float64]:
    """Return the logistic function of logits, in float64, each in [0, 1]."""
    return np.asarray(expit(np.asarray(logit, dtype=np.float64)))


def threshold_logit(threshold: float) -> float:
    """Return the logit of a threshold on the probability, finite also for 0 and 1.

    A threshold of exactly 1 or 0 comes of scores whose probabilities float64 cannot tell apart any
    more; its logit is where they become so.
    """
    return float(np.clip(logit(threshold), *SATURATION))


def decide(logit: ArrayLike, threshold: ArrayLike) -> NDArray[np.bool_]:
    r"""Return whether images are predicted synthetic: the one decision of the package.

    .. math:: \sigma(z + \epsilon) \ge t, \qquad \epsilon = 4 \cdot 10^{-6}

    A threshold is the score of an image, and this image is synthetic, also where it is scored in
    another batch and the last bits of its logit differ. The tolerance is on the logit, so that it
    means the same near 0, near 1 and between.

    Parameters
    ----------
    logit
        Shape (n,); NaN is predicted real.
    threshold
        A probability in [0, 1], or one an image.

    Returns
    -------
    NDArray
        Shape (n,), bool.
    """
    same = np.asarray(logit, dtype=np.float64) + SAME_LOGIT
    return probability(same) >= np.asarray(threshold)


def published_probability(logit: ArrayLike, threshold: ArrayLike) -> NDArray[np.float64]:
    """Return probabilities as tables publish them: at least the threshold just where `decide`.

    A score within the tolerance of the threshold is the threshold. Parameters are those of
    `decide`; shape (n,), NaN where a logit is.
    """
    below = probability(np.asarray(logit, dtype=np.float64) - SAME_LOGIT)
    at_threshold = decide(logit, threshold) & (below <= np.asarray(threshold))
    return np.where(at_threshold, threshold, probability(logit))
