"""The paper's claims, one by one: what each would have to be, as a difference of two numbers.

A claim's effect is one formula, applied to the paper's own tables and to predictions alike. It is
written so that it is positive where the claim holds.

What every reader of these effects should know: checkpoint and threshold were chosen on the clean
validation images, which flatters *local* numbers, here as in the paper. Part of what other images
and degraded ones seem to cost is that. Resamples keep checkpoint and threshold as they are.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.data.manifest import Split
from layerfusion.metrics.probability import decide
from layerfusion.metrics.uncertainty import (
    Interval,
    resample_images,
    resampled_average_precision,
    resampled_rates,
    resampled_roc_auc,
    with_known_spread,
)
from layerfusion.paper import numbers as paper
from layerfusion.runs.condition import CONDITIONS
from layerfusion.runs.experiment import Experiment
from layerfusion.settings import Blocks

Metric = Literal["accuracy", "precision", "recall", "f1", "roc_auc", "average_precision"]
Verdict = Literal["holds", "does not hold", "undecided", "not measured"]
Values = NDArray[np.float64]

RUNS = ("constrained", "open")

SPLITS: tuple[Split, ...] = ("val", "test")  # the paper's local and official images

RESAMPLES = 1000
RESAMPLING_SEED = 2026

# The metrics that the paper compares, and its names for them.
COMPARED: dict[Metric, str] = {"roc_auc": "AUC", "f1": "F1"}


# What depends on the order of the logits alone.
RANKING = {"roc_auc": resampled_roc_auc, "average_precision": resampled_average_precision}


class Measure(Protocol):
    """Where a claim's formula gets its numbers from."""

    def __call__(
        self, metric: Metric, run: str, *, on: str = "local", blocks: Blocks = "all"
    ) -> Values:
        """Return a metric of a run under a condition, a name in `CONDITIONS`.

        `blocks` is the head's: ``all``, or ``last`` or ``mean`` for an ablation. The shape is
        (1 + resamples,), the estimate first, as everywhere in `layerfusion.metrics.uncertainty`.

        Raises
        ------
        LookupError
            If there is no such number.
        """


@dataclass(frozen=True)
class Claim:
    """One statement of the paper: a name for files, a sentence, and the effect it is about."""

    name: str
    text: str
    effect: Callable[[Measure], Values]

    def paper_effect(self) -> float | None:
        """Return the effect in the paper's own tables; None where these do not have it."""
        try:
            return float(self.effect(_paper_measure)[0])
        except LookupError:
            return None


def verdict(interval: Interval) -> Verdict:
    """Say whether a claim holds: undecided unless its whole interval lies on one side of 0.

    An effect that is not defined on these images (NaN) is undecided.
    """
    if interval.low > 0:
        return "holds"
    return "does not hold" if interval.high < 0 else "undecided"


def resamples(experiment: Experiment) -> dict[Split, NDArray[np.int32]]:
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
        The probability from which an image is called synthetic: chosen on clean validation images,
        used under every condition (as in the paper).
    counts
        By split, resamples of its images, as `layerfusion.metrics.uncertainty.resample_images`
        draws them.
    small_side
        Images whose shorter side is below are small, px.
    """

    def __init__(
        self,
        tables: Mapping[str, pd.DataFrame],
        threshold: float,
        counts: Mapping[Split, NDArray[np.int32]],
        small_side: int,
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
        condition = CONDITIONS[on]
        table = self._tables.get("local" if condition.small else on)
        if table is None:
            raise LookupError("the images have no labels, or were not scored")
        counts = self._counts[condition.split]
        if not condition.small:
            return table, counts
        small = (table[["width", "height"]].min(axis=1) < self._small_side).to_numpy(dtype=bool)
        table = table[small]
        return table, with_known_spread(table["label"].to_numpy(dtype=np.int64), counts[:, small])


def _paper_measure(
    metric: Metric, run: str, *, on: str = "local", blocks: Blocks = "all"
) -> Values:
    """Look a metric up in the paper's tables; shape (1,), for there is nothing to resample."""
    value = paper.reported(metric, run, on) if blocks == "all" else None
    if value is None:
        raise LookupError(f"the paper has no {metric} of the {run} run, {on}, {blocks} blocks")
    return np.array([value])


def _gain(metric: Metric, *, on: str = "local") -> Callable[[Measure], Values]:
    """From the constrained run to the open one."""
    return lambda of: of(metric, "open", on=on) - of(metric, "constrained", on=on)


def _loss(metric: Metric, run: str, *, on: str) -> Callable[[Measure], Values]:
    """From clean local images to another condition."""
    return lambda of: of(metric, run) - of(metric, run, on=on)


def _fusion_gain(run: str, blocks: Blocks) -> Callable[[Measure], Values]:
    """From an ablation to learned weights of all blocks."""
    return lambda of: of("roc_auc", run) - of("roc_auc", run, blocks=blocks)


def _open_above_constrained(on: str) -> list[Claim]:
    return [
        Claim(
            f"open-above-constrained-{on}-{metric}",
            f"open above constrained, {on} {name}",
            _gain(metric, on=on),
        )
        for metric, name in COMPARED.items()
    ]


def _lower(on: str, text: str) -> list[Claim]:
    return [
        Claim(f"{on}-lower-{metric}-{run}", text.format(name, run), _loss(metric, run, on=on))
        for metric, name in COMPARED.items()
        for run in RUNS
    ]


def _ablation(blocks: Blocks, text: str) -> tuple[Claim, ...]:
    """Fusion held against an ablation of it, in both runs."""
    return tuple(
        Claim(f"fusion-above-{blocks}-{run}", text.format(run), _fusion_gain(run, blocks))
        for run in RUNS
    )


# In the paper's order.
PAPER_CLAIMS: tuple[Claim, ...] = (
    *_open_above_constrained("local"),
    Claim(
        "gain-mostly-recall",
        "open data raises local recall more than precision",
        lambda of: _gain("recall")(of) - _gain("precision")(of),
    ),
    *_open_above_constrained("official"),
    *_lower("official", "official {} below local, {} run"),
    *_lower("jpeg", "JPEG 85 lowers {}, {} run"),
    *_lower("launder", "laundering lowers {}, {} run"),
    *(
        Claim(
            f"small-lower-f1-{run}",
            f"small images have lower F1 than all, {run} run",
            _loss("f1", run, on="small"),
        )
        for run in RUNS
    ),
    Claim(
        "small-gain-most",
        "small images gain more F1 from open data than all",
        lambda of: _gain("f1", on="small")(of) - _gain("f1")(of),
    ),
)

# By the head (a value of ``head.blocks``) that fusion is held against. They are claimed of the
# method ("the final embedding is not necessarily the only useful representation"), but the paper
# has no ablation of it.
ABLATION_CLAIMS: dict[str, tuple[Claim, ...]] = {
    "last": _ablation("last", "fusion of all blocks above the last alone, local AUC, {} run"),
    "mean": _ablation("mean", "fusion of all blocks above their mean, local AUC, {} run"),
}

CLAIMS: tuple[Claim, ...] = (*PAPER_CLAIMS, *ABLATION_CLAIMS["last"])


def claims_of(heads: Collection[str]) -> tuple[Claim, ...]:
    """Return the claims that runs with these heads, values of ``head.blocks``, can answer."""
    ablations = [claim for head in heads for claim in ABLATION_CLAIMS.get(head, ())]
    return (*PAPER_CLAIMS, *ablations)
