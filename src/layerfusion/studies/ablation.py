"""An ablation: runs of the method's variants over several seeds, and what each is worth."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from layerfusion.analysis.claims import RESAMPLES, RESAMPLING_SEED, RUNS
from layerfusion.errors import StopRequestedError, UserError
from layerfusion.paths import runs_root, shown
from layerfusion.progress import Reporter
from layerfusion.provenance import code_sha256, provenance
from layerfusion.recipe import RECIPE
from layerfusion.runs.experiment import Experiment
from layerfusion.runs.record import LOG, Run
from layerfusion.settings import digest, load_profile
from layerfusion.studies.ablation_record import (
    AblationRecord,
    FinishedAblation,
    VariantEntry,
    VariantRun,
    read_ablation,
    variant_predictions,
    write_ablation,
)
from layerfusion.studies.study import recorded_options, set_words
from layerfusion.studies.variants import Ablation, Variant, find_ablation


@dataclass(frozen=True)
class AblationStudy:
    """The runs of an ablation, by seed and variant, in the order in which they are trained.

    Only clean validation images are scored, which every training does anyhow.
    """

    ablation: Ablation
    variants: list[Variant]
    experiments: dict[tuple[int, str], Experiment]
    options: str

    @classmethod
    def open(
        cls,
        name: str,
        *,
        profile: str = "demo",
        first_seed: int = 1337,
        seeds: int = 3,
        data_root: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        reporter: Reporter | None = None,
    ) -> "AblationStudy":
        """Load the profile and look at every image file, once for all runs.

        Parameters
        ----------
        name
            Of `layerfusion.studies.variants.ABLATIONS`.
        seeds
            How many: `first_seed` and those that follow it, at least 2.
        overrides
            Settings that all variants share.

        Raises
        ------
        UserError
            If there is no such ablation, `Experiment.open` objects, there are fewer than two
            seeds, or a setting that the ablation varies is given.
        """
        ablation, given = find_ablation(name), dict(overrides or {})
        if seeds < 2:
            raise UserError("an ablation needs two seeds at least, to know how far seeds differ")
        first = Experiment.open(
            RUNS[0],
            profile=profile,
            seed=first_seed,
            data_root=data_root,
            overrides=given,
            reporter=reporter,
        )
        variants, experiments = ablation.variants(first), {}
        for seed, variant in product(range(first_seed, first_seed + seeds), variants):
            if clash := given.keys() & variant.overrides.keys():
                raise UserError(f"the ablation '{name}' varies {min(clash)} itself; leave it out")
            settings = load_profile(profile, given | variant.overrides)
            experiment = replace(first, profile=settings, run=variant.run, seed=seed)
            experiment.check()
            experiments[seed, variant.name] = experiment
        options = recorded_options(profile, data_root, given)
        return cls(ablation, variants, experiments, options)

    @property
    def seeds(self) -> list[int]:
        """The seeds, in ascending order."""
        return sorted({seed for seed, _ in self.experiments})

    @property
    def command(self) -> str:
        """The command that makes this ablation."""
        seeds = f"--seeds {len(self.seeds)} --first-seed {self.seeds[0]}"
        return f"layerfusion ablation {self.ablation.name} {self.options} {seeds}"

    def training_commands(self, options: str) -> list[str]:
        """Return the commands that train the runs one by one.

        Parameters
        ----------
        options
            What they share, as `layerfusion.studies.study.shared_options` writes it.
        """
        by_name = {variant.name: variant for variant in self.variants}
        return [
            f"layerfusion train {options} --run {by_name[name].run} --seed {seed} "
            + shlex.join(set_words(by_name[name].overrides))
            for seed, name in self.experiments
        ]

    def key(self) -> str:
        """Return one sha256 of all that the ablation's numbers depend on."""
        return digest(
            {
                "ablation": self.ablation.name,
                "runs": [experiment.place.key for experiment in self.experiments.values()],
                "resamples": [RESAMPLES, RESAMPLING_SEED],
                "recipe": RECIPE,
            }
        )

    def obtain(self, reporter: Reporter | None = None) -> FinishedAblation:
        """Return the finished ablation of these runs and code; make it if there is none.

        Runs that are there already are used, whoever trained them: stopped, it goes on where it
        was.

        Raises
        ------
        StopRequestedError
            If SIGTERM asked a training to stop, and that is saved.
        UserError
            If a run cannot be trained; what is finished stays.
        """
        reporter, key = reporter or Reporter(), self.key()
        directory = runs_root() / self._any.profile.name / "ablations" / key[:10]
        if (directory / f"{self.ablation.name}.json").is_file():
            reporter.say(f"found finished in {shown(directory)}; nothing is trained")
            return read_ablation(directory, self.ablation.name)
        directory.mkdir(parents=True, exist_ok=True)
        with reporter.keep(directory / LOG):
            runs = self._train(reporter)
            write_ablation(self._record(runs, key), self._predictions(runs), directory)
        return read_ablation(directory, self.ablation.name)

    def _train(self, reporter: Reporter) -> dict[tuple[int, str], Run]:
        """Return the runs by seed and variant; train those that are missing."""
        runs: dict[tuple[int, str], Run] = {}
        for number, ((seed, name), experiment) in enumerate(self.experiments.items(), start=1):
            where = f"run {number} of {len(self.experiments)}"
            reporter.say(f"{where}: {name}, seed {seed}")
            try:
                runs[seed, name] = experiment.obtain(reporter=reporter)
            except StopRequestedError:
                raise StopRequestedError(
                    f"asked to stop (SIGTERM) in {where}; all steps are saved: give the same "
                    "command to go on"
                ) from None
        return runs

    @property
    def _any(self) -> Experiment:
        """Any of the experiments, for what all have in common."""
        return next(iter(self.experiments.values()))

    def _predictions(self, runs: Mapping[tuple[int, str], Run]) -> pd.DataFrame:
        order: Sequence[str] = self._any.validation.rows["path"].tolist()
        return variant_predictions({setup: run.predictions() for setup, run in runs.items()}, order)

    def _record(self, runs: Mapping[tuple[int, str], Run], key: str) -> AblationRecord:
        profile = self._any.profile
        return AblationRecord(
            name=self.ablation.name,
            question=self.ablation.question,
            profile=profile.name,
            key=key,
            command=self.command,
            seeds=self.seeds,
            settings=profile.model_dump(mode="json"),
            manifest_sha256=self._any.manifest.digest(),
            resamples=RESAMPLES,
            variants=[VariantEntry(**vars(variant)) for variant in self.variants],
            runs=[_run_entry(seed, name, run) for (seed, name), run in runs.items()],
            code_sha256=code_sha256(),
            provenance=provenance(),
        )


def _run_entry(seed: int, name: str, run: Run) -> VariantRun:
    record = run.record
    return VariantRun(
        variant=name,
        seed=seed,
        key=record.key,
        training_images=record.data["training_images"],
        trained_parameters=record.parameters["trained_blocks"] + record.parameters["head"],
        threshold=record.threshold,
        best_epoch=record.best_epoch,
        epochs=len(record.history),
        block_weights=record.block_weights,
        training_seconds=record.provenance["training_seconds"],
    )
