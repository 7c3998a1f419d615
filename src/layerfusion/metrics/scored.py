"""Images and their scores by several seeds: what every table of groups and effects is made of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.probability import decide
from layerfusion.metrics.uncertainty import (
    Counts,
    Interval,
    Labels,
    Values,
    interval,
    resampled_average_precision,
    resampled_rates,
    resampled_roc_auc,
    with_known_spread,
)

Metric = Literal["accuracy", "precision", "recall", "f1", "roc_auc", "average_precision"]


def with_other_class(label: Labels, members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which images are members, all of one class, or of the other class; shape (images,)."""
    return np.asarray(members | (label != label[members][0]))


@dataclass(frozen=True)
class ScoredImages:
    """Images, their scores by seed, and resamples of them.

    Attributes
    ----------
    images
        A row an image: ``label`` (0 or 1), and what it may be grouped by, such as ``source``.
    logits
        Shape (seeds, images), float64.
    counts
        Resamples, shape (1 + resamples, images), as
        `layerfusion.metrics.uncertainty.resample_images` draws them.
    thresholds
        Of each seed a probability, shape (seeds,); empty where only the ranking is asked for.
    seeds
        Their numbers; empty where nobody asks for them.
    """

    images: pd.DataFrame
    logits: Values
    counts: Counts
    thresholds: Values = field(default_factory=lambda: np.empty(0))
    seeds: tuple[int, ...] = ()

    @cached_property
    def label(self) -> Labels:
        """The classes, shape (images,)."""
        return self.images["label"].to_numpy(dtype=np.int64)

    @property
    def classes(self) -> pd.Series:
        """The classes' names, shape (images,)."""
        return self.images["label"].map(CLASSES)

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Whether each seed predicts each image synthetic, shape (seeds, images)."""
        return decide(self.logits, self.thresholds[:, None])

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Whether each seed errs on each image, shape (seeds, images)."""
        return np.asarray(self.predicted != (self.label == 1))

    @cached_property
    def auc(self) -> Values:
        """ROC AUC, shape (seeds, 1 + resamples), estimates first; NaN without a class."""
        return self._by_seed(resampled_roc_auc)

    @cached_property
    def rates(self) -> dict[str, Values]:
        """``resampled_rates`` at the thresholds, each of shape (seeds, 1 + resamples)."""
        found = [resampled_rates(self.label, one, self.counts) for one in self.predicted]
        return {name: np.stack([own[name] for own in found]) for name in found[0]}

    def values(self, metric: Metric) -> Values:
        """Return a metric, shape (seeds, 1 + resamples), estimates first."""
        if metric == "roc_auc":
            return self.auc
        if metric == "average_precision":
            return self._by_seed(resampled_average_precision)
        return self.rates[metric]

    def interval(self, metric: Metric) -> Interval:
        """Return a metric's mean over seeds, with its interval."""
        return interval(self.values(metric))

    def subset(self, members: NDArray[np.bool_]) -> "ScoredImages":
        """Return some of the images; replicates of a class of one image will be NaN."""
        counts = with_known_spread(self.label[members], self.counts[:, members])
        return ScoredImages(
            self.images[members], self.logits[:, members], counts, self.thresholds, self.seeds
        )

    def against_others(self, members: NDArray[np.bool_]) -> Values:
        """Return `auc` of images of one class with all images of the other class."""
        return self.subset(with_other_class(self.label, members)).auc

    def _by_seed(self, metric: Callable[..., Values]) -> Values:
        return np.stack([metric(self.label, own, self.counts) for own in self.logits])
