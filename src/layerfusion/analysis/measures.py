"""A run's metrics under conditions, on the images and on shared resamples of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.data.manifest import Split
from layerfusion.errors import UserError
from layerfusion.metrics.probability import decide
from layerfusion.metrics.uncertainty import (
    resample_images,
    resampled_average_precision,
    resampled_rates,
    resampled_roc_auc,
    with_known_spread,
)
from layerfusion.runs.condition import condition_named

if TYPE_CHECKING:  # it loads torch, which takes seconds
    from layerfusion.runs.experiment import Experiment

Metric = Literal["accuracy", "precision", "recall", "f1", "roc_auc", "average_precision"]
Values = NDArray[np.float64]

RUNS = ("constrained", "open")

SPLITS: tuple[Split, ...] = ("val", "test")  # the paper's local and official images

RESAMPLES = 1000
RESAMPLING_SEED = 2026

# What depends on the order of the logits alone.
RANKING = {"roc_auc": resampled_roc_auc, "average_precision": resampled_average_precision}


class Measure(Protocol):
    """Where a comparison of the paper's two runs gets its numbers from."""

    def __call__(self, metric: Metric, run: str, *, on: str = "local") -> Values:
        """Return a metric of a run under a condition, shape (1 + resamples,), the estimate first.

        Raises
        ------
        LookupError
            If there is no such number.
        """


def resamples(experiment: "Experiment") -> dict[Split, NDArray[np.int32]]:
    """Draw the resamples on which runs are compared, the splits' own independent ones.

    The same images give the same resamples, so that whatever is compared on them is paired.

    Returns
    -------
    dict
        By split, ``val`` and ``test``: as `layerfusion.metrics.uncertainty.resample_images`, shape
        (1 + 1000, images), emptied by `with_known_spread`. A split without images, or with images
        without labels, is left out.
    """
    return resamples_of(
        {split: experiment.manifest.select(split=split).rows["label"] for split in SPLITS}
    )


def resamples_of(labels: Mapping[Split, pd.Series]) -> dict[Split, NDArray[np.int32]]:
    """Draw the very resamples that `resamples` draws, of labels by split, in the manifest's order.

    Parameters
    ----------
    labels
        0, 1 or <NA> of every image of a split, shape (images,); splits that are not in `SPLITS`
        are passed over.

    Returns
    -------
    dict
        As `resamples` does.
    """
    drawn = {}
    for number, split in enumerate(SPLITS):
        own = labels.get(split, pd.Series(dtype="Int8"))
        if len(own) and own.notna().all():
            seed = [RESAMPLING_SEED, number]
            counted = own.to_numpy(dtype=np.int64)
            counts = resample_images(counted, resamples=RESAMPLES, seed=seed)
            drawn[split] = with_known_spread(counted, counts)
    return drawn


class RunMeasures:
    """The metrics of one run, at its own threshold, on images and their bootstrap resamples.

    Parameters
    ----------
    tables
        Its predictions by condition, as `layerfusion.runs.conditions.obtain_predictions` returns
        them, every table of a split in the same order. ``small`` reads those of ``local``.
    threshold
        The probability from which an image is predicted synthetic: chosen on clean validation
        images, used under every condition (as in the paper).
    counts
        By split, resamples of its images, as `layerfusion.metrics.uncertainty.resample_images`
        draws them.
    small_side
        Images whose shorter side is below are small, px; None where nothing is asked of them.
    """

    def __init__(
        self,
        tables: Mapping[str, pd.DataFrame],
        threshold: float,
        counts: Mapping[Split, NDArray[np.int32]],
        small_side: int | None,
    ) -> None:
        self._tables, self._threshold = tables, threshold
        self._counts, self._small_side = counts, small_side
        self._known: dict[tuple[str, str], Values] = {}

    def __call__(self, metric: Metric, on: str) -> Values:
        """Return a metric under a condition, shape (1 + resamples,), the estimate first."""
        if (metric, on) not in self._known:
            table, counts = self.images(on)
            labels = table["label"].to_numpy(dtype=np.int64)
            if metric in RANKING:
                found: dict[str, Values] = {
                    metric: RANKING[metric](labels, table["logit"].to_numpy(), counts)
                }
            else:
                called = decide(table["logit"], self._threshold)
                found = resampled_rates(labels, called, counts)
            self._known |= {(name, on): values for name, values in found.items()}
        return self._known[metric, on]

    def images(self, on: str) -> tuple[pd.DataFrame, NDArray[np.int32]]:
        """Return the predictions of a condition and the resamples of these images.

        Raises
        ------
        LookupError
            If the images have no labels, or were not scored.
        """
        condition = condition_named(on)
        table = self._tables.get("local" if condition.small else on)
        if table is None or (condition.small and self._small_side is None):
            raise LookupError("the images have no labels, or were not scored")
        counts = self._counts[condition.split]
        if not condition.small:
            return table, counts
        small = (table[["width", "height"]].min(axis=1) < self._small_side).to_numpy(dtype=bool)
        table = table[small]
        return table, with_known_spread(table["label"].to_numpy(dtype=np.int64), counts[:, small])


def run_measures(
    predictions: pd.DataFrame,
    thresholds: Mapping[tuple[str, int], float],
    small_side: int | None = None,
) -> dict[tuple[str, int], RunMeasures]:
    """Return the metrics of every variant and seed, all on the same resamples of the images.

    Parameters
    ----------
    predictions
        A row a ``variant``, ``seed``, ``condition`` and image: ``image_id``, ``label``, ``logit``,
        ``width`` and ``height``; the images of a condition in one order.
    thresholds
        By variant and seed, a probability; other rows are passed over.

    Raises
    ------
    UserError
        If two variants do not have the same images in the same order under a condition: what is
        subtracted image by image would be of different ones.
    """
    tables: dict[tuple[str, int], dict[str, pd.DataFrame]] = {cell: {} for cell in thresholds}
    first: dict[str, pd.DataFrame] = {}
    for names, rows in predictions.groupby(["variant", "seed", "condition"], sort=False):
        variant, seed, condition = cast(tuple[str, int, str], names)
        if (variant, seed) not in tables:
            continue
        table = rows.reset_index(drop=True)
        images = table[["image_id", "label"]]
        if not images.equals(first.setdefault(condition, images)):
            raise UserError(
                f"{variant}, seed {seed}, has other images under '{condition}' than the variants "
                "before it; the table of predictions is damaged"
            )
        tables[variant, seed][condition] = table.astype({"logit": "float64"})
    counts = resamples_of({condition_named(on).split: own["label"] for on, own in first.items()})
    return {
        cell: RunMeasures(
            {on: own for on, own in by.items() if condition_named(on).split in counts},
            thresholds[cell],
            counts,
            small_side,
        )
        for cell, by in tables.items()
    }
