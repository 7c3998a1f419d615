"""A study: variants over several seeds, scored under conditions, and contrasts of their numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from layerfusion.analysis.effects import Contrast
from layerfusion.analysis.measures import RESAMPLES, RESAMPLING_SEED, RUNS
from layerfusion.data.card import IMAGES
from layerfusion.data.manifest import Manifest, Split
from layerfusion.errors import StopRequestedError, UserError
from layerfusion.experiments.alpha import ALPHA, alpha_table
from layerfusion.experiments.baselines.baseline import Baseline
from layerfusion.experiments.baselines.fitting import FOLDER as CELLS
from layerfusion.experiments.baselines.fitting import Fitting, scored
from layerfusion.experiments.catalogue import compared_with, find_question
from layerfusion.experiments.commands import shared_options, training_command
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
from layerfusion.experiments.shortcuts import SHORTCUTS, run_shortcuts
from layerfusion.experiments.tables import (
    PREDICTIONS,
    image_table,
    predictions_table,
    write_csv,
    write_table,
)
from layerfusion.experiments.variant import Given, Variant
from layerfusion.files import alone
from layerfusion.metrics.probability import probability
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.parallel.processes import open_fabric
from layerfusion.paths import runs_root, shown
from layerfusion.progress import Reporter
from layerfusion.provenance import provenance
from layerfusion.recipe import RECIPE
from layerfusion.runs.condition import CONDITIONS, condition_named
from layerfusion.runs.conditions import obtain_together
from layerfusion.runs.experiment import Experiment
from layerfusion.runs.record import LOG, Run
from layerfusion.settings import digest, load_profile

CLEAN = ("local", "clean")  # conditions under which a threshold is chosen
CLEAN_SPLITS = {"local": "val", "official": "test"}  # conditions that baselines score
LARGEST_LOGIT = 36  # of more the probability rounds to 1
SCORED_TOGETHER = 8  # detectors: each holds its encoder while it scores


# What is reported of a cell, and its predictions by condition.
Made = tuple[dict[str, Any], dict[str, pd.DataFrame]]


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
    settings
        Of the profile that the images are of, where nothing is trained.
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
    settings: Mapping[str, Any] = field(default_factory=dict)

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
        seeds: int = 3,
        only: Sequence[str] | None = None,
        data_root: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        beside: Mapping[str, Given] | None = None,
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
            How many: `first_seed` and those that follow it, at least 2.
        only
            Changes to keep, such as ``last`` or ``rine``; the first variant of a run always stays.
        overrides
            Settings that all variants share.
        beside
            Finished detectors of your own, by name: they score the same images, and the first
            variant of each run is compared with each of them.

        Raises
        ------
        UserError
            If there is no such study or change, `Experiment.open` objects, there are fewer than two
            seeds, or a setting that the study varies is given.
        """
        question, given = find_question(name), dict(overrides or {})
        if seeds < 2:
            raise UserError("a study needs two seeds at least, to know how far seeds differ")
        first = Experiment.open(
            RUNS[0], profile=profile, seed=first_seed, data_root=data_root, overrides=given,
            reporter=reporter,
        )  # fmt: skip
        plan = question.plan(first)
        variants = _kept(plan.variants, only)
        mine = [Variant(own, own, given=detector) for own, detector in (beside or {}).items()]
        names = {variant.name for variant in variants}
        contrasts = [contrast for contrast in plan.contrasts if contrast.variants <= names]
        contrasts += compared_with(variants, mine, plan.conditions)
        numbers = range(first_seed, first_seed + seeds)
        # As a record has them: no folder of this machine.
        options = shared_options(Path(profile).name, None if data_root is None else "DIR", given)
        chosen = f" --only {','.join(only)}" if only is not None else ""
        return cls(
            name,
            question.text,
            [*variants, *mine],
            contrasts,
            plan.conditions,
            first.manifest,
            list(numbers),
            _experiments(first, profile, given, variants, numbers, name),
            first.profile.name,
            f"layerfusion study {name} {options} --seeds {seeds} --first-seed {first_seed}{chosen}",
        )

    def training_commands(self, options: str) -> list[str]:
        """Return the commands that train the variants one by one, each training once.

        Parameters
        ----------
        options
            What they share, as `layerfusion.experiments.commands.shared_options` writes it.
        """
        return [
            training_command(variant, seed, options)
            for seed in self.seeds
            for variant in self.variants
            if variant.kind == "trained"
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
        busy = f"another process is making the study in {shown(directory)}; wait for it"
        with alone(directory, busy), reporter.log_to(directory / LOG):
            cells, tables = zip(*self.cells(reporter), strict=True)
            write_table(predictions_table(tables), directory / PREDICTIONS)
            write_table(image_table(self.images), directory / IMAGES)
            if self.name == "claims":
                # What they would be for a detector that sees no content, and what the weights say.
                first = next(iter(self.experiments.values()))
                shortcuts = run_shortcuts(first, RUNS, reporter)
                write_csv(shortcuts, directory / SHORTCUTS)
                trained = {(v.name, seed): self._of(v, seed) for v, seed in self._order()}
                write_csv(alpha_table(trained, reporter), directory / ALPHA)
            return write_study(self._record(list(cells)), directory)

    def cells(self, reporter: Reporter) -> Iterator[tuple[CellEntry, pd.DataFrame]]:
        """Load or make each cell; yield what is reported of it, and its predictions."""
        trained = self._train(reporter)
        fits = any(variant.fit is not None for variant in self.variants)
        fitting = Fitting(next(iter(self.experiments.values())), reporter) if fits else None
        order = self._order()
        for number, (variant, seed) in enumerate(order, start=1):
            if variant.kind != "trained":
                reporter.say(f"run {number} of {len(order)}: {variant.name}, seed {seed}")
            if variant.given is not None:
                made, tables = self._given(variant.name, variant.given, reporter)
            elif variant.fit is not None and fitting is not None:
                made, tables = self._fitted(variant.fit, self._of(variant, seed), fitting)
            else:
                tables = trained[f"{variant.name} {seed}"]
                made = self._trained(self._of(variant, seed), tables)
            own = {"variant": variant.name, "seed": seed, "key": self._key(variant, seed)}
            predicted = [table.assign(condition=on) for on, table in tables.items()]
            yield (
                CellEntry.model_validate(own | made),
                pd.concat(predicted).assign(variant=variant.name, seed=seed),
            )

    def _train(self, reporter: Reporter) -> dict[str, dict[str, pd.DataFrame]]:
        """Train all that is to be trained, then score it: images are degraded once for several.

        Returns predictions by cell, ``<variant> <seed>``, and condition.
        """
        order, runs = self._order(), dict[str, Run]()
        for number, (variant, seed) in enumerate(order, start=1):
            if variant.kind != "trained":
                continue
            where = f"run {number} of {len(order)}"
            reporter.say(f"{where}: {variant.name}, seed {seed}")
            try:
                made = self._of(variant, seed).obtain(reporter=reporter)
            except StopRequestedError:
                raise StopRequestedError(
                    f"asked to stop (SIGTERM) in {where}; all steps are saved: give the same "
                    "command to resume"
                ) from None
            runs[f"{variant.name} {seed}"] = made
        names, tables = list(runs), {name: dict[str, pd.DataFrame]() for name in runs}
        for first in range(0, len(names), SCORED_TOGETHER):
            some = {name: runs[name] for name in names[first : first + SCORED_TOGETHER]}
            for on in self._scored:
                found = obtain_together(self._of(*order[0]), some, CONDITIONS[on], reporter)
                for name, table in found.items():
                    tables[name][on] = table
        return tables

    @property
    def _scored(self) -> list[str]:
        """The conditions of which there are images."""
        splits = set(self.images.rows["split"])
        return [on for on in self.conditions if condition_named(on).split in splits]

    def _order(self) -> list[tuple[Variant, int]]:
        """Return all cells: seed by seed, then fits, those that share their features together."""

        def place(cell: tuple[Variant, int]) -> tuple[int, str]:
            fit = cell[0].fit
            return (0, "") if fit is None else (RUNS.index(cell[0].run) + 1, fit.reads)

        return sorted(
            [(variant, seed) for seed in self.seeds for variant in self.variants], key=place
        )

    def _of(self, variant: Variant, seed: int) -> Experiment:
        return self.experiments[seed, variant.name]

    def _key(self, variant: Variant, seed: int) -> str | None:
        """Return what names a cell's numbers; None where nothing can."""
        if variant.given is not None:
            return identity_of(variant.given)
        if variant.fit is not None:
            return Fitting.key(variant.fit, self._of(variant, seed))
        return self._of(variant, seed).place.key

    def _trained(
        self, experiment: Experiment, tables: Mapping[str, pd.DataFrame]
    ) -> dict[str, Any]:
        record = experiment.obtain().record  # found
        scoring = sum(table.attrs["seconds"] for table in tables.values())
        return {
            "experiment": digest(_named(experiment)),
            "key": record.key,
            "machine": machine_of(record.provenance),
            "threshold": record.threshold,
            "training_images": record.data["training_images"],
            "parameters": record.parameters["trained_blocks"] + record.parameters["head"],
            "block_weights": record.block_weights,
            "best_epoch": record.best_epoch,
            "epochs": len(record.history),
            "seconds": record.provenance["training_seconds"],
            "scoring_seconds": round(scoring, 2),
        }

    def _fitted(self, baseline: Baseline, experiment: Experiment, fitting: Fitting) -> Made:
        if degraded := set(self.conditions) - CLEAN_SPLITS.keys():
            raise UserError(
                f"baselines score clean images alone; leave out {', '.join(sorted(degraded))}"
            )
        scores = fitting.scores(baseline, experiment)
        made, split = scores.attrs, scored(experiment).rows["split"]
        tables = {on: scores[(split == CLEAN_SPLITS[on]).to_numpy()] for on in self._scored}
        return {
            "experiment": digest(_named(experiment) | {"baseline": baseline.name}),
            "machine": machine_of(provenance()),
            "threshold": _threshold(experiment.validation.rows["label"], tables["local"]),
            "training_images": len(experiment.training.rows),
            "parameters": made["parameters"],
            "fit": {name: made[name] for name in ("settings", "tries", "training_auc")},
            "seconds": round(made["seconds"] + made["choosing_seconds"], 1),
            "scoring_seconds": made["feature_seconds"],
        }, tables

    def _given(self, name: str, given: Given, reporter: Reporter) -> Made:
        labels, key = self.images.select(split="val").rows["label"], identity_of(given)
        tables: dict[str, pd.DataFrame] = {}
        for split, conditions in groupby(self._scored, lambda on: condition_named(on).split):
            tables |= self._given_scores(name, given, split, list(conditions), reporter)
        threshold = getattr(given, "threshold", None)
        if threshold is None:
            threshold = _chosen_threshold(name, labels, tables)
        named = key or digest({"given": name, "images": self.images.digest(), "recipe": RECIPE})
        own = {"experiment": named, "key": named, "threshold": threshold}
        return own | {"machine": machine_of(provenance())}, tables

    def _given_scores(
        self, name: str, given: Given, split: Split, conditions: list[str], reporter: Reporter
    ) -> dict[str, pd.DataFrame]:
        """Return a given detector's scores of a split's images, by condition."""
        rows, key = self.images.select(split=split).rows, identity_of(given)
        made_of = {"given": key, "images": rows["sha256"].tolist(), "conditions": conditions}
        named = digest(made_of | {"recipe": RECIPE})
        place = runs_root() / self.profile / CELLS / f"{name}-{named[:10]}.parquet"
        scored = score_given(
            given, self.images.root, rows["path"].tolist(), conditions,
            place=None if key is None else place, device=open_fabric("fp32").device,
            reporter=reporter,
        )  # fmt: skip
        return {str(on): own for on, own in scored.groupby("condition", sort=False)}

    def _record(self, cells: list[CellEntry]) -> StudyRecord:
        shared = next(iter(self.experiments.values()), None)
        settings = dict(self.settings) if shared is None else shared.profile.model_dump(mode="json")
        seconds = {
            "training": round(sum(cell.seconds for cell in cells), 1),
            "scoring": round(sum(cell.scoring_seconds for cell in cells), 2),
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
            variants=[VariantEntry.model_validate(variant) for variant in self.variants],
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
    variants: Sequence[Variant],
    seeds: Sequence[int],
    name: str,
) -> dict[tuple[int, str], Experiment]:
    """Return the experiment of each seed and variant, checked, on the images of the first one."""
    found = {}
    for variant in variants:
        if clash := given.keys() & variant.overrides.keys():
            raise UserError(f"the study '{name}' varies {min(clash)} itself; leave it out")
    for seed in seeds:
        for variant in variants:
            settings = load_profile(profile, dict(given) | dict(variant.overrides))
            experiment = replace(first, profile=settings, run=variant.run, seed=seed)
            experiment.check()
            found[seed, variant.name] = experiment
    return found


def _named(experiment: Experiment) -> dict[str, Any]:
    """Return what a run's numbers depend on whatever computes it: settings, seed, images."""
    identity = experiment.identity()
    return {name: identity[name] for name in ("settings", "seed", "data")}


def _threshold(label: "pd.Series[int]", scores: pd.DataFrame) -> float:
    """Return the probability that is best by F1 on clean images, as a run chooses its own."""
    return best_f1_threshold(label.to_numpy(dtype=float), probability(scores["logit"]))


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
    return _threshold(labels, clean)


def machine_of(made: Mapping[str, Any]) -> str:
    """Return what computed something, from its provenance: the GPU, or processor and instructions.

    Processors of one name may have other instructions, and so other last bits.
    """
    instructions = made["arithmetic"]["instructions"]
    return str(made["gpu"] or f"{made['processor']['name']}, {instructions}")
