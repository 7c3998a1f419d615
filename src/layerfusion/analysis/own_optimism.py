r"""How far the rates that a chosen threshold is announced with flatter it.

Each image is called by a threshold that was chosen without it, which is fair to the threshold, but
not to the decision: a new one is taken only where it came out well on these images, and the old one
is kept only where that did. With few images part of that is luck, and other images do not repeat
it. How much is found by repeating the whole in a world that is known: images are drawn whose scores
spread as the real ones do (their density, smoothed with Silverman's width h), the choice is made on
them, and wherever it ends as it did, its announced rates are held against what the threshold does
in that world,

.. math:: P(\text{real right}) = \frac{1}{n} \sum_i \Phi\Big(\frac{t - z_i}{h}\Big), \qquad
          P(\text{synthetic right}) = \frac{1}{m} \sum_j \Phi\Big(\frac{z_j - t}{h'}\Big)

The mean difference is subtracted. It takes away most of the bias, not all of it: that world is made
of the same lucky images.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from layerfusion.analysis.own_threshold import Trial, right_by_class, try_new
from layerfusion.metrics.probability import decide, threshold_logit
from layerfusion.metrics.uncertainty import Interval

DRAWS = 200
NARROWEST = 1e-9  # width of the smoothing, where all scores are the same


class Optimism(NamedTuple):
    """What to subtract from announced shares.

    Attributes
    ----------
    real, synthetic
        Of the share of each class that is called rightly.
    gain
        Of what a new threshold gains in balanced accuracy.
    """

    real: float
    synthetic: float
    gain: float


def optimism(
    label: ArrayLike, logit: ArrayLike, old: float, *, changed: bool, draws: int = DRAWS
) -> Optimism:
    """Return how far the rates of `layerfusion.analysis.own_threshold.choose` flatter, on average.

    Parameters
    ----------
    label, logit
        0 or 1, at least two of each, and real, shape (n,).
    old
        The detector's threshold, a probability.
    changed
        Whether a new one was taken.
    draws
        Samples of as many images that are drawn. Where the choice ends as it did on none of them,
        nothing is to be subtracted.
    """
    labels, logits = np.asarray(label, dtype=np.int64), np.asarray(logit, dtype=np.float64)
    rng = np.random.default_rng(0)
    classes = [_Smoothed.of(logits[labels == kind]) for kind in (0, 1)]
    ordered = np.repeat([0, 1], [len(own.centres) for own in classes])
    found = []
    for _ in range(draws):
        drawn = np.concatenate([own.draw(rng) for own in classes])
        trial = try_new(ordered, drawn, old)
        if trial.better == changed:
            found.append(_difference(ordered, drawn, old, trial, classes))
    if not found:
        return Optimism(0.0, 0.0, 0.0)
    return Optimism(*(float(value) for value in np.mean(found, axis=0)))


def without(share: Interval, flattery: float) -> Interval:
    """Return a share, and its interval, less what it flatters, in [0, 1]."""
    ends = np.clip(np.array([share.estimate, share.low, share.high]) - flattery, 0, 1)
    return Interval(*(float(end) for end in ends))


class _Smoothed(NamedTuple):
    """The scores of a class, each of them spread as a normal distribution."""

    centres: NDArray[np.float64]
    width: float

    @classmethod
    def of(cls, logits: NDArray[np.float64]) -> "_Smoothed":
        quartiles = np.quantile(logits, [0.25, 0.75])
        spreads = [logits.std(ddof=1), (quartiles[1] - quartiles[0]) / 1.34]
        spread = min([one for one in spreads if one > 0], default=0.0)
        return cls(logits, max(0.9 * spread * len(logits) ** -0.2, NARROWEST))

    def draw(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return as many scores as there are, shape (n,)."""
        chosen = rng.choice(self.centres, len(self.centres))
        return np.asarray(chosen + rng.normal(0, self.width, len(chosen)))

    def below(self, logit: float) -> float:
        """Return the share of all scores that lie below one."""
        return float(norm.cdf((logit - self.centres) / self.width).mean())


def _difference(
    labels: NDArray[np.int64],
    logits: NDArray[np.float64],
    old: float,
    trial: Trial,
    classes: list[_Smoothed],
) -> list[float]:
    """Return announced minus true: share of real, of synthetic images called rightly, and gain."""
    calls = trial.calls if trial.better else decide(logits, old)
    said = [share.estimate for share in right_by_class(labels, calls)]
    true = {
        threshold: _right(threshold_logit(threshold), classes) for threshold in (old, trial.new)
    }
    used = true[trial.new if trial.better else old]
    gain = trial.gain.estimate - (sum(true[trial.new]) - sum(true[old])) / 2
    return [said[0] - used[0], said[1] - used[1], gain]


def _right(logit: float, classes: list[_Smoothed]) -> tuple[float, float]:
    real, synthetic = (own.below(logit) for own in classes)
    return real, 1 - synthetic
