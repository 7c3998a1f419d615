"""The study: the paper's claims, held against runs of several seeds."""

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pandas as pd

from layerfusion.analysis.claims import (
    RESAMPLES,
    RESAMPLING_SEED,
    RUNS,
    RunMeasures,
    claims_of,
)
from layerfusion.errors import StopRequestedError, UserError
from layerfusion.paths import runs_root, shown
from layerfusion.progress import Reporter
from layerfusion.provenance import code_sha256, provenance
from layerfusion.recipe import RECIPE
from layerfusion.runs.conditions import CONDITIONS, obtain_predictions
from layerfusion.runs.experiment import Experiment
from layerfusion.runs.record import LOG, Run
from layerfusion.settings import Blocks, digest, load_profile
from layerfusion.studies.measures import claim_entries, run_measures, values_of
from layerfusion.studies.predictions import (
    Setup,
    collect_predictions,
    describe_images,
    write_predictions,
)
from layerfusion.studies.record import (
    RECORD,
    FinishedStudy,
    RunEntry,
    StudyRecord,
    read_study,
    write_study,
)
from layerfusion.studies.shortcuts import study_shortcuts, write_shortcuts

HEADS: tuple[Blocks, ...] = get_args(Blocks)


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
        heads: Sequence[Blocks] = HEADS,
        data_root: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        reporter: Reporter | None = None,
    ) -> "Study":
        """Load the profile and look at every image file, once for all runs.

        Where the test images have no labels they are scored all the same, for whoever has these;
        claims about them are not measured.

        Parameters
        ----------
        seeds
            How many: `first_seed` and those that follow it, at least 2.
        heads
            Values of ``head.blocks``: ``all``, which every claim is about, and ablations. All heads
            of a run and a seed see the very same training images: draws and augmentations depend on
            seed, epoch and position alone. So they are trained one after the other, and what the
            first one leaves in a cache of frozen blocks serves the others.

        Raises
        ------
        UserError
            If `Experiment.open` objects, there are fewer than two seeds, or `heads` lack ``all``.
        """
        if "all" not in heads:
            raise UserError("the claims are about the head 'all'; name it among the heads")
        if seeds < 2:
            raise UserError("a study needs two seeds at least, to know how far seeds differ")
        given = dict(overrides or {})
        profiles = {
            blocks: load_profile(profile, given | {"head.blocks": blocks}) for blocks in heads
        }
        first = Experiment.open(
            RUNS[0],
            profile=profile,
            seed=first_seed,
            data_root=data_root,
            overrides=given,
            reporter=reporter,
        )
        experiments = {}
        for seed, run, blocks in product(range(first_seed, first_seed + seeds), RUNS, profiles):
            experiment = replace(first, profile=profiles[blocks], run=run, seed=seed)
            experiment.check()
            experiments[Setup(seed, run, blocks)] = experiment
        return cls(experiments, recorded_options(profile, data_root, given))

    @property
    def seeds(self) -> list[int]:
        """The seeds, in ascending order."""
        return sorted({setup.seed for setup in self.experiments})

    @property
    def heads(self) -> list[str]:
        """The heads, in the order in which they are trained."""
        return list(dict.fromkeys(setup.blocks for setup in self.experiments))

    @property
    def command(self) -> str:
        """The command that makes this study."""
        seeds = f"--seeds {len(self.seeds)} --first-seed {self.seeds[0]}"
        return f"layerfusion study {self.options} {seeds} --heads {','.join(self.heads)}"

    def key(self) -> str:
        """Return one sha256 of all that the study's numbers depend on."""
        test = self._any.manifest.select(split="test")
        return digest(
            {
                "runs": [experiment.place.key for experiment in self.experiments.values()],
                "test": test.digest(),
                "resamples": [RESAMPLES, RESAMPLING_SEED],
                "recipe": RECIPE,
            }
        )

    def obtain(self, reporter: Reporter | None = None) -> FinishedStudy:
        """Return the finished study of these runs and code; make it if there is none.

        Runs and predictions that are there already are used, whoever made them: a study that was
        stopped goes on where it was.

        Raises
        ------
        StopRequestedError
            If SIGTERM asked a training to stop, and that is saved.
        UserError
            If a run cannot be trained or an image not be scored; what is finished stays.
        """
        reporter, key = reporter or Reporter(), self.key()
        directory = runs_root() / self._any.profile.name / "study" / key[:10]
        if (directory / RECORD).is_file():
            reporter.say(f"found finished in {shown(directory)}; nothing is trained or scored")
            return read_study(directory)
        directory.mkdir(parents=True, exist_ok=True)
        with reporter.keep(directory / LOG):
            self._make(key, directory, reporter)
        return read_study(directory)

    def _make(self, key: str, directory: Path, reporter: Reporter) -> None:
        """Train and score what is missing, and write the study."""
        scored = {}
        for number, (setup, experiment) in enumerate(self.experiments.items(), start=1):
            where = f"run {number} of {len(self.experiments)}"
            reporter.say(f"{where}: {setup}")
            try:
                scored[setup] = _score(experiment, reporter)
            except StopRequestedError:
                raise StopRequestedError(
                    f"asked to stop (SIGTERM) in {where}; all steps are saved: give the same "
                    "command to go on"
                ) from None
        reporter.say(f"{len(claims_of(self.heads))} claims on {RESAMPLES} resamples of the images")
        shortcuts = study_shortcuts(self._any, reporter)
        self._write(scored, shortcuts, key, directory)

    @property
    def _any(self) -> Experiment:
        """Any of the experiments, for what all have in common."""
        return next(iter(self.experiments.values()))

    def _write(
        self, scored: dict[Setup, Scored], shortcuts: pd.DataFrame, key: str, directory: Path
    ) -> None:
        """Write predictions, then what is made of them and of nothing else, the record last."""
        predictions = collect_predictions(
            {setup: tables for setup, (_, tables) in scored.items()},
            describe_images(self._any.manifest),
        )
        write_predictions(predictions, directory)
        write_shortcuts(shortcuts, directory)
        write_study(self._record(scored, predictions, key), directory)

    def _record(
        self, scored: dict[Setup, Scored], predictions: pd.DataFrame, key: str
    ) -> StudyRecord:
        begun, manifest, profile = time.perf_counter(), self._any.manifest, self._any.profile
        thresholds = {setup: run.record.threshold for setup, (run, _) in scored.items()}
        measures = run_measures(predictions, thresholds, profile.training.small_side)
        runs = [self._run_entry(setup, scored[setup], measures[setup]) for setup in scored]
        claims = claim_entries(measures, self.heads)
        seconds = {
            "training": sum(run.training_seconds for run in runs),
            "scoring": sum(run.scoring_seconds for run in runs),
            "resampling": time.perf_counter() - begun,
        }
        seconds["total"] = sum(seconds.values())
        return StudyRecord(
            profile=profile.name,
            key=key,
            command=self.command,
            seeds=self.seeds,
            heads=self.heads,
            settings=profile.model_dump(mode="json"),
            data={
                "manifest_sha256": manifest.digest(),
                "images": manifest.rows["split"].value_counts().to_dict(),
            },
            resamples=RESAMPLES,
            claims=claims,
            runs=runs,
            seconds={what: round(value, 1) for what, value in seconds.items()},
            code_sha256=code_sha256(),
            provenance=provenance(),
        )

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
            values=values_of(measures),
        )


def shared_options(profile: str, data_root: str | Path | None, overrides: Mapping[str, Any]) -> str:
    """Return the options that all commands of a study share, as they are given."""
    words = ["--profile", profile]
    if data_root is not None:
        words += ["--data-root", str(data_root)]
    return shlex.join(words + set_words(overrides))


def recorded_options(
    profile: str, data_root: str | Path | None, overrides: Mapping[str, Any]
) -> str:
    """Return the shared options as a record has them: no folder of this machine."""
    return shared_options(Path(profile).name, None if data_root is None else "DIR", overrides)


def set_words(overrides: Mapping[str, Any]) -> list[str]:
    """Return the words that replace settings on the command line."""
    return [
        word
        for name, value in overrides.items()
        for word in ("--set", f"{name}={json.dumps(value)}")
    ]


def _score(experiment: Experiment, reporter: Reporter) -> Scored:
    """Find or train a run; find or compute its predictions of the images of every condition."""
    run = experiment.obtain(reporter=reporter)
    splits = set(experiment.manifest.rows["split"])
    tables = {
        on: obtain_predictions(experiment, run, condition, reporter)
        for on, condition in CONDITIONS.items()
        if not condition.small and condition.split in splits
    }
    return Scored(run, tables)
