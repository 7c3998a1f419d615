"""Between logits and probabilities; here alone, so that scoring need not load what metrics do."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

# The logits at which the logistic function becomes 0 and 1 in float64.
SATURATION = (-np.log(np.finfo(np.float64).max), 53 * np.log(2))


def probability(logit: ArrayLike) -> NDArray[np.float64]:
    """Return the logistic function of logits, in float64, each in [0, 1]."""
    return np.asarray(expit(np.asarray(logit, dtype=np.float64)))


def threshold_logit(threshold: float) -> float:
    """Return the logit of a threshold on the probability, finite also for 0 and 1.

    A threshold of exactly 1 or 0 comes of scores whose probabilities float64 cannot tell apart any
    more; its logit is where they become so.
    """
    return float(np.clip(logit(threshold), *SATURATION))
