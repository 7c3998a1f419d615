"""The study: the paper's claims, held against runs of several seeds."""

import json
import math
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from layerfusion.analysis.claims import (
    CLAIMS,
    RESAMPLES,
    RESAMPLING_SEED,
    RUNS,
    Blocks,
    Claim,
    Measure,
    Metric,
    RunMeasures,
    Values,
    resamples,
    verdict,
)
from layerfusion.errors import UserError
from layerfusion.metrics.uncertainty import image_interval, seed_interval
from layerfusion.paths import runs_root, shown
from layerfusion.progress import Reporter
from layerfusion.provenance import code_sha256, provenance
from layerfusion.runs.conditions import CONDITIONS, MODULES, obtain_predictions
from layerfusion.runs.experiment import Experiment
from layerfusion.runs.record import Run
from layerfusion.settings import digest, load_profile
from layerfusion.studies.record import (
    RECORD,
    ClaimEntry,
    FinishedStudy,
    RunEntry,
    StudyRecord,
    Value,
    read_study,
    write_study,
)

BLOCKS: tuple[Blocks, ...] = ("all", "last")
METRICS: tuple[Metric, ...] = ("roc_auc", "f1", "precision", "recall")

# What the study's numbers depend on that no run's do: part of its key.
STUDY_MODULES = (
    *MODULES,
    "analysis/claims.py",
    "studies/study.py",
    "studies/record.py",
    "paper/numbers.py",
    "metrics/uncertainty.py",
)


class Setup(NamedTuple):
    """What tells the runs of a study apart."""

    seed: int
    run: str
    blocks: Blocks

    def __str__(self) -> str:
        head = "all blocks" if self.blocks == "all" else "last block alone"
        return f"{self.run}, seed {self.seed}, {head}"


class Scored(NamedTuple):
    """A finished run and its predictions by condition, rows in the manifest's order."""

    run: Run
    tables: dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Study:
    """The runs of a study, in the order in which they are trained, and what to call them with."""

    experiments: dict[Setup, Experiment]
    options: str

    @classmethod
    def open(
        cls,
        *,
        profile: str = "demo",
        first_seed: int = 1337,
        seeds: int = 5,
        data_root: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        reporter: Reporter | None = None,
    ) -> "Study":
        """Load the profile and look at every image file, once for all runs.

        Parameters
        ----------
        seeds
            How many: `first_seed` and those that follow it, at least 2.

        Raises
        ------
        UserError
            If `Experiment.open` objects, there are fewer than two seeds, or the test images lack
            labels.
        """
        if seeds < 2:
            raise UserError("a study needs two seeds at least, to know how far seeds differ")
        given = dict(overrides or {})
        heads = {
            blocks: load_profile(profile, given | {"head.blocks": blocks}) for blocks in BLOCKS
        }
        first = Experiment.open(
            RUNS[0],
            profile=profile,
            seed=first_seed,
            data_root=data_root,
            overrides=given,
            reporter=reporter,
        )
        _check_test_images(first)
        experiments = {}
        for seed, run, blocks in product(range(first_seed, first_seed + seeds), RUNS, BLOCKS):
            experiment = replace(first, profile=heads[blocks], run=run, seed=seed)
            experiment.check()
            experiments[Setup(seed, run, blocks)] = experiment
        return cls(experiments, _options(profile, data_root, given))

    @property
    def seeds(self) -> list[int]:
        """The seeds, in ascending order."""
        return sorted({setup.seed for setup in self.experiments})

    @property
    def command(self) -> str:
        """The command that makes this study."""
        seeds = self.seeds
        return f"layerfusion demo study {self.options} --seeds {len(seeds)} --first-seed {seeds[0]}"

    def key(self) -> str:
        """Return one sha256 of all that the study's numbers depend on."""
        test = self._any.manifest.select(split="test")
        return digest(
            {
                "runs": [experiment.place.key for experiment in self.experiments.values()],
                "test": test.digest(),
                "resamples": [RESAMPLES, RESAMPLING_SEED],
                "code": code_sha256(STUDY_MODULES),
            }
        )

    def obtain(self, reporter: Reporter | None = None) -> FinishedStudy:
        """Return the finished study of these runs and code; make it if there is none.

        Runs and predictions that are there already are used, whoever made them: a study that was
        stopped goes on where it was.

        Raises
        ------
        UserError
            If a run cannot be trained or an image not be scored; what is finished stays.
        """
        reporter, key = reporter or Reporter(), self.key()
        directory = runs_root() / self._any.profile.name / "study" / key[:10]
        if (directory / RECORD).is_file():
            reporter.say(f"found finished in {shown(directory)}; nothing is trained or scored")
            return read_study(directory)
        scored = {}
        for number, (setup, experiment) in enumerate(self.experiments.items(), start=1):
            reporter.say(f"run {number} of {len(self.experiments)}: {setup}")
            scored[setup] = _score(experiment, reporter)
        reporter.say(f"{len(CLAIMS)} claims on {RESAMPLES} resamples of the images")
        write_study(self._record(scored, key), directory)
        return read_study(directory)

    @property
    def _any(self) -> Experiment:
        """Any of the experiments, for what all have in common."""
        return next(iter(self.experiments.values()))

    def _record(self, scored: dict[Setup, Scored], key: str) -> StudyRecord:
        begun, manifest = time.perf_counter(), self._any.manifest
        measures = self._measures(scored)
        runs = [self._run_entry(setup, scored[setup], measures[setup]) for setup in scored]
        by_seed = [_of_seed(measures, seed) for seed in self.seeds]
        claims = [_claim_entry(claim, by_seed) for claim in CLAIMS]
        seconds = {
            "training": sum(run.training_seconds for run in runs),
            "scoring": sum(run.scoring_seconds for run in runs),
            "resampling": time.perf_counter() - begun,
        }
        seconds["total"] = sum(seconds.values())
        return StudyRecord(
            profile=self._any.profile.name,
            key=key,
            command=self.command,
            seeds=self.seeds,
            settings=self._any.profile.model_dump(mode="json"),
            data={
                "manifest_sha256": manifest.digest(),
                "images": manifest.rows["split"].value_counts().to_dict(),
            },
            resamples=RESAMPLES,
            claims=claims,
            runs=runs,
            seconds={what: round(value, 1) for what, value in seconds.items()},
            code_sha256=code_sha256(STUDY_MODULES),
            provenance=provenance(),
        )

    def _measures(self, scored: dict[Setup, Scored]) -> dict[Setup, RunMeasures]:
        """Give all runs the same resamples of each split, the splits' own independent ones."""
        counts = resamples(self._any)
        small_side = self._any.profile.training.small_side
        return {
            setup: RunMeasures(tables, run.record.threshold, counts, small_side)
            for setup, (run, tables) in scored.items()
        }

    def _run_entry(self, setup: Setup, scored: Scored, measures: RunMeasures) -> RunEntry:
        record = scored.run.record
        own = f"--run {setup.run} --seed {setup.seed} --set head.blocks={setup.blocks}"
        seconds = [table.attrs["seconds"] for table in scored.tables.values()]
        return RunEntry(
            run=setup.run,
            blocks=setup.blocks,
            seed=setup.seed,
            key=record.key,
            command=f"layerfusion train {self.options} {own}",
            threshold=record.threshold,
            training_seconds=record.provenance["training_seconds"],
            scoring_seconds=round(sum(seconds), 1),
            values={
                on: {metric: _value(measures(metric, on)) for metric in METRICS}
                for on in CONDITIONS
            },
        )


def _check_test_images(experiment: Experiment) -> None:
    labels = experiment.manifest.select(split="test").rows["label"]
    if labels.isna().any() or labels.nunique() < 2:
        raise UserError(
            f"the study needs test images with labels, real and synthetic ones, and "
            f"{experiment.manifest.root} lacks them"
        )


def _options(profile: str, data_root: str | Path | None, overrides: dict[str, Any]) -> str:
    """Write down the options that all commands of a study share; no folder of this machine."""
    words = ["--profile", Path(profile).name]
    if data_root is not None:
        words += ["--data-root", "DIR"]
    for name, value in overrides.items():
        words += ["--set", f"{name}={json.dumps(value)}"]
    return shlex.join(words)


def _score(experiment: Experiment, reporter: Reporter) -> Scored:
    """Find or train a run; find or compute its predictions under every condition."""
    run = experiment.obtain(reporter=reporter)
    tables = {
        on: obtain_predictions(experiment, run, condition, reporter)
        for on, condition in CONDITIONS.items()
        if not condition.small
    }
    return Scored(run, tables)


def _of_seed(measures: Mapping[Setup, RunMeasures], seed: int) -> Measure:
    """Return what the claims ask, answered by the runs of a seed."""

    def measure(metric: Metric, run: str, *, on: str = "local", blocks: Blocks = "all") -> Values:
        return measures[Setup(seed, run, blocks)](metric, on)

    return measure


def _claim_entry(claim: Claim, seeds: list[Measure]) -> ClaimEntry:
    values = np.stack([claim.effect(measure) for measure in seeds])
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
