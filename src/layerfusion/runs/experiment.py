"""One run from its profile to its record: find it or train it, then calibrate and report it."""

import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from layerfusion.arithmetic import arithmetic, use_arithmetic
from layerfusion.data.duplicates import find_duplicates
from layerfusion.data.manifest import Manifest
from layerfusion.data.metadata import manifest_warnings
from layerfusion.data.opening import advice, open_data
from layerfusion.data.selection import SELECTION, Selection, select_training
from layerfusion.data.tables import read_parquet
from layerfusion.errors import UserError
from layerfusion.files import write_record
from layerfusion.metrics.probability import probability
from layerfusion.metrics.rates import report
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.model.detector import Detector
from layerfusion.model.folder import read_trained_tensors
from layerfusion.model.prefix_cache import open_prefix_cache
from layerfusion.model.weights import check_architecture, encoder_identity
from layerfusion.parallel.processes import join_processes
from layerfusion.paths import runs_root, shown, with_home
from layerfusion.progress import Reporter
from layerfusion.provenance import library_versions, peak_memory_mib, provenance
from layerfusion.recipe import RECIPE
from layerfusion.runs.record import (
    LOG,
    MANIFEST,
    RECORD,
    Run,
    RunPlace,
    RunRecord,
    recorded_run,
)
from layerfusion.settings import LARGEST_SEED, Profile, digest, load_profile
from layerfusion.training.checkpoint import Progress, check_disk, disk_needed
from layerfusion.training.loop import BEST_DETECTOR, CHECKPOINT, train

# Set by tests and by readers who do not want to train: committed runs are read instead.
RECORDED = "LAYERFUSION_RECORDED"


@dataclass(frozen=True)
class Experiment:
    """A profile's run with a seed, and the images it is about: all that its numbers depend on."""

    profile: Profile
    run: str
    seed: int
    manifest: Manifest

    @classmethod
    def open(
        cls,
        run: str,
        *,
        profile: str = "demo",
        seed: int = 1337,
        data_root: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        reporter: Reporter | None = None,
    ) -> "Experiment":
        """Load the profile and look at every image file below the data root.

        From here on this process computes as the profile says (`layerfusion.arithmetic`). Of
        several processes the first alone looks, and tells the others what it found.

        Raises
        ------
        UserError
            If profile, run, setting, seed or data root are not as they should be, or the run's
            images are missing.
        """
        reporter = reporter or Reporter()
        settings = load_profile(profile, overrides)
        settings.run(run)
        check_architecture(settings.encoder, settings.head, settings.images)
        if not 0 <= seed <= LARGEST_SEED:
            raise UserError(
                f"there is no seed {seed}; give a whole number from 0 to {LARGEST_SEED}"
            )
        use_arithmetic(settings.compute)
        with reporter.bar("reading images", 0) as bar:
            manifest = join_processes().only_first(
                lambda: open_data(
                    settings.data,
                    data_root=Path(with_home(str(data_root))) if data_root else None,
                    cache=runs_root() / settings.name,
                    progress=bar,
                )
            )
        experiment = cls(settings, run, seed, manifest)
        experiment.check()
        return experiment

    @property
    def place(self) -> RunPlace:
        """Where the run lies or will lie on this machine."""
        key = digest(self.identity())
        return RunPlace(runs_root(), self.profile.name, self.run, self.seed, key)

    def identity(self) -> dict[str, Any]:
        """Return all that the run's numbers depend on, as plain values; its `digest` is the key.

        These are settings, seed, data, recipe and libraries. No path is part of it: a run folder
        that is copied to another machine is found there again.

        Raises
        ------
        UserError
            If the encoder's weights cannot be found.
        """
        settings = self.profile.numerics(self.run)
        return {
            "settings": settings | {"encoder": encoder_identity(self.profile.encoder)},
            "seed": self.seed,
            "data": self.used.digest(),
            "recipe": RECIPE,
            "libraries": library_versions(),
        }

    @cached_property
    def selection(self) -> Selection:
        """The choice of the run's training images; `layerfusion.data.selection` says how."""
        sources = self.profile.run(self.run).train_sources
        rows = self.manifest.select(split="train", sources=sources).rows
        return select_training(rows, self.profile.data.selection, self.run)

    @property
    def training(self) -> Manifest:
        """The images that the run trains on."""
        return Manifest(self.manifest.root, self.selection.rows, self.manifest.skipped)

    @property
    def validation(self) -> Manifest:
        """The images that choose checkpoint and threshold, and give the local numbers."""
        return self.manifest.select(split="val")

    @property
    def used(self) -> Manifest:
        """Training and validation images together: those that the run's numbers depend on."""
        rows = pd.concat([self.training.rows, self.validation.rows], ignore_index=True)
        return Manifest(self.manifest.root, rows, self.manifest.skipped)

    def check(self) -> None:
        """Raise a UserError if the run cannot train, or not be validated, on these images."""
        data, root = self.profile.data, self.manifest.root
        found = sorted(self.manifest.select(split="train").rows["source"].unique())
        for source in self.profile.run(self.run).train_sources:
            if source not in found:
                remedy = advice(data, source, root) or (
                    f"set runs.{self.run}.train_sources to what is there, or arrange it as "
                    f"train/{source}/real and train/{source}/synthetic"
                )
                raise UserError(
                    f"the {self.run} run of profile '{self.profile.name}' trains on source "
                    f"'{source}', which {root} lacks (it has {', '.join(found) or 'none'}); "
                    f"{remedy}"
                )
        for what, manifest in (("training", self.training), ("validation", self.validation)):
            if manifest.rows["label"].nunique() < 2:
                wild = advice(data, "itw_sm", root) if what == "validation" else None
                raise UserError(
                    f"{root} lacks real or synthetic {what} images; both are needed"
                    + (f": {wild}" if wild else "")
                )

    def warnings(self) -> list[str]:
        """Return what should be known of the run's images and encoder before its numbers are."""
        found = [f"{short}; all of them are used" for short in self.selection.shortfalls]
        found += manifest_warnings(self.used)
        if self.profile.encoder.weights == "random":
            found.append("the encoder's weights are random: the run says nothing of the method")
        pairs = self.duplicates()
        if len(pairs):
            found.append(
                f"{len(pairs)} pairs of equal or nearly equal images lie in different splits, such "
                f"as {pairs['path_a'].iloc[0]} and {pairs['path_b'].iloc[0]}"
            )
        return found

    def duplicates(self) -> pd.DataFrame:
        """Return pairs of equal or nearly equal images across the splits."""
        return find_duplicates(self.manifest.rows)

    def obtain(
        self, *, fresh: bool = False, resume: bool = True, reporter: Reporter | None = None
    ) -> Run:
        """Return the finished run of these settings, data and recipe; train it if there is none.

        Where the environment variable `RECORDED` is set, the committed run stands for it.

        Several processes train it together; all of them return it.

        Parameters
        ----------
        fresh
            Train again even where a finished or interrupted run lies on this machine.
        resume
            Go on with an interrupted run; otherwise one is an error, so that none is lost.
        """
        reporter, place, processes = reporter or Reporter(), self.place, join_processes()
        processes.check_same(place.key, "a run")
        finished = processes.only_first(lambda: None if fresh else self._found(place, reporter))
        if finished is not None:
            reporter.say(f"found finished in {shown(finished.directory)}; nothing is trained")
            return finished
        with ExitStack() as lock:
            processes.only_first(lambda: self._claim(place, lock, reporter, fresh, resume))
            try:
                with reporter.log_to(place.unfinished / LOG):
                    self._train(place.unfinished, reporter)
            except BaseException:
                if processes.first and not (place.unfinished / CHECKPOINT).exists():
                    shutil.rmtree(place.unfinished, ignore_errors=True)  # it did not begin
                raise
            return processes.only_first(lambda: place.finish(CHECKPOINT))

    def _found(self, place: RunPlace, reporter: Reporter) -> Run | None:
        """Return the finished run that lies here, or the committed one where that is asked for."""
        if os.environ.get(RECORDED) and (
            committed := recorded_run(self.profile, self.run, self.seed)
        ):
            return committed
        found = place.read()
        if found is None or _computed_as_asked(found):
            return found
        reporter.say(
            f"what lies in {shown(found.directory)} was computed natively, and what is recorded is "
            "computed portably: it is trained again"
        )
        return None

    def _claim(
        self, place: RunPlace, lock: ExitStack, reporter: Reporter, fresh: bool, resume: bool
    ) -> None:
        """Lock the run's place, until `lock` is closed, and make its folder ready to train in."""
        lock.enter_context(place.lock())
        unfinished = place.unfinished
        if fresh:
            shutil.rmtree(unfinished, ignore_errors=True)
        elif not (unfinished / CHECKPOINT).exists():
            for name in place.interrupted():
                reporter.say(
                    f"note: the interrupted {name} is of other settings, images or code and is not "
                    "resumed; this run starts from scratch"
                )
        elif not resume:
            raise UserError(
                f"an interrupted run of the same settings, data and code lies in {unfinished}; "
                "resume it with --resume or start from scratch with --fresh"
            )
        unfinished.mkdir(parents=True, exist_ok=True)

    def _train(self, directory: Path, reporter: Reporter) -> None:
        profile, processes = self.profile, join_processes()
        detector = Detector.build(profile.encoder, profile.head, profile.images, seed=self.seed)
        detector.prefix_cache = open_prefix_cache(profile.loader, reporter.say)
        needed = disk_needed(detector, len(self.used.rows))
        processes.only_first(lambda: check_disk(directory, needed, reporter))
        reporter.say(f"training in {shown(directory)}")
        reporter.detail(
            f"key {self.place.key}, seed {self.seed}, {len(self.training.rows)} training and "
            f"{len(self.validation.rows)} validation images"
        )
        progress = train(
            detector,
            self.training,
            self.validation,
            profile,
            seed=self.seed,
            directory=directory,
            reporter=reporter,
        )
        record = processes.only_first(lambda: self._finish(detector.cpu(), directory, progress))
        reporter.detail(
            f"finished: epoch {record.best_epoch} of {len(record.history)} is best, threshold "
            f"{record.threshold:.4g}, {progress.seconds:.0f} s of training"
        )

    def _finish(self, best: Detector, directory: Path, progress: Progress) -> RunRecord:
        """Choose the threshold on the best epoch's predictions; write the record and all else."""
        predictions = read_parquet(directory / "predictions.parquet")
        threshold = best_f1_threshold(predictions["label"], probability(predictions["logit"]))
        best.restore(read_trained_tensors(directory / BEST_DETECTOR))
        best.threshold, best.notice = threshold, self.profile.notice
        best.save(directory / BEST_DETECTOR)
        self.manifest.save(directory / MANIFEST)
        self.selection.save(directory / SELECTION)
        record = RunRecord(
            profile=self.profile.name,
            run=self.run,
            seed=self.seed,
            key=self.place.key,
            settings=self.profile.model_dump(mode="json"),
            activation=best.activation,
            parameters=best.parameter_counts(),
            data={
                "manifest_sha256": self.used.digest(),
                "training_images": len(self.training.rows),
                "validation_images": len(self.validation.rows),
                "selection": self.selection.name,
                "selection_sha256": self.selection.sha256(),
                "skipped_files": len(self.manifest.skipped),
            },
            threshold=threshold,
            metrics=report(predictions["label"], predictions["logit"], threshold),
            history=progress.history,
            best_epoch=progress.best_epoch,
            block_weights=best.block_weights(),
            provenance=provenance()
            | {
                "frozen_weights_sha256": best.frozen_sha256,
                "training_seconds": round(progress.seconds, 1),
                "training_sessions": progress.sessions,
                "peak_memory_mib": peak_memory_mib(),
            },
        )
        write_record(record, directory / RECORD)
        return record


def _computed_as_asked(run: Run) -> bool:
    """Say whether a run is one to record where this process was asked to compute portably.

    How a processor computes is in no key, so a run that was found may have used all of another's
    instructions. What a GPU computed is no matter of the processor.
    """
    here, there = arithmetic(), run.record.provenance
    if not all(here["variables"].values()) or there["gpu"]:
        return True
    return bool(there["arithmetic"] == here)
