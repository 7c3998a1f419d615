"""The contest: rivals learn from the images that the paper's runs train on, and score the same."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from layerfusion.analysis.claims import RUNS
from layerfusion.data.manifest import Manifest
from layerfusion.data.parquet import read_parquet
from layerfusion.metrics.probability import probability
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.paths import runs_root, shown
from layerfusion.progress import Reporter
from layerfusion.provenance import code_sha256, provenance
from layerfusion.recipe import RECIPE
from layerfusion.rivals.features import Features, FrozenEncoder, training_views
from layerfusion.rivals.record import (
    DTYPES,
    RECORD,
    FeatureCost,
    FinishedContest,
    RivalEntry,
    RivalsRecord,
    read_contest,
    write_contest,
)
from layerfusion.rivals.rival import Labels, Rival
from layerfusion.runs.experiment import Experiment
from layerfusion.runs.record import LOG
from layerfusion.scoring.predictions import CARRIED, write_predictions
from layerfusion.scoring.report import report_predictions
from layerfusion.settings import Blocks, digest
from layerfusion.studies.predictions import Setup, collect_predictions, describe_images
from layerfusion.studies.study import Study

FITS = "fits"  # in a contest's folder: the scores of each fit, for a contest that was stopped


class Fit(NamedTuple):
    """One rival, to be fitted to a run's training images with a seed."""

    run: str
    seed: int
    rival: str

    def __str__(self) -> str:
        return f"{self.rival}, {self.run}, seed {self.seed}"


@dataclass(frozen=True)
class Contest:
    """All fits of a contest, and the study of the paper's head that it stands beside.

    Parameters
    ----------
    study
        For its images, runs and seeds; nothing of it is trained here.
    """

    study: Study
    rivals: list[Rival]

    @classmethod
    def open(cls, rivals: Sequence[Rival], **study: Any) -> "Contest":
        """Load the profile and look at every image file, once for both runs and all seeds.

        Parameters
        ----------
        study
            ``profile``, ``first_seed``, ``seeds``, ``data_root``, ``overrides`` and ``reporter``,
            as `layerfusion.studies.study.Study.open` takes them.

        Raises
        ------
        UserError
            If `Study.open` objects: to the profile, the images, or fewer than two seeds.
        """
        return cls(Study.open(heads=["all"], **study), list(rivals))

    @property
    def fits(self) -> list[Fit]:
        """All fits, those that share their training views one after the other."""
        runs = sorted(self.study.experiments, key=lambda setup: (RUNS.index(setup.run), setup.seed))
        return [Fit(own.run, own.seed, rival.name) for own in runs for rival in self.rivals]

    @property
    def command(self) -> str:
        """The command that makes this contest."""
        seeds = f"--seeds {len(self.study.seeds)} --first-seed {self.study.seeds[0]}"
        names = ",".join(rival.name for rival in self.rivals)
        return f"layerfusion rivals {self.study.options} {seeds} --rivals {names}"

    def key(self) -> str:
        """Return one sha256 of all that the contest's numbers depend on."""
        return digest(
            {
                "runs": [experiment.place.key for experiment in self.study.experiments.values()],
                "rivals": [rival.name for rival in self.rivals],
                "recipe": RECIPE,
                "scikit-learn": version("scikit-learn"),
            }
        )

    def obtain(self, reporter: Reporter | None = None) -> FinishedContest:
        """Return the finished contest of these images and code; hold it if there is none.

        One that was stopped goes on with the fit that it was stopped in.

        Raises
        ------
        UserError
            If the encoder cannot be had, or an image not be read; finished fits stay.
        """
        reporter, key = reporter or Reporter(), self.key()
        directory = runs_root() / self._any.profile.name / "rivals" / key[:10]
        if (directory / RECORD).is_file():
            reporter.say(f"found finished in {shown(directory)}; nothing is fitted")
            return read_contest(directory)
        (directory / FITS).mkdir(parents=True, exist_ok=True)
        missing = [fit for fit in self.fits if not _place(directory, fit).is_file()]
        with reporter.keep(directory / LOG):
            cost = self._make(missing, directory, reporter) if missing else FeatureCost()
            scores = {fit: read_parquet(_place(directory, fit)) for fit in self.fits}
            record = self._record(scores, key, cost)
            write_contest(record, self._predictions(scores), directory)
        return read_contest(directory)

    @property
    def _any(self) -> Experiment:
        """Any of the experiments, for what all have in common."""
        return next(iter(self.study.experiments.values()))

    def _make(self, missing: list[Fit], directory: Path, reporter: Reporter) -> FeatureCost:
        """Make fits and keep what they score; return what their features cost."""
        begun = time.perf_counter()
        encoder = FrozenEncoder(self._any.profile, reporter)
        validation = encoder.evaluation_features(self._any.validation)
        seconds = time.perf_counter() - begun
        for experiment, fits in self._sharing_views(missing):
            begun = time.perf_counter()
            features, labels = encoder.training_features(experiment)
            seconds += time.perf_counter() - begun
            for fit in fits:
                scores = _fitted(self._rival(fit), features, labels, fit.seed, validation)
                scores.insert(0, "image_id", self._any.validation.rows["path"].to_numpy())
                write_predictions(scores, _place(directory, fit))
                reporter.say(f"{fit}: {scores.attrs['seconds']:.0f} s")
        return FeatureCost(
            seconds=round(seconds, 1), computed=encoder.computed, found=encoder.found
        )

    def _sharing_views(self, fits: list[Fit]) -> Iterator[tuple[Experiment, list[Fit]]]:
        """Yield fits that learn from the same views together, with one of their experiments."""
        seeds_differ = self._any.profile.training.views is None
        for _, group in groupby(fits, lambda fit: (fit.run, fit.seed if seeds_differ else None)):
            together = list(group)
            yield self._experiment(together[0].run, together[0].seed), together

    def _experiment(self, run: str, seed: int) -> Experiment:
        return self.study.experiments[Setup(seed, run, "all")]

    def _rival(self, fit: Fit) -> Rival:
        return next(rival for rival in self.rivals if rival.name == fit.rival)

    def _predictions(self, scores: dict[Fit, pd.DataFrame]) -> pd.DataFrame:
        """Return the table of all scores, with the columns of `layerfusion.rivals.record.DTYPES`.

        A rival stands where a study's table has the head; the rest is a study's table.
        """
        described = describe_images(self._any.manifest)
        rows = self._any.validation.rows
        known = pd.concat([rows["path"].rename("image_id"), rows[CARRIED]], axis=1)
        tables = {
            Setup(fit.seed, fit.run, cast(Blocks, fit.rival)): {
                "local": known.assign(logit=table["logit"].astype("float64"))
            }
            for fit, table in scores.items()
        }
        together = collect_predictions(tables, described).rename(columns={"blocks": "rival"})
        return together[list(DTYPES)]

    def _record(self, scores: dict[Fit, pd.DataFrame], key: str, cost: FeatureCost) -> RivalsRecord:
        validation, profile = self._any.validation, self._any.profile
        entries = [_entry(fit, table, validation) for fit, table in scores.items()]
        seeds = self.study.seeds
        views = {run: len(training_views(self._experiment(run, seeds[0]))[1]) for run in RUNS}
        fitting = sum(entry.seconds for entry in entries)
        return RivalsRecord(
            profile=profile.name,
            key=key,
            command=self.command,
            seeds=seeds,
            rivals=[rival.name for rival in self.rivals],
            settings=profile.model_dump(mode="json"),
            data={
                "manifest_sha256": self._any.manifest.digest(),
                "views": views,
                "validation_images": len(validation.rows),
            },
            entries=entries,
            features=cost,
            fitting_seconds=round(fitting, 1),
            code_sha256=code_sha256(),
            provenance=provenance(),
        )


def _fitted(
    rival: Rival, features: Features, labels: Labels, seed: int, validation: Features
) -> pd.DataFrame:
    """Fit a rival and return its scores, how long fitting took and what was learnt with them."""
    begun = time.perf_counter()
    fitted = rival.fit(features, labels, seed)
    seconds = time.perf_counter() - begun
    scores = pd.DataFrame({"logit": fitted.score(validation)}, dtype=np.float32)
    scores.attrs |= {"seconds": round(seconds, 1), "parameters": fitted.parameters}
    return scores


def _entry(fit: Fit, scores: pd.DataFrame, validation: Manifest) -> RivalEntry:
    """Choose the threshold on validation images, as for a run of the paper, and report."""
    logit = scores["logit"].to_numpy(np.float64)
    labelled = pd.DataFrame({"label": validation.rows["label"].to_numpy(), "logit": logit})
    threshold = best_f1_threshold(labelled["label"].to_numpy(dtype=float), probability(logit))
    return RivalEntry(
        rival=fit.rival,
        run=fit.run,
        seed=fit.seed,
        threshold=threshold,
        parameters=scores.attrs["parameters"],
        seconds=scores.attrs["seconds"],
        metrics=report_predictions(labelled, threshold).as_dict(),
    )


def _place(directory: Path, fit: Fit) -> Path:
    return directory / FITS / f"{fit.run}-seed{fit.seed}-{fit.rival}.parquet"
