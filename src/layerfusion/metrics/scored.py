"""Images and their scores by several seeds: what every table of groups and effects is made of."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.measured import Measured, MeasuredInterval
from layerfusion.metrics.probability import decide, probability
from layerfusion.metrics.thresholds import resampled_best_f1_threshold
from layerfusion.metrics.uncertainty import (
    Counts,
    Labels,
    Values,
    resampled_average_precision,
    resampled_rates,
    resampled_roc_auc,
    with_known_spread,
)

# Of more, sources are little but images, and the interval over these says the same.
MOST_SOURCES = 1000

Rate = Literal["accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "fpr"]
Metric = Literal[Rate, "threshold"]

# What readers call them, wherever they are shown.
METRIC_NAMES: dict[Metric, str] = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "f1": "F1",
    "recall": "recall",
    "precision": "precision",
    "fpr": "FPR",
    "accuracy": "accuracy",
}


def with_other_class(label: Labels, members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which images are members, all of one class, or of the other class; shape (images,)."""
    return np.asarray(members | (label != label[members][0]))


@dataclass(frozen=True)
class ScoredImages:
    """Images, their scores by seed, and resamples of them.

    Attributes
    ----------
    images
        A row an image: ``label`` (0 or 1), and what it may be grouped by. Where it has them,
        ``source`` and ``split`` say what is alike and what was drawn apart; a ``family`` of
        sources counts as one source.
    logits
        Shape (seeds, images), float64.
    counts
        Resamples, shape (1 + resamples, images), as
        `layerfusion.metrics.uncertainty.resample_images` draws them.
    thresholds
        Of each seed a probability, shape (seeds,); empty where only the ranking is asked for.
    seeds
        Their numbers; empty where nobody asks for them.
    decisions
        Whether each seed predicts each image synthetic, shape (seeds, images), where the scores are
        no logits; None where `thresholds` decide.
    """

    images: pd.DataFrame
    logits: Values
    counts: Counts
    thresholds: Values = field(default_factory=lambda: np.empty(0))
    seeds: tuple[int, ...] = ()
    decisions: NDArray[np.bool_] | None = None

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
        if self.decisions is not None:
            return self.decisions
        return decide(self.logits, self.thresholds[:, None])

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Whether each seed errs on each image, shape (seeds, images)."""
        return np.asarray(self.predicted != (self.label == 1))

    @cached_property
    def rates(self) -> dict[str, Values]:
        """``resampled_rates`` at the thresholds and ``fpr``, each (seeds, 1 + resamples)."""
        found = [resampled_rates(self.label, one, self.counts) for one in self.predicted]
        # The share of real images predicted synthetic is the recall of the opposite question.
        fpr = [
            resampled_rates(1 - self.label, one, self.counts)["recall"] for one in self.predicted
        ]
        rates = {name: np.stack([own[name] for own in found]) for name in found[0]}
        return rates | {"fpr": np.stack(fpr)}

    def values(self, metric: Metric) -> Values:
        """Return a metric, shape (seeds, 1 + resamples), estimates first."""
        if metric == "roc_auc":
            return self._by_seed(resampled_roc_auc)
        if metric == "average_precision":
            return self._by_seed(resampled_average_precision)
        if metric == "threshold":  # the one that these images choose, a probability
            return probability(self._by_seed(resampled_best_f1_threshold))
        return self.rates[metric]

    def measured(self, metric: Metric) -> Measured:
        """Return a metric on all images, on resamples of them, and without each source."""
        if metric not in self._measured:
            self._measured[metric] = self.measure(lambda images: images.values(metric))
        return self._measured[metric]

    @cached_property
    def _measured(self) -> dict[Metric, Measured]:
        """What was measured already: contrasts share variants."""
        return {}

    def measure(
        self,
        of: Callable[["ScoredImages"], Values],
        bounds: tuple[float, float] = (0, 1),
    ) -> Measured:
        """Return any number on all images, on resamples, and without each source.

        Parameters
        ----------
        of
            Of scored images, returns its value for each row of ``counts``, shape (seeds, rows).
        bounds
            The least and the largest value that there can be.
        """
        number, sources = self._sources
        kept = (number != np.arange(len(sources))[:, None]).astype(np.int32)
        values, left_out = of(self), of(replace(self, counts=kept))
        images = pd.Series(np.bincount(number, minlength=len(sources))[: len(sources)], sources)
        table = pd.DataFrame(left_out, columns=sources)
        return Measured(values[:, 0], values[:, 1:], table, images, bounds)

    def interval(self, metric: Metric) -> MeasuredInterval:
        """Return a metric's mean over seeds, with its interval."""
        return self.measured(metric).interval()

    def deciding(self, decisions: NDArray[np.bool_]) -> "ScoredImages":
        """Return the same images with other decisions; their sources are not looked up again."""
        other = replace(self, decisions=decisions)
        other.__dict__["_sources"] = self._sources  # where cached_property keeps it
        return other

    @cached_property
    def _sources(self) -> tuple[NDArray[np.int64], pd.MultiIndex]:
        """Each image's source by number, and the stratum (split, class) and name of each source."""
        images, unknown = self.images, pd.MultiIndex.from_arrays([[], []])
        if "source" in images and not images["source"].isna().any():
            names = images["source"].astype(str)
            if "family" in images:
                names = images["family"].fillna(names)
            split = images["split"].astype(str) + " " if "split" in images else ""
            named = pd.MultiIndex.from_arrays([split + self.classes, names])
            sources = named.unique().sort_values()
            if len(sources) <= MOST_SOURCES:
                return sources.get_indexer(named), sources
        return np.zeros(len(images), dtype=np.int64), unknown

    def subset(self, members: NDArray[np.bool_]) -> "ScoredImages":
        """Return some of the images; replicates of a class of one image will be NaN."""
        counts = with_known_spread(self.label[members], self.counts[:, members])
        own = None if self.decisions is None else self.decisions[:, members]
        return replace(
            self,
            images=self.images[members],
            logits=self.logits[:, members],
            counts=counts,
            decisions=own,
        )

    def against_others(self, members: NDArray[np.bool_]) -> Measured:
        """Return ROC AUC of images of one class with all images of the other class."""
        return self.subset(with_other_class(self.label, members)).measured("roc_auc")

    def _by_seed(self, metric: Callable[..., Values]) -> Values:
        return np.stack([metric(self.label, own, self.counts) for own in self.logits])
