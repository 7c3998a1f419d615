"""A study's numbers from its predictions alone: anywhere, without an image or a weight."""

import math
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.analysis.claims import (
    Claim,
    Measure,
    Metric,
    RunMeasures,
    Values,
    claims_of,
    resamples_of,
    verdict,
)
from layerfusion.data.manifest import Split
from layerfusion.metrics.probability import probability
from layerfusion.metrics.uncertainty import image_interval, seed_interval
from layerfusion.runs.conditions import CONDITIONS
from layerfusion.settings import Blocks
from layerfusion.studies.predictions import Setup, by_run
from layerfusion.studies.record import ClaimEntry, StudyRecord, Value

METRICS: tuple[Metric, ...] = ("roc_auc", "f1", "precision", "recall")


def run_measures(
    predictions: pd.DataFrame, thresholds: Mapping[Setup, float], small_side: int
) -> dict[Setup, RunMeasures]:
    """Return the metrics of every run, on the same resamples of the images.

    Parameters
    ----------
    predictions
        As `layerfusion.studies.predictions.collect_predictions` returns them.
    thresholds
        Of every run: the probability from which an image is called synthetic.
    small_side
        Images whose shorter side is below are small, px.

    Raises
    ------
    UserError
        If runs were scored on different images.
    """
    apart = by_run(predictions)
    counts = _shared_resamples(next(iter(apart.values())))
    return {
        setup: RunMeasures(_measurable(tables, counts), thresholds[setup], counts, small_side)
        for setup, tables in apart.items()
    }


def measures_of(record: StudyRecord, predictions: pd.DataFrame) -> dict[Setup, RunMeasures]:
    """Return the metrics of every run of a recorded study, from its table of predictions.

    Raises
    ------
    UserError
        If runs were scored on different images.
    KeyError
        If the table has a run that the record lacks.
    """
    thresholds = {(run.seed, run.run, run.blocks): run.threshold for run in record.runs}
    small_side = record.settings["training"]["small_side"]
    return run_measures(
        predictions, {setup: thresholds[setup] for setup in by_run(predictions)}, small_side
    )


def recomputed_claims(record: StudyRecord, predictions: pd.DataFrame) -> list[ClaimEntry]:
    """Hold the claims of a recorded study against its predictions once more.

    Raises
    ------
    UserError
        If runs were scored on different images.
    """
    return claim_entries(measures_of(record, predictions), record.heads)


def claim_entries(
    measures: Mapping[Setup, RunMeasures], heads: Collection[str]
) -> list[ClaimEntry]:
    """Hold every claim that runs with these heads can answer against the runs of all seeds."""
    seeds = sorted({setup.seed for setup in measures})
    return [
        _entry(claim, [_of_seed(measures, seed) for seed in seeds]) for claim in claims_of(heads)
    ]


def values_of(measures: RunMeasures) -> dict[str, dict[Metric, Value]]:
    """Return a run's metrics by condition, each with its interval over images.

    Conditions whose images have no labels, or were not scored, are left out.
    """
    found: dict[str, dict[Metric, Value]] = {}
    for on in CONDITIONS:
        try:
            found[on] = {metric: _value(measures(metric, on)) for metric in METRICS}
        except LookupError:
            continue
    return found


def _shared_resamples(tables: Mapping[str, pd.DataFrame]) -> dict[Split, NDArray[np.int32]]:
    """Draw resamples of the images of each split, for all runs, by the tables of any of them."""
    return resamples_of(
        {CONDITIONS[condition].split: table["label"] for condition, table in tables.items()}
    )


def _measurable(
    tables: Mapping[str, pd.DataFrame], counts: Collection[Split]
) -> dict[str, pd.DataFrame]:
    """Return the tables of labelled images, with the probabilities that thresholds are held to."""
    return {
        condition: table.assign(probability=probability(table["logit"].to_numpy(dtype=np.float64)))
        for condition, table in tables.items()
        if CONDITIONS[condition].split in counts
    }


def _of_seed(measures: Mapping[Setup, RunMeasures], seed: int) -> Measure:
    """Return what the claims ask, answered by the runs of a seed."""

    def measure(metric: Metric, run: str, *, on: str = "local", blocks: Blocks = "all") -> Values:
        return measures[Setup(seed, run, blocks)](metric, on)

    return measure


def _entry(claim: Claim, seeds: list[Measure]) -> ClaimEntry:
    try:
        values = np.stack([claim.effect(measure) for measure in seeds])
    except LookupError:
        return ClaimEntry.not_measured(
            claim.name, claim.text, claim.paper_effect(), seeds=len(seeds)
        )
    found = seed_interval(values)
    return ClaimEntry(
        name=claim.name,
        text=claim.text,
        paper=claim.paper_effect(),
        effect=_number(found.estimate),
        low=_number(found.low),
        high=_number(found.high),
        verdict=verdict(found),
        seeds=found.seeds,
        per_seed=[_number(value) for value in values[:, 0].tolist()],
        seed_sd=_number(found.seed_sd),
        image_se=_number(found.image_se),
    )


def _value(values: Values) -> Value:
    found = image_interval(values)
    return Value(estimate=_number(found.estimate), low=_number(found.low), high=_number(found.high))


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value
