r"""A threshold for somebody's own images: chosen on few of them, judged on the others.

A detector meets images that score higher or lower than those its threshold was chosen on. What a
few dozen labelled images can mend is the level, one number: the shift b of the logit with which the
mean probability is right where half of the images are synthetic
(`layerfusion.analysis.recalibration.fit_shift`). To shift logits by b and call synthetic from 0 on,
or to leave them and call synthetic from

.. math:: t = \sigma(-b)

on, is the same; here it is the threshold t, so that scores stay comparable with what is known of
the detector. Both errors weigh the same in it, however many images of each class there are. It
takes all images in, where the threshold of the largest F1 or accuracy hangs on the few beside it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from layerfusion.analysis.recalibration import fit_shift
from layerfusion.metrics.probability import decide
from layerfusion.metrics.uncertainty import LEVEL, Interval, resample_images, share_interval

FOLDS = 10
CHOICES = 500  # resamples on which a threshold is chosen anew
# Nearer to 0 or 1 a few images would decide nothing but how extreme the number looks.
NEAREST = 1e-5


class Trial(NamedTuple):
    """A new threshold, and how it does on images that did not choose it.

    Attributes
    ----------
    new
        What the images ask for, a probability.
    calls
        Whether each image is called synthetic by a threshold that was chosen without it, (n,).
    gain
        Of the balanced accuracy, new minus old, by these calls.
    """

    new: float
    calls: NDArray[np.bool_]
    gain: Interval

    @property
    def better(self) -> bool:
        """Whether it is surely better: the interval of the gain lies above 0."""
        return self.gain.low > 0


@dataclass(frozen=True)
class ThresholdChoice:
    """The threshold that a detector had, the one its user's images ask for, and which it gets.

    Attributes
    ----------
    old
        Probability from which an image was called synthetic.
    new
        What these images ask for, with 95 % of the choices on resamples of them.
    gain
        Of the balanced accuracy, new minus old, in [-1, 1]: each image is called by a threshold
        that was chosen without it.
    elsewhere
        The same estimate with thresholds that were chosen without the image's folder; None where a
        class has one folder alone.
    called
        Whether each image is called synthetic, shape (n,): by `old` if that is kept, else by
        thresholds that were chosen without it.
    """

    old: float
    new: Interval
    gain: Interval
    elsewhere: float | None
    called: NDArray[np.bool_]

    @property
    def changed(self) -> bool:
        """Whether the new threshold is taken: where the interval of the gain lies above 0."""
        return self.gain.low > 0

    @property
    def threshold(self) -> float:
        """The threshold that is taken."""
        return self.new.estimate if self.changed else self.old


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
    trial, before = try_new(labels, logits, old), decide(logits, old)
    new = Interval(trial.new, *_spread(labels, logits))
    elsewhere = None
    if folder is not None and _fewest(labels, np.asarray(folder)) > 1:
        left_out = held_out_calls(labels, logits, folder)
        elsewhere = balanced_gain(labels, before, left_out).estimate
    calls = trial.calls if trial.better else before
    return ThresholdChoice(old, new, trial.gain, elsewhere, calls)


def try_new(label: NDArray[np.int64], logit: NDArray[np.float64], old: float) -> Trial:
    """Choose a threshold as `choose` does, and judge it; the arguments are those of `choose`."""
    new, calls = balancing_threshold(label, logit), held_out_calls(label, logit)
    return Trial(new, calls, balanced_gain(label, decide(logit, old), calls))


def balancing_threshold(label: ArrayLike, logit: ArrayLike) -> float:
    """Return the threshold t of this module on the probability, in [`NEAREST`, 1 - `NEAREST`].

    Raises
    ------
    UserError
        If a class is missing.
    """
    at_zero = float(fit_shift(label, logit)(np.zeros(1))[0])  # sigmoid(b)
    return float(np.clip(1 - at_zero, NEAREST, 1 - NEAREST))


def held_out_calls(
    label: ArrayLike, logit: ArrayLike, folder: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """Return whether each image is called synthetic by a threshold that was chosen without it.

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
    groups = np.arange(len(labels)) if folder is None else np.asarray(folder)
    kind = StratifiedKFold if folder is None else StratifiedGroupKFold
    folds = kind(min(FOLDS, _fewest(labels, groups)), shuffle=True, random_state=0)
    divided = folds.split(logits[:, None], labels, None if folder is None else groups)
    thresholds = np.empty(len(labels))
    for chosen, left in divided:
        # A division by folders may leave a class without images: the whole is the nearest then.
        both = len(np.unique(labels[chosen])) == 2
        own = (labels[chosen], logits[chosen]) if both else (labels, logits)
        thresholds[left] = balancing_threshold(*own)
    return decide(logits, thresholds)


def balanced_accuracy(label: ArrayLike, called: ArrayLike) -> Interval:
    """Return the mean of the shares of real and of synthetic images that are called rightly.

    Its interval is made of Wilson's of both shares, which are independent, as Zou and Donner (2008)
    combine them: the distances of the ends from their estimates add up as squares.
    """
    real, synthetic = (one for one in right_by_class(label, called))
    middle = (real.estimate + synthetic.estimate) / 2
    below = np.hypot(real.estimate - real.low, synthetic.estimate - synthetic.low) / 2
    above = np.hypot(real.high - real.estimate, synthetic.high - synthetic.estimate) / 2
    return Interval(middle, float(middle - below), float(middle + above))


def right_by_class(label: ArrayLike, called: ArrayLike) -> tuple[Interval, Interval]:
    """Return the share of real images, and of synthetic ones, that are called rightly (Wilson)."""
    labels, calls = np.asarray(label), np.asarray(called, dtype=bool)
    real, synthetic = (
        share_interval(int((calls[labels == kind] == kind).sum()), int((labels == kind).sum()))
        for kind in (0, 1)
    )
    return real, synthetic


def balanced_gain(label: ArrayLike, before: ArrayLike, after: ArrayLike) -> Interval:
    r"""Return by how much the balanced accuracy of some calls exceeds that of others.

    Of a class of n images let g be called rightly only after and l only before. The interval is
    that of Bonett and Price (2012) for paired shares, with an image more of each kind,

    .. math:: \tilde g = \frac{g + 1}{n + 2}, \quad \tilde l = \frac{l + 1}{n + 2}, \quad
              \tilde g - \tilde l \pm 1.96
              \sqrt{\frac{\tilde g + \tilde l - (\tilde g - \tilde l)^2}{n + 2}}

    and that of the mean of both classes has the squares of these roots added. A bootstrap would
    not do: where few images change sides, and these are what it is about, its resamples have
    few or none of them.

    Parameters
    ----------
    label, before, after
        0 or 1, both of them, and whether each image is called synthetic, shape (n,).
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


def _spread(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends between which 95 % of the choices on resamples lie."""
    found = [
        balancing_threshold(np.repeat(labels, drawn), np.repeat(logits, drawn))
        for drawn in resample_images(labels, resamples=CHOICES)[1:]
    ]
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _fewest(labels: NDArray[np.int64], groups: NDArray[np.generic]) -> int:
    """Return how many groups the class with the fewest has."""
    return min(len(np.unique(groups[labels == kind])) for kind in (0, 1))
