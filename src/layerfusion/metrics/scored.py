"""The same images as several seeds of a detector score them: what tables of groups are made of."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.probability import decide
from layerfusion.metrics.uncertainty import (
    Values,
    resampled_rates,
    resampled_roc_auc,
    with_known_spread,
)


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
    """

    images: pd.DataFrame
    logits: NDArray[np.float64]
    counts: NDArray[np.int32]
    thresholds: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def label(self) -> NDArray[np.int64]:
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

    def subset(self, members: NDArray[np.bool_]) -> "ScoredImages":
        """Return some of the images; replicates of a class of one image will be NaN."""
        counts = with_known_spread(self.label[members], self.counts[:, members])
        return ScoredImages(self.images[members], self.logits[:, members], counts, self.thresholds)

    def auc(self, members: NDArray[np.bool_] | None = None) -> Values:
        """Return ROC AUC, of some of the images, shape (seeds, 1 + resamples), estimates first.

        It is NaN where they lack a class; its replicates are NaN where they have one image of one.
        """
        own = self if members is None else self.subset(members)
        return np.stack([resampled_roc_auc(own.label, one, own.counts) for one in own.logits])

    def against_others(self, members: NDArray[np.bool_]) -> Values:
        """Return `auc` of images of one class with all images of the other class."""
        kind = self.label[members][0]
        return self.auc(members | (self.label != kind))

    def rates(self) -> dict[str, Values]:
        """Return ``resampled_rates`` at the thresholds, each of shape (seeds, 1 + resamples)."""
        found = [resampled_rates(self.label, one, self.counts) for one in self.predicted]
        return {name: np.stack([own[name] for own in found]) for name in found[0]}
