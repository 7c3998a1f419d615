"""The paper's two runs side by side, on the same images and the same resamples of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from layerfusion.analysis.measures import RUNS, Scored, scored_images
from layerfusion.metrics.scored import Metric
from layerfusion.metrics.uncertainty import Values
from layerfusion.progress import Reporter
from layerfusion.runs.condition import CONDITIONS, Condition
from layerfusion.runs.conditions import obtain_together
from layerfusion.runs.experiment import Experiment
from layerfusion.runs.record import Run


@dataclass(frozen=True)
class Comparison:
    """The constrained and the open run of a profile and a seed, and how they fare.

    Attributes
    ----------
    experiments, runs
        By run.
    scored
        By condition, then run; without conditions whose images have no labels.
    """

    experiments: Mapping[str, Experiment]
    runs: Mapping[str, Run]
    scored: Scored

    @classmethod
    def obtain(
        cls,
        experiment: Experiment,
        conditions: Iterable[str] = CONDITIONS,
        *,
        runs: Iterable[str] = RUNS,
        fresh: bool = False,
        reporter: Reporter | None = None,
    ) -> "Comparison":
        """Find or train runs of an experiment and score the images of every condition.

        Parameters
        ----------
        experiment
            Any run's; the others differ in nothing but their training images.
        conditions
            Names in `layerfusion.runs.condition.CONDITIONS`. A condition whose split has no
            labelled images is left out.
        runs
            Both, or one where there is nothing to compare it with yet.
        fresh
            Train again even where a finished run lies on this machine.

        Raises
        ------
        UserError
            If a run cannot be trained, or its images not be read.
        """
        experiments = {name: replace(experiment, run=name) for name in runs}
        finished = {}
        for name, own in experiments.items():
            own.check()
            finished[name] = own.obtain(fresh=fresh, reporter=reporter)
        compared = cls(experiments, finished, {})
        asked = {on: CONDITIONS[on] for on in conditions if not CONDITIONS[on].small}
        return replace(compared, scored=compared.score(asked, reporter))

    def score(
        self, conditions: Mapping[str, Condition], reporter: Reporter | None = None
    ) -> Scored:
        """Score the images of conditions, by name, where these have labels."""
        experiment = next(iter(self.experiments.values()))
        tables = []
        for on, condition in conditions.items():
            labels = experiment.manifest.select(split=condition.split).rows["label"]
            if len(labels) and labels.notna().all():
                found = obtain_together(experiment, self.runs, condition, reporter)
                tables += [own.assign(variant=run, condition=on) for run, own in found.items()]
        if not tables:
            return {}
        predictions = pd.concat(tables, ignore_index=True).assign(seed=experiment.seed)
        thresholds = {
            (name, experiment.seed): run.record.threshold for name, run in self.runs.items()
        }
        return scored_images(predictions, thresholds, experiment.profile.training.small_side)

    def __call__(self, metric: Metric, run: str, *, on: str = "local") -> Values:
        """Return a metric of a run under a condition, shape (1 + resamples,), estimate first.

        Raises
        ------
        LookupError
            If it was not, or cannot be, measured.
        """
        if run not in self.scored.get(on, {}):
            raise LookupError(f"{run} run, '{on}': the images have no labels, or were not scored")
        values: Values = self.scored[on][run].values(metric)[0]
        return values
