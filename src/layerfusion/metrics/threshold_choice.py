r"""A threshold for a custom data set: chosen on few images, judged on the others.

A detector meets images that score higher or lower than those its threshold was chosen on. What a
few dozen labelled images can mend is the level, one number: the threshold at which both errors
weigh the same (`layerfusion.metrics.calibration.balancing_threshold`).

Each image is predicted with a threshold that was chosen without it, which is fair to the threshold,
but not to the decision: a new one is taken only where it came out well on these images, and the old
one is kept only where that did. With few images part of that is luck: `optimism` measures how much,
by repeating the whole where the truth is known. Images are drawn whose scores spread as the real
ones do (their density, smoothed with Silverman's width h), the choice is made on them, and wherever
it ends as it did, its announced rates are compared with what the threshold does there,

.. math:: P(\text{real correct}) = \frac{1}{n} \sum_i \Phi\Big(\frac{t - z_i}{h}\Big), \qquad
          P(\text{synthetic correct}) = \frac{1}{m} \sum_j \Phi\Big(\frac{z_j - t}{h'}\Big)

The mean difference is subtracted. It takes away most of the selection bias, not all of it: what is
drawn from is made of the same lucky images.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from layerfusion.metrics.calibration import balancing_threshold
from layerfusion.metrics.groups import correct_by_class
from layerfusion.metrics.held_out import fewest_groups, folds, held_out, out_of_fold, resampled
from layerfusion.metrics.probability import decide, threshold_logit
from layerfusion.metrics.uncertainty import LEVEL, Interval, Labels, Values

FOLDS = 10
DRAWS = 200
NARROWEST = 1e-9  # width of the smoothing, where all scores are the same


@dataclass(frozen=True)
class ThresholdChoice:
    """The threshold that a detector had, the one its user's images ask for, and which it gets.

    Attributes
    ----------
    old
        Probability from which an image is predicted synthetic.
    new
        What these images ask for, with 95 % of the choices on resamples of them; NaN where nobody
        has chosen again.
    held_out
        Whether each image is predicted synthetic by a threshold that was chosen without it, (n,).
    gain
        Of the balanced accuracy, new minus old, in [-1, 1], of these predictions.
    before
        Whether each image is predicted synthetic by `old`, shape (n,).
    elsewhere
        The same estimate with thresholds that were chosen without the image's folder; None where a
        class has one folder alone.
    """

    old: float
    new: Interval
    held_out: NDArray[np.bool_]
    gain: Interval
    before: NDArray[np.bool_]
    elsewhere: float | None = None

    @property
    def changed(self) -> bool:
        """Whether the new threshold is taken: where the interval of the gain lies above 0."""
        return self.gain.low > 0

    @property
    def threshold(self) -> float:
        """The threshold that is taken."""
        return self.new.estimate if self.changed else self.old

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Whether each image is predicted synthetic, (n,): by `old` if it is kept, or held out."""
        return self.held_out if self.changed else self.before


def choose(
    label: ArrayLike, logit: ArrayLike, old: float, folder: ArrayLike | None = None
) -> ThresholdChoice:
    """Choose a threshold, judge it, and keep the old one unless the new one is surely better.

    Parameters
    ----------
    label, logit
        0 or 1, at least two of each, and real, shape (n,).
    old
        The detector's threshold, a probability.
    folder
        Where each image comes from, shape (n,); None if that is not known.

    Raises
    ------
    UserError
        If a class is missing.
    """
    labels, logits = np.asarray(label, dtype=np.int64), np.asarray(logit, dtype=np.float64)
    choice, elsewhere = try_new(labels, logits, old), None
    again = [made for made, _ in held_out(balancing_threshold, resampled(labels), labels, logits)]
    low, high = np.quantile(again, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if folder is not None and fewest_groups(labels, np.asarray(folder)) > 1:
        left_out = held_out_predictions(labels, logits, folder)
        elsewhere = balanced_gain(labels, choice.before, left_out).estimate
    new = Interval(choice.new.estimate, float(low), float(high))
    return replace(choice, new=new, elsewhere=elsewhere)


def try_new(label: Labels, logit: Values, old: float) -> ThresholdChoice:
    """Choose a threshold as `choose` does, once, and judge it; the arguments are those of it."""
    new, predicted = balancing_threshold(label, logit), held_out_predictions(label, logit)
    before = decide(logit, old)
    gain = balanced_gain(label, before, predicted)
    return ThresholdChoice(old, Interval(new, np.nan, np.nan), predicted, gain, before)


def held_out_predictions(
    label: ArrayLike, logit: ArrayLike, folder: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """Return whether each image is predicted synthetic by a threshold that was chosen without it.

    Parameters
    ----------
    folder
        If given, shape (n,): the threshold is chosen without all of the image's folder.

    Returns
    -------
    NDArray
        Shape (n,), bool; of one division into ten folds, or as many as the scarcer class allows.
    """
    labels, logits = np.asarray(label, dtype=np.int64), np.asarray(logit, dtype=np.float64)

    def rule(label: Labels, logit: Values) -> Callable[..., Any]:
        # A division by folders may leave a class without images: the whole is the nearest then.
        both = len(np.unique(label)) == 2
        threshold = balancing_threshold(*((label, logit) if both else (labels, logits)))
        return partial(decide, threshold=threshold)

    divided = folds(labels, None if folder is None else np.asarray(folder), most=FOLDS)
    return out_of_fold(rule, divided, labels, logits).astype(bool)


def balanced_accuracy(label: ArrayLike, predicted: ArrayLike) -> Interval:
    """Return the mean of the shares of real and of synthetic images that are correctly classified.

    Its interval is made of Wilson's of both shares, which are independent, as Zou and Donner (2008)
    combine them: the distances of the ends from their estimates add up as squares.
    """
    real, synthetic = correct_by_class(label, predicted)
    middle = (real.estimate + synthetic.estimate) / 2
    below = np.hypot(real.estimate - real.low, synthetic.estimate - synthetic.low) / 2
    above = np.hypot(real.high - real.estimate, synthetic.high - synthetic.estimate) / 2
    return Interval(middle, float(middle - below), float(middle + above))


def balanced_gain(label: ArrayLike, before: ArrayLike, after: ArrayLike) -> Interval:
    r"""Return by how much the balanced accuracy of some predictions exceeds that of others.

    Of a class of n images let g be correctly classified only after and l only before. The interval
    is that of Bonett and Price (2012) for paired shares, with an image more of each kind,

    .. math:: \tilde g = \frac{g + 1}{n + 2}, \quad \tilde l = \frac{l + 1}{n + 2}, \quad
              \tilde g - \tilde l \pm 1.96
              \sqrt{\frac{\tilde g + \tilde l - (\tilde g - \tilde l)^2}{n + 2}}

    and that of the mean of both classes has the squares of these roots added. A bootstrap would
    not do: where few predictions flip, and these are what it is about, its resamples have
    few or none of them.

    Parameters
    ----------
    label, before, after
        0 or 1, both of them, and whether each image is predicted synthetic, shape (n,).
    """
    labels = np.asarray(label)
    change = (np.asarray(after) == labels).astype(int) - (np.asarray(before) == labels)
    estimate = middle = variance = 0.0
    for kind in (0, 1):
        own = change[labels == kind]
        n, g, lost = len(own) + 2, (own > 0).sum() + 1, (own < 0).sum() + 1
        shift = (g - lost) / n
        estimate += own.mean() / 2
        middle += shift / 2
        variance += ((g + lost) / n - shift**2) / n / 4
    reach = norm.ppf((1 + LEVEL) / 2) * np.sqrt(variance)
    low, high = np.clip([middle - reach, middle + reach], -1, 1)
    return Interval(float(estimate), float(low), float(high))


class Optimism(NamedTuple):
    """What to subtract from announced shares.

    Attributes
    ----------
    real, synthetic
        Of the share of each class that is correctly classified.
    gain
        Of what a new threshold gains in balanced accuracy.
    """

    real: float
    synthetic: float
    gain: float


def optimism(label: ArrayLike, logit: ArrayLike, old: float, *, changed: bool) -> Optimism:
    """Return how far the rates of `choose` are biased, on average over `DRAWS` samples.

    Samples are of as many images. Where the choice ends as it did on none of them, nothing is to be
    subtracted.

    Parameters
    ----------
    label, logit
        0 or 1, at least two of each, and real, shape (n,).
    old
        The detector's threshold, a probability.
    changed
        Whether a new one was taken.
    """
    labels, logits = np.asarray(label, dtype=np.int64), np.asarray(logit, dtype=np.float64)
    rng = np.random.default_rng(0)
    classes = [_Smoothed.of(logits[labels == kind]) for kind in (0, 1)]
    ordered = np.repeat([0, 1], [len(own.centres) for own in classes])
    found = []
    for _ in range(DRAWS):
        drawn = np.concatenate([own.draw(rng) for own in classes])
        trial = try_new(ordered, drawn, old)
        if trial.changed == changed:
            found.append(_difference(ordered, trial, classes))
    if not found:
        return Optimism(0.0, 0.0, 0.0)
    return Optimism(*(float(value) for value in np.mean(found, axis=0)))


def without(share: Interval, bias: float) -> Interval:
    """Return a share, and its interval, less what it is biased, in [0, 1]."""
    ends = np.clip(np.array([share.estimate, share.low, share.high]) - bias, 0, 1)
    return Interval(*(float(end) for end in ends))


class _Smoothed(NamedTuple):
    """The scores of a class, each of them spread as a normal distribution."""

    centres: Values
    width: float

    @classmethod
    def of(cls, logits: Values) -> "_Smoothed":
        quartiles = np.quantile(logits, [0.25, 0.75])
        spreads = [logits.std(ddof=1), (quartiles[1] - quartiles[0]) / 1.34]
        spread = min([one for one in spreads if one > 0], default=0.0)
        return cls(logits, max(0.9 * spread * len(logits) ** -0.2, NARROWEST))

    def draw(self, rng: np.random.Generator) -> Values:
        """Return as many scores as there are, shape (n,)."""
        chosen = rng.choice(self.centres, len(self.centres))
        return np.asarray(chosen + rng.normal(0, self.width, len(chosen)))

    def below(self, logit: float) -> float:
        """Return the share of all scores that lie below one."""
        return float(norm.cdf((logit - self.centres) / self.width).mean())


def _difference(labels: Labels, trial: ThresholdChoice, classes: list[_Smoothed]) -> list[float]:
    """Return announced minus true: specificity, recall and gain."""
    announced = [share.estimate for share in correct_by_class(labels, trial.predicted)]
    true = {}
    for threshold in (trial.old, trial.new.estimate):
        real, synthetic = (own.below(threshold_logit(threshold)) for own in classes)
        true[threshold] = np.array([real, 1 - synthetic])
    gain = (true[trial.new.estimate] - true[trial.old]).sum() / 2
    return [*(announced - true[trial.threshold]), trial.gain.estimate - gain]
