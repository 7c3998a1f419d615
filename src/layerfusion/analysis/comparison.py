"""The paper's two runs side by side, on the same images and the same resamples of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.analysis.measures import (
    RUNS,
    Measure,
    Metric,
    RunMeasures,
    Values,
    resamples,
)
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.uncertainty import Interval, image_interval
from layerfusion.progress import Reporter
from layerfusion.runs.condition import CONDITIONS
from layerfusion.runs.conditions import obtain_predictions, obtain_together
from layerfusion.runs.experiment import Experiment
from layerfusion.runs.record import Run


@dataclass(frozen=True)
class Comparison:
    """The constrained and the open run of a profile and a seed, and how they fare.

    It is a `layerfusion.analysis.measures.Measure`: a metric of a run under a condition, with
    replicates, so that differences between runs are paired. What cannot be known, such as the
    metrics of test images without labels, is a LookupError that says why.
    """

    experiments: Mapping[str, Experiment]
    runs: Mapping[str, Run]
    measures: Mapping[str, RunMeasures]
    tables: Mapping[str, Mapping[str, pd.DataFrame]]  # by run, then condition

    @classmethod
    def obtain(
        cls,
        experiment: Experiment,
        conditions: Iterable[str] = CONDITIONS,
        *,
        fresh: bool = False,
        reporter: Reporter | None = None,
    ) -> "Comparison":
        """Find or train both runs of an experiment and score the images of every condition.

        Parameters
        ----------
        experiment
            Either run's; the other differs in nothing but its training images.
        conditions
            Names in `layerfusion.runs.condition.CONDITIONS`. A condition whose split has no
            labelled images is left out.
        fresh
            Train anew even where a finished run lies on this machine.

        Raises
        ------
        UserError
            If a run cannot be trained, or its images not be read.
        """
        experiments, runs = {}, {}
        for name in RUNS:
            experiments[name] = replace(experiment, run=name)
            experiments[name].check()
            runs[name] = experiments[name].obtain(fresh=fresh, reporter=reporter)
        counts = resamples(experiment)
        scored = {
            on: obtain_together(experiment, runs, CONDITIONS[on], reporter)
            for on in conditions
            if CONDITIONS[on].split in counts
        }
        tables = {name: {on: both[name] for on, both in scored.items()} for name in RUNS}
        side = experiment.profile.training.small_side
        measures = {
            name: RunMeasures(tables[name], run.record.threshold, counts, side)
            for name, run in runs.items()
        }
        return cls(experiments, runs, measures, tables)

    def __call__(self, metric: Metric, run: str, *, on: str = "local") -> Values:
        """Return a metric of a run under a condition, shape (1 + resamples,), estimate first.

        Raises
        ------
        LookupError
            If it was not, or cannot be, measured.
        """
        return self.measures[run](metric, on)

    def interval(self, metric: Metric, run: str, *, on: str = "local") -> Interval:
        """Return a metric with the interval over other images; LookupError as above."""
        return image_interval(self(metric, run, on=on))

    def scored(self, on: str = "local") -> dict[str, ScoredImages]:
        """Return the images of a condition as each run scores them, with its threshold.

        Raises
        ------
        LookupError
            If the images have no labels, or were not scored.
        """
        found = {}
        for name, measures in self.measures.items():
            table, counts = measures.images(on)
            found[name] = self._scored(name, table, counts)
        return found

    def scored_tables(self, tables: Mapping[str, pd.DataFrame]) -> dict[str, ScoredImages]:
        """Return tables of both runs' predictions of the clean local images, degraded, so."""
        counts = resamples(next(iter(self.experiments.values())))["val"]
        return {name: self._scored(name, table, counts) for name, table in tables.items()}

    def _scored(self, run: str, table: pd.DataFrame, counts: NDArray[np.int32]) -> ScoredImages:
        logits = table["logit"].to_numpy(dtype=np.float64)[None]
        return ScoredImages(table, logits, counts, np.array([self.runs[run].record.threshold]))


def measure_alone(experiment: Experiment, run: Run) -> Measure:
    """Return the clean local metrics of one run, where there is nothing to compare it with yet.

    Its own experiment's resamples are those of a `Comparison`, so that both give one interval.
    """
    local = obtain_predictions(experiment, run, CONDITIONS["local"])
    measures = RunMeasures(
        {"local": local},
        run.record.threshold,
        resamples(experiment),
        experiment.profile.training.small_side,
    )

    def measure(metric: Metric, run: str, *, on: str = "local") -> Values:
        if run != experiment.run:
            raise LookupError(f"this is the {experiment.run} run alone")
        return measures(metric, on)

    return measure
