"""A study: variants over several seeds, scored under conditions, and contrasts of their numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from layerfusion.analysis.effects import Contrast
from layerfusion.analysis.measures import RESAMPLES, RESAMPLING_SEED, RUNS
from layerfusion.data.card import IMAGES
from layerfusion.data.manifest import Manifest
from layerfusion.errors import StopRequestedError, UserError
from layerfusion.experiments.baselines.fitting import FOLDER as CELLS
from layerfusion.experiments.baselines.fitting import Fitting
from layerfusion.experiments.catalogue import find_question
from layerfusion.experiments.commands import recorded_options, training_command
from layerfusion.experiments.given import identity_of, score_given
from layerfusion.experiments.record import (
    FOLDER,
    RECORD,
    CellEntry,
    FinishedStudy,
    StudyRecord,
    VariantEntry,
    read_study,
    write_study,
)
from layerfusion.experiments.shortcuts import run_shortcuts, write_shortcuts
from layerfusion.experiments.tables import (
    PREDICTIONS,
    collect_predictions,
    image_table,
    write_table,
)
from layerfusion.experiments.variant import Variant
from layerfusion.metrics.probability import probability
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.parallel.processes import open_fabric
from layerfusion.paths import runs_root, shown
from layerfusion.progress import Reporter
from layerfusion.provenance import provenance
from layerfusion.recipe import RECIPE
from layerfusion.runs.condition import CONDITIONS, condition_named
from layerfusion.runs.conditions import obtain_predictions
from layerfusion.runs.experiment import Experiment
from layerfusion.runs.record import LOG, Run
from layerfusion.settings import digest, load_profile

CLEAN = ("local", "clean")  # conditions under which a threshold is chosen
LARGEST_LOGIT = 36  # of more the probability rounds to 1


class Cell(NamedTuple):
    """A variant, made with a seed: what is reported of it, and its predictions by condition."""

    entry: CellEntry
    tables: dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Study:
    """Variants, seeds, conditions and contrasts, on the images of a data set.

    `Study.open` plans one of the catalogue; from Python a study may be of any detectors::

        Study("mine", "Which is better?", [Variant("a", "mine", given=a), Variant("b", ...)],
              contrasts=[Contrast("b", "b above a", difference("roc_auc", ("b", "clean"),
              ("a", "clean")))], conditions=["clean", "jpeg-85"], images=manifest).obtain()

    Attributes
    ----------
    images
        All of them; conditions choose among their splits.
    experiments
        By seed and variant, those that are trained or fitted; of given detectors alone, none.
    command
        What makes this study, without a folder of this machine.
    facts
        What a page says of the images beside their number.
    """

    name: str
    question: str
    variants: Sequence[Variant]
    contrasts: Sequence[Contrast]
    conditions: Sequence[str]
    images: Manifest
    seeds: Sequence[int] = (0,)
    experiments: Mapping[tuple[int, str], Experiment] = field(default_factory=dict)
    profile: str = "folder"
    command: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names):
            raise UserError(f"two variants of the study '{self.name}' have one name")
        for contrast in self.contrasts:
            if unknown := contrast.variants - set(names):
                raise UserError(f"the study '{self.name}' has no variant '{min(unknown)}'")

    @classmethod
    def open(
        cls,
        name: str,
        *,
        profile: str = "demo",
        first_seed: int = 1337,
        seeds: int | None = None,
        only: Sequence[str] | None = None,
        data_root: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        reporter: Reporter | None = None,
    ) -> "Study":
        """Load the profile and look at every image file, once for all variants.

        Where the test images have no labels they are scored all the same; contrasts about them are
        not measured.

        Parameters
        ----------
        name
            Of `layerfusion.experiments.catalogue.STUDIES`.
        seeds
            How many: `first_seed` and those that follow it, at least 2; None for the usual number.
        only
            Changes to keep, such as ``last`` or ``rine``; the first variant of a run always stays.
        overrides
            Settings that all variants share.

        Raises
        ------
        UserError
            If there is no such study or change, `Experiment.open` objects, there are fewer than two
            seeds, or a setting that the study varies is given.
        """
        question, given = find_question(name), dict(overrides or {})
        number = question.seeds if seeds is None else seeds
        if number < 2:
            raise UserError("a study needs two seeds at least, to know how far seeds differ")
        first = Experiment.open(
            RUNS[0], profile=profile, seed=first_seed, data_root=data_root, overrides=given,
            reporter=reporter,
        )  # fmt: skip
        plan = question.plan(first)
        variants = _kept(plan.variants, only)
        names = {variant.name for variant in variants}
        numbers = range(first_seed, first_seed + number)
        options = recorded_options(profile, data_root, given)
        chosen = f" --only {','.join(only)}" if only is not None else ""
        return cls(
            name,
            question.text,
            variants,
            [contrast for contrast in plan.contrasts if contrast.variants <= names],
            plan.conditions,
            first.manifest,
            list(numbers),
            _experiments(first, profile, given, variants, numbers, name),
            first.profile.name,
            f"layerfusion study {name} {options} --seeds {number} --first-seed {first_seed}"
            + chosen,
        )

    def training_commands(self, options: str) -> list[str]:
        """Return the commands that train the variants one by one, each training once.

        Parameters
        ----------
        options
            What they share, as `layerfusion.experiments.commands.shared_options` writes it.
        """
        return [
            training_command(self._variant(name), seed, options)
            for seed, name in self.experiments
            if self._variant(name).kind == "trained"
        ]

    def key(self) -> str:
        """Return one sha256 of all that the study's numbers depend on."""
        return digest(
            {
                "name": self.name,
                "cells": {f"{v.name} {seed}": self._key(v, seed) for v, seed in self._order()},
                "conditions": list(self.conditions),
                "contrasts": [repr(contrast) for contrast in self.contrasts],
                "images": self.images.select(split="val").digest(),
                "test": self.images.select(split="test").digest(),
                "resamples": [RESAMPLES, RESAMPLING_SEED],
                "recipe": RECIPE,
            }
        )

    @property
    def directory(self) -> Path:
        """The study's folder on this machine."""
        return runs_root() / self.profile / FOLDER / f"{self.name}-{self.key()[:10]}"

    def obtain(self, reporter: Reporter | None = None) -> FinishedStudy:
        """Return the finished study; make it if there is none.

        Cells that are there already are used, whichever study made them: a study that was stopped
        resumes where it was.

        Raises
        ------
        StopRequestedError
            If SIGTERM asked a training to stop, and that is saved.
        UserError
            If a run cannot be trained, or an image not be scored; what is finished stays.
        """
        reporter, directory = reporter or Reporter(), self.directory
        if (directory / RECORD).is_file() and all(self._key(v, s) for v, s in self._order()):
            reporter.say(f"found finished in {shown(directory)}; nothing is trained or scored")
            return read_study(directory)
        directory.mkdir(parents=True, exist_ok=True)
        with reporter.log_to(directory / LOG):
            cells = list(self.cells(reporter))
            write_table(
                collect_predictions(
                    {
                        (cell.entry.variant, cell.entry.seed, on): table
                        for cell in cells
                        for on, table in cell.tables.items()
                    }
                ),
                directory / PREDICTIONS,
            )
            write_table(image_table(self.images), directory / IMAGES)
            if self.name == "claims":  # what they would be for a detector that sees no content
                experiment = next(iter(self.experiments.values()))
                write_shortcuts(
                    run_shortcuts(experiment, experiment.profile.runs, reporter), directory
                )
            return write_study(self._record([cell.entry for cell in cells]), directory)

    def cells(self, reporter: Reporter) -> Iterable[Cell]:
        """Load or make each cell; yield it as it is there."""
        fitting = Fitting(next(iter(self.experiments.values())), reporter) if self._fits else None
        order = self._order()
        for number, (variant, seed) in enumerate(order, start=1):
            where = f"run {number} of {len(order)}"
            reporter.say(f"{where}: {variant.name}, seed {seed}")
            try:
                if variant.given is not None:
                    yield self._given(variant, seed, reporter)
                elif variant.fit is not None:
                    assert fitting is not None
                    yield self._fitted(variant, seed, fitting)
                else:
                    yield self._trained(variant, seed, reporter)
            except StopRequestedError:
                raise StopRequestedError(
                    f"asked to stop (SIGTERM) in {where}; all steps are saved: give the same "
                    "command to resume"
                ) from None

    @property
    def _fits(self) -> bool:
        return any(variant.fit is not None for variant in self.variants)

    def _order(self) -> list[tuple[Variant, int]]:
        """Return all cells: seed by seed, then fits, those that share their views together."""
        cells = [(variant, seed) for seed in self.seeds for variant in self.variants]
        fits = sorted(
            (cell for cell in cells if cell[0].fit), key=lambda cell: RUNS.index(cell[0].run)
        )
        return [cell for cell in cells if not cell[0].fit] + fits

    def _variant(self, name: str) -> Variant:
        return next(variant for variant in self.variants if variant.name == name)

    def _key(self, variant: Variant, seed: int) -> str | None:
        """Return what names a cell's numbers; None where nothing can."""
        if variant.given is not None:
            return identity_of(variant.given)
        experiment = self.experiments[seed, variant.name]
        if variant.fit is not None:
            return Fitting.key(variant.fit, experiment)
        return experiment.place.key

    def _trained(self, variant: Variant, seed: int, reporter: Reporter) -> Cell:
        experiment = self.experiments[seed, variant.name]
        run = experiment.obtain(reporter=reporter)
        splits = set(self.images.rows["split"])
        tables = {
            on: obtain_predictions(experiment, run, CONDITIONS[on], reporter)
            for on in self.conditions
            if CONDITIONS[on].split in splits
        }
        scoring = sum(table.attrs["seconds"] for table in tables.values())
        return Cell(_trained_entry(variant, experiment, run, scoring), tables)

    def _fitted(self, variant: Variant, seed: int, fitting: Fitting) -> Cell:
        if list(self.conditions) != ["local"]:
            raise UserError("baselines score clean validation images alone; ask for 'local'")
        assert variant.fit is not None
        experiment = self.experiments[seed, variant.name]
        scores = fitting.scores(variant.fit, experiment)
        labels = experiment.validation.rows["label"].to_numpy(dtype=float)
        entry = CellEntry(
            variant=variant.name,
            seed=seed,
            experiment=digest(_experiment(experiment) | {"baseline": variant.fit.name}),
            key=Fitting.key(variant.fit, experiment),
            machine=machine_of(provenance()),
            threshold=_threshold(labels, scores),
            training_images=len(experiment.training.rows),
            parameters=scores.attrs["parameters"],
            seconds=scores.attrs["seconds"],
            scoring_seconds=scores.attrs["feature_seconds"],
        )
        return Cell(entry, {"local": scores})

    def _given(self, variant: Variant, seed: int, reporter: Reporter) -> Cell:
        assert variant.given is not None
        rows, key = self.images.select(split="val").rows, self._key(variant, seed)
        conditions = [on for on in self.conditions if condition_named(on).split == "val"]
        named = digest(
            {
                "given": key,
                "images": rows["sha256"].tolist(),
                "conditions": conditions,
                "recipe": RECIPE,
            }
        )
        place = runs_root() / self.profile / CELLS / f"{variant.name}-{named[:10]}.parquet"
        scored = score_given(
            variant.given,
            self.images.root,
            rows["path"].tolist(),
            conditions,
            place=None if key is None else place,
            device=open_fabric("fp32").device,
            reporter=reporter,
        )
        tables = {str(on): own for on, own in scored.groupby("condition", sort=False)}
        threshold = getattr(variant.given, "threshold", None)
        if threshold is None:
            threshold = _chosen_threshold(variant.name, rows["label"], tables)
        entry = CellEntry(
            variant=variant.name,
            seed=seed,
            experiment=key or named,
            key=key or named,
            machine=machine_of(provenance()),
            threshold=threshold,
        )
        return Cell(entry, tables)

    def _record(self, cells: list[CellEntry]) -> StudyRecord:
        shared = next(iter(self.experiments.values()), None)
        settings = {} if shared is None else shared.profile.model_dump(mode="json")
        seconds = {
            "training": round(sum(cell.seconds for cell in cells), 1),
            "scoring": round(sum(cell.scoring_seconds for cell in cells), 1),
        }
        return StudyRecord(
            name=self.name,
            question=self.question,
            profile=self.profile,
            key=self.key(),
            command=self.command,
            seeds=list(self.seeds),
            conditions=list(self.conditions),
            settings=settings,
            data={
                "manifest_sha256": self.images.digest(),
                "images": self.images.rows["split"].value_counts().to_dict(),
                **self.facts,
            },
            variants=[_variant_entry(variant) for variant in self.variants],
            contrasts=list(self.contrasts),
            cells=cells,
            seconds=seconds | {"total": round(sum(seconds.values()), 1)},
            date=datetime.now(UTC).date().isoformat(),
            provenance=provenance(),
        )


def _kept(variants: list[Variant], only: Sequence[str] | None) -> list[Variant]:
    """Return the variants of some changes, and the first of each run, which is always there."""
    if only is None:
        return variants
    first = {run: next((v.name for v in variants if v.run == run), "") for run in RUNS}
    known = list(dict.fromkeys(variant.change for variant in variants))
    for name in only:
        if name not in known:
            raise UserError(f"there is no variant '{name}'; --only takes {', '.join(known)}")
    return [v for v in variants if v.name == first[v.run] or v.change in only]


def _experiments(
    first: Experiment,
    profile: str,
    given: Mapping[str, Any],
    variants: Iterable[Variant],
    seeds: Iterable[int],
    name: str,
) -> dict[tuple[int, str], Experiment]:
    """Return the experiment of each seed and variant, checked, on the images of the first one."""
    found = {}
    own = list(variants)
    for variant in own:
        if clash := given.keys() & variant.overrides.keys():
            raise UserError(f"the study '{name}' varies {min(clash)} itself; leave it out")
    for seed in seeds:
        for variant in own:
            settings = load_profile(profile, dict(given) | dict(variant.overrides))
            experiment = replace(first, profile=settings, run=variant.run, seed=seed)
            experiment.check()
            found[seed, variant.name] = experiment
    return found


def _experiment(experiment: Experiment) -> dict[str, Any]:
    """Return what a run's numbers depend on whatever computes it: settings, seed, images."""
    identity = experiment.identity()
    return {name: identity[name] for name in ("settings", "seed", "data")}


def _trained_entry(
    variant: Variant, experiment: Experiment, run: Run, scoring_seconds: float
) -> CellEntry:
    record = run.record
    return CellEntry(
        variant=variant.name,
        seed=record.seed,
        experiment=digest(_experiment(experiment)),
        key=record.key,
        machine=machine_of(record.provenance),
        threshold=record.threshold,
        training_images=record.data["training_images"],
        parameters=record.parameters["trained_blocks"] + record.parameters["head"],
        block_weights=record.block_weights,
        best_epoch=record.best_epoch,
        epochs=len(record.history),
        seconds=record.provenance["training_seconds"],
        scoring_seconds=round(scoring_seconds, 1),
    )


def _variant_entry(variant: Variant) -> VariantEntry:
    return VariantEntry(
        name=variant.name,
        text=variant.text,
        run=variant.run,
        overrides=dict(variant.overrides),
        kind=variant.kind,
    )


def _threshold(labels: np.ndarray, scores: pd.DataFrame) -> float:
    """Return the probability that is best by F1 on clean images, as a run chooses its own."""
    return float(best_f1_threshold(labels, probability(scores["logit"].to_numpy(np.float64))))


def _chosen_threshold(
    name: str, labels: "pd.Series[int]", tables: Mapping[str, pd.DataFrame]
) -> float:
    """Return the threshold of a given detector that has none, from its scores of clean images."""
    clean = next((tables[on] for on in CLEAN if on in tables), None)
    if clean is None:
        raise UserError(f"{name} has no threshold; score it on 'clean' images too")
    if clean["logit"].abs().max() > LARGEST_LOGIT:
        raise UserError(
            f"{name} has scores beyond {LARGEST_LOGIT}, which are all one probability: return "
            "logits, or scale the scores"
        )
    return _threshold(labels.to_numpy(dtype=float), clean)


def machine_of(made: Mapping[str, Any]) -> str:
    """Return what computed something, from its provenance: the GPU, or processor and instructions.

    Processors of one name may have other instructions, and so other last bits.
    """
    instructions = made["arithmetic"]["instructions"]
    return str(made["gpu"] or f"{made['processor']['name']}, {instructions}")
