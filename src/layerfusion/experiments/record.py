"""What a study leaves behind: one folder with a record and tables, and how these are read."""

import shutil
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from layerfusion.analysis.effects import Contrast, effects
from layerfusion.analysis.measures import Cell, Scored, scored_images
from layerfusion.data.card import IMAGES
from layerfusion.errors import UserError
from layerfusion.experiments.tables import (
    DTYPES,
    LABELS,
    PREDICTIONS,
    joined,
    read_images,
    read_predictions,
    write_csv,
)
from layerfusion.files import read_record, write_record
from layerfusion.settings import family_of

FOLDER = "studies"  # in a profile's folder, of results or of what is committed
RECORD, EFFECTS = "study.json", "effects.csv"

# How far one experiment may differ between kinds of processors. Five heads on frozen features,
# trained on an AMD EPYC and on an Intel Xeon with AMX (2026-12-01), differ by .0002 in a logit,
# 5e-6 in the threshold and 1e-6 in ROC AUC.
LOGIT_APART, THRESHOLD_APART = 1e-3, 5e-5


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VariantEntry(_Record):
    """A variant as `layerfusion.experiments.variant.Variant` describes it."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    text: str
    run: str
    overrides: dict[str, Any]
    kind: str


class CellEntry(_Record):
    """One variant, made with one seed: how, what it learnt, and what that took.

    `experiment` names settings, seed and images alone: entries of two studies that have it in
    common are one experiment, and have one threshold and the same predictions. `key` names the
    training or fit, with the versions that computed it, and `machine` where that was. Of a baseline
    `fit` has the settings that were chosen, the ROC AUC of each try and that of the training views.
    """

    variant: str
    seed: int
    experiment: str
    key: str
    machine: str
    threshold: float
    training_images: int | None = None
    parameters: int | None = None
    block_weights: list[float] = []
    fit: dict[str, Any] = {}
    best_epoch: int | None = None
    epochs: int | None = None
    seconds: float = 0.0
    scoring_seconds: float = 0.0


class StudyRecord(_Record):
    """Everything that is known of a study beside its predictions; ``study.json`` in its folder.

    `settings` are those that all variants share, empty of a study of given detectors; `data` names
    the images by their hash and counts them; `seconds` is by what it was spent on.
    """

    name: str
    question: str
    profile: str
    key: str
    command: str
    seeds: list[int]
    conditions: list[str]
    settings: dict[str, Any]
    data: dict[str, Any]
    variants: list[VariantEntry]
    contrasts: list[Contrast]
    cells: list[CellEntry]
    seconds: dict[str, float]
    date: str | None = None
    provenance: dict[str, Any]

    @property
    def thresholds(self) -> dict[Cell, float]:
        """By variant and seed: the probability from which an image is predicted synthetic."""
        return {(cell.variant, cell.seed): cell.threshold for cell in self.cells}

    @property
    def small_side(self) -> int | None:
        """Images whose shorter side is below are small, px."""
        side = self.settings.get("training", {}).get("small_side")
        return None if side is None else int(side)


@dataclass(frozen=True)
class FinishedStudy:
    """A study's folder and its record; tables are read as they are asked for."""

    directory: Path
    record: StudyRecord

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Return every prediction with what is known of its image.

        The columns of both tables; a row a variant, seed, condition and image, images in one order.

        Raises
        ------
        UserError
            If a table is missing or damaged, or is not the record's.
        """
        table = joined(read_predictions(self.directory), self.images)
        own = {(cell.variant, cell.seed) for cell in self.record.cells}
        made = table[["variant", "seed"]].drop_duplicates().itertuples(index=False, name=None)
        if set(made) != own:
            raise UserError(f"{self.directory}: record and predictions are of different variants")
        # Where labels were let in of some test images, the others say nothing.
        nameless = (table["split"] == "test") & table["label"].isna()
        return table[~nameless] if (self.directory / LABELS).is_file() else table

    @cached_property
    def images(self) -> pd.DataFrame:
        """What is known of each image, as `layerfusion.experiments.tables.read_images` says."""
        return read_images(self.directory)

    @property
    def unlabelled(self) -> pd.DataFrame:
        """The test images without a label, which `layerfusion unseal` may let in."""
        return self.images[(self.images["split"] == "test") & self.images["label"].isna()]

    @cached_property
    def scored(self) -> Scored:
        """Return the images of each condition as each variant scores them, on shared resamples."""
        table = self.predictions
        families = self.record.settings.get("data", {}).get("families", {})
        family = table["source"].map(partial(family_of, families=families), na_action="ignore")
        table = table.assign(family=family)
        return scored_images(table, self.record.thresholds, self.record.small_side)

    @cached_property
    def effects(self) -> pd.DataFrame:
        """The effects of the contrasts, as `computed_effects` wrote them when the study ended."""
        path = self.directory / EFFECTS
        if not path.is_file():
            return self.computed_effects()
        table = pd.read_csv(path, converters={"per_seed": _numbers})
        return table.fillna({"over": "", "machines": ""})

    def computed_effects(self) -> pd.DataFrame:
        """Return the effects of the contrasts, as `layerfusion.analysis.effects.effects` does."""
        machines = {(cell.variant, cell.seed): cell.machine for cell in self.record.cells}
        return effects(self.scored, self.record.contrasts, machines)

    @cached_property
    def _committed(self) -> pd.DataFrame:
        if not (self.directory / PREDICTIONS).is_file():
            return pd.DataFrame(columns=[*DTYPES])
        return read_predictions(self.directory)

    def logits_of(self, cell: CellEntry) -> "pd.Series[float]":
        """Return a cell's logits by condition and image; none where they are not committed."""
        table = self._committed
        own = (table["variant"] == cell.variant) & (table["seed"] == cell.seed)
        return table[own].set_index(["condition", "image_id"])["logit"].sort_index()


def _numbers(text: str) -> list[float]:
    """Return a list of numbers that a table holds as text."""
    return [float(number) for number in text.strip("[]").split(",") if number.strip()]


def write_study(record: StudyRecord, directory: Path) -> FinishedStudy:
    """Write the record and the effects of a study whose tables lie there; the record last."""
    finished = FinishedStudy(directory, record)
    write_csv(finished.computed_effects(), directory / EFFECTS)
    write_record(record, directory / RECORD)
    return finished


def read_study(directory: Path) -> FinishedStudy:
    """Read a study from its folder, or from where it was published.

    Raises
    ------
    UserError
        If there is none, or it is not a record of this version.
    """
    return FinishedStudy(directory, read_record(StudyRecord, directory / RECORD, "study"))


def published_study(profile_folder: Path, name: str) -> FinishedStudy:
    """Read a study that is committed in a profile's folder, such as ``runs/reference/demo``."""
    return read_study(profile_folder / FOLDER / name)


def published_studies(profile_folder: Path) -> dict[str, FinishedStudy]:
    """Read all studies that are committed in a profile's folder, by name."""
    found = sorted((profile_folder / FOLDER).glob(f"*/{RECORD}"))
    return {path.parent.name: read_study(path.parent) for path in found}


def publish(study: FinishedStudy, profile_folder: Path) -> list[Path]:
    """Copy a study's folder into that of a profile, such as ``runs/reference/demo``.

    Its images become those that all studies of the profile share, unless there are some. With test
    images that nobody has labelled, which no data card lists, it keeps a table of its own.

    Raises
    ------
    UserError
        If a committed study has an experiment of this one with other results, or the shared images
        are other ones.
    """
    for name, other in published_studies(profile_folder).items():
        if name != study.record.name and (apart := disagreement(study, other)):
            raise UserError(
                f"{apart} is published with other results by the study '{name}'; make that one "
                "again on this machine, and publish both"
            )
    target = profile_folder / FOLDER / study.record.name
    target.mkdir(parents=True, exist_ok=True)
    shared, left_behind = profile_folder / IMAGES, {IMAGES, "log.txt"}
    has_images = (study.directory / IMAGES).is_file()
    if has_images and not study.unlabelled.empty:
        left_behind -= {IMAGES}
    elif (study.directory / PREDICTIONS).is_file() and shared.is_file():
        joined(read_predictions(study.directory), read_images(target))
    elif has_images:
        shutil.copyfile(study.directory / IMAGES, shared)
    return [
        Path(shutil.copyfile(path, target / path.name))
        for path in sorted(study.directory.iterdir())
        if path.is_file() and path.name not in left_behind
    ]


def disagreement(one: FinishedStudy, other: FinishedStudy) -> str | None:
    """Return the first experiment, in words, of which two studies have different results.

    On one kind of processor every bit is the same. Between two kinds logits and thresholds may
    differ by `LOGIT_APART` and `THRESHOLD_APART`.
    """
    theirs = {cell.experiment: cell for cell in other.record.cells}
    for cell in one.record.cells:
        same = theirs.get(cell.experiment)
        if same is None:
            continue
        ours, others = (study.logits_of(at) for study, at in ((one, cell), (other, same)))
        both = ours.index.intersection(others.index)
        logits, threshold = (
            (0.0, 0.0) if cell.machine == same.machine else (LOGIT_APART, THRESHOLD_APART)
        )
        # An image that could not be read has no score in either.
        near = np.allclose(ours[both], others[both], rtol=0, atol=logits, equal_nan=True)
        if not near or abs(cell.threshold - same.threshold) > threshold:
            return f"{cell.variant}, seed {cell.seed},"
    return None
