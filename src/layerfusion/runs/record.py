"""What a run leaves behind: one folder, complete or visibly unfinished."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from layerfusion import files
from layerfusion.data.manifest import Manifest
from layerfusion.data.tables import read_parquet
from layerfusion.metrics.probability import probability
from layerfusion.paths import reference_folder, runs_root
from layerfusion.recipe import RECIPE
from layerfusion.settings import Profile

if TYPE_CHECKING:  # it loads torch, which takes seconds
    from layerfusion.model.detector import Detector

RECORD = "record.json"
MANIFEST = "manifest.parquet"
LOG = "log.txt"  # of the training; no number is read from it
CONDITIONS = "conditions"  # in a run's folder: its predictions under other conditions


class RunRecord(BaseModel):
    """Everything that is reported of one run; `record.json` in its folder.

    `metrics` is `layerfusion.metrics.rates.Report` of the validation images as nested plain values;
    `history` has an entry a finished epoch; `provenance` says what computed it all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str
    run: str
    seed: int
    key: str
    settings: dict[str, Any]
    activation: str
    parameters: dict[str, int]
    data: dict[str, Any]
    threshold: float
    metrics: dict[str, Any]
    history: list[dict[str, Any]]
    best_epoch: int
    block_weights: list[float]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and its record; `recorded` if it is a committed one."""

    directory: Path
    record: RunRecord
    recorded: bool = False

    @property
    def name(self) -> str:
        """What a recorded run's folder is called: run and seed."""
        return run_name(self.record.run, self.record.seed)

    @property
    def place(self) -> Path:
        """Where more is written of it: its folder, or for a committed run one of the user's."""
        if self.recorded:
            return runs_root() / self.record.profile / f"recorded-{self.name}"
        return self.directory

    def predictions(self) -> pd.DataFrame:
        """Return the predictions of the validation images, a row an image.

        Logits are what is stored; ``probability``, in [0, 1], is computed of them.
        """
        table = read_parquet(self.directory / "predictions.parquet")
        return table.assign(probability=probability(table["logit"]))

    def manifest(self, root: Path) -> Manifest:
        """Return the manifest that the run was made from, its files looked for below `root`."""
        return Manifest.load(self.directory / MANIFEST, root)

    def publish(self, reference: Path) -> None:
        """Replace a recorded run, in a folder of such, by what is committed of this one.

        That is all but log and manifest. Predictions under conditions lose the key in their names:
        a recorded run is of one recipe.
        """
        folder = reference / self.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for part in (RECORD, "predictions.parquet"):
            shutil.copyfile(self.directory / part, folder / part)
        shutil.copytree(self.directory / "detector", folder / "detector")
        (folder / CONDITIONS).mkdir()
        for path in sorted((self.directory / CONDITIONS).glob("*.parquet")):
            name = path.stem.rpartition("-")[0]
            shutil.copyfile(path, folder / CONDITIONS / f"{name}.parquet")

    def detector(self) -> "Detector":
        """Return the calibrated detector, in evaluation mode."""
        from layerfusion.model.detector import Detector

        return Detector.load(self.directory / "detector")


def run_name(run: str, seed: int) -> str:
    """Return what a run with a seed is called."""
    return f"{run}-seed{seed}"


@dataclass(frozen=True)
class RunPlace:
    """Where a run of a given key lies, or will lie: `<profile>/<run>-seed<seed>-<key>`.

    While it trains, its folder ends in ``.unfinished``; the rename at the end is what finishes it.
    """

    root: Path
    profile: str
    run: str
    seed: int
    key: str

    @property
    def finished(self) -> Path:
        """The folder of the finished run."""
        return self.root / self.profile / f"{run_name(self.run, self.seed)}-{self.key[:10]}"

    @property
    def unfinished(self) -> Path:
        """The folder of the run while it trains, or after it was interrupted."""
        return self.finished.with_name(self.finished.name + ".unfinished")

    def read(self) -> Run | None:
        """Return the finished run with its detector, or None if there is none on this machine."""
        record = self.finished / RECORD
        detector = self.finished / "detector" / "trained.safetensors"
        if not (record.is_file() and detector.is_file()):
            return None
        return Run(self.finished, read_record(record))

    def interrupted(self) -> list[str]:
        """Return the names of unfinished folders of this run and seed, but with other keys."""
        found = self.finished.parent.glob(f"{run_name(self.run, self.seed)}-*.unfinished")
        return sorted(folder.name for folder in found if folder != self.unfinished)

    def finish(self, checkpoint: str) -> Run:
        """Turn the unfinished folder into the finished run, replacing one that was there.

        Its `checkpoint` is removed.
        """
        former = self.finished.with_name(self.finished.name + ".former")
        shutil.rmtree(former, ignore_errors=True)
        if self.finished.exists():
            self.finished.replace(former)
        self.unfinished.replace(self.finished)
        shutil.rmtree(former, ignore_errors=True)
        (self.finished / checkpoint).unlink()
        return Run(self.finished, read_record(self.finished / RECORD))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from training the same run while the block runs.

        Raises
        ------
        UserError
            If another process is training it.
        """
        busy = (
            f"another process is training {self.finished.name}; wait for it, or train with "
            "another seed"
        )
        with files.alone(self.finished, busy):
            yield


def recorded_run(profile: Profile, run: str, seed: int) -> Run | None:
    """Return the committed run of this profile, run and seed, if there is one of its settings.

    It was made of the same settings by the same recipe, on another machine: images, libraries and
    instructions may differ in last bits. How a processor computes and loads is not compared.
    """
    folder = reference_folder(profile.name) / run_name(run, seed)
    if not (folder / RECORD).is_file():
        return None
    record = read_record(folder / RECORD)
    there, here = record.settings, profile.model_dump(mode="json")
    aside = ("compute", "loader")
    same = all(there.get(name) == here[name] for name in here if name not in aside)
    same &= record.provenance.get("recipe") == RECIPE
    return Run(folder, record, recorded=True) if same else None


def read_record(path: Path) -> RunRecord:
    """Read a run's record.

    Raises
    ------
    UserError
        If there is none, or it is not a record of this version.
    """
    return files.read_record(RunRecord, path, "run record")
