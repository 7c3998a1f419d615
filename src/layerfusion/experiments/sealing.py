"""A seal: what was scored and planned, by its hashes, before anybody read the labels.

Images say how good a detector is only if they chose nothing about it: if detector, threshold,
scores and the rules of judging were there before anybody looked at their labels. `seal` writes the
hashes of all that lies in a folder, a study's or one of scores, and of the plan; whoever commits
the seal shows when. `unseal` refuses a folder that has changed since, lets the labels in, and
records every opening.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from layerfusion.data.labels import file_name, read_labels
from layerfusion.data.tables import csv_text, read_csv
from layerfusion.errors import UserError
from layerfusion.experiments.record import EFFECTS, RECORD, read_study, write_study
from layerfusion.experiments.tables import LABELS, write_csv
from layerfusion.files import alone, file_sha256, read_record, write_record
from layerfusion.images.finding import composed
from layerfusion.metrics.rates import evaluate
from layerfusion.provenance import provenance

SEAL, PLAN = "seal.json", "plan.md"
# What an opening writes, or writes anew.
_OPENED = {SEAL, LABELS, EFFECTS, "log.txt"}
_BUSY = "another process seals or opens this folder; wait for it"


class Opening(BaseModel):
    """When labels were let in: a date and time (UTC), and the hash of the file that held them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str
    labels_sha256: str
    images: int
    git_commit: str | None


class Seal(BaseModel):
    """``seal.json``: the sha256 of every file in the folder, the plan's among them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: dict[str, str]
    at: str
    provenance: dict[str, Any]
    openings: list[Opening] = []


def seal(folder: Path, plan: Path) -> Seal:
    """Copy the plan into a folder of predictions and write the hashes of all that lies there.

    Raises
    ------
    UserError
        If the folder holds no predictions, or none of images without labels, is sealed already or
        has another plan, or a file cannot be read.
    """
    if not folder.is_dir() or not ((folder / RECORD).is_file() or _tables(folder)):
        raise UserError(
            f"{folder} holds nothing to seal; give a study's folder, or one with the CSV of "
            "`layerfusion score`"
        )
    if (folder / RECORD).is_file() and read_study(folder).unlabelled.empty:
        raise UserError(f"{folder} scored no test images without labels; there is nothing to seal")
    if (folder / SEAL).exists():
        raise UserError(f"{folder} is sealed already; a seal is never renewed")
    if not plan.is_file():
        raise UserError(f"there is no plan {plan}; write down what will be judged, and how")
    with alone(folder, _BUSY):
        own = folder / PLAN
        if not own.exists():
            own.write_bytes(plan.read_bytes())
        elif own.read_bytes() != plan.read_bytes():
            raise UserError(f"{own} is another plan than {plan}; remove one of them")
        made = Seal(files=_hashes(folder), at=_now(), provenance=provenance())
        write_record(made, folder / SEAL)
    return made


def unseal(folder: Path, labels: Path) -> Seal:
    """Let labels into a sealed folder, and record that; the study's effects are written anew.

    Parameters
    ----------
    labels
        As `layerfusion.data.labels.read_labels` takes them; scored images that it does not name
        stay without a label.

    Raises
    ------
    UserError
        If the folder is not sealed or has changed since, other labels were let in before, they are
        of none of the images, or a file name is that of two labels or two images.
    """
    sealed, given = read_seal(folder), read_labels(labels)
    with alone(folder, _BUSY):
        hashes = _hashes(folder)
        differ = [name for name in sorted(hashes.keys() | sealed.files.keys())
                  if hashes.get(name) != sealed.files.get(name)]  # fmt: skip
        if differ:
            raise UserError(f"{folder / differ[0]} is not as it was when sealed")
        table, before = _labelled(scored_names(folder), given, labels), folder / LABELS
        if table.empty:
            raise UserError(f"{labels} names none of the images that were scored in {folder}")
        if before.is_file() and before.read_text(encoding="utf-8") != csv_text(table):
            raise UserError(f"{before} holds other labels, which were let in before")
        opening = Opening(
            at=_now(),
            labels_sha256=file_sha256(labels),
            images=len(table),
            git_commit=provenance()["git_commit"],
        )
        # Recorded before anybody sees a result, whatever comes of it.
        openings = [*sealed.openings, opening]
        write_record(sealed.model_copy(update={"openings": openings}), folder / SEAL)
        write_csv(table, before)
        if (folder / RECORD).is_file():
            write_study(read_study(folder).record, folder)
    return read_seal(folder)


def read_seal(folder: Path) -> Seal:
    """Read the seal of a folder; raises a UserError if there is none."""
    if not (folder / SEAL).is_file():
        raise UserError(
            f"{folder} is not sealed; give the folder that `layerfusion seal` was given"
        )
    return read_record(Seal, folder / SEAL, "seal")


def opened_scores(folder: Path) -> pd.DataFrame:
    """Return the metrics of the CSVs of scores in an opened folder, of each at its threshold.

    Returns
    -------
    DataFrame
        Index: ``file`` and the metric; columns as `layerfusion.metrics.rates.evaluate`, over
        sources where the labels say these.
    """
    labels, found = read_csv(folder / LABELS).set_index("path"), {}
    for path in _tables(folder):
        rows = read_csv(path).set_index("image_id")
        rows = rows[rows.index.isin(labels.index) & rows["predicted"].isin(["0", "1"])]
        own = labels.loc[rows.index]
        logits, predicted = rows["logit"].astype(float), rows["predicted"] == "1"
        threshold = logits[predicted].min() if predicted.any() else float("inf")
        groups = own["source"] if "source" in own and own["source"].notna().all() else None
        found[path.name] = evaluate(own["label"].astype(int), logits, threshold, groups=groups)
    return pd.concat(found, names=["file", "metric"])


def scored_names(folder: Path) -> "pd.Series[str]":
    """Return the images that may get a label: a study's test images, or all of the CSVs."""
    if (folder / RECORD).is_file():
        images = read_study(folder).images
        tested: pd.Series[str] = images.loc[images["split"] == "test", "path"]
        return tested
    tables = [read_csv(path) for path in _tables(folder)]
    names: pd.Series[str] = pd.concat(tables)["image_id"].drop_duplicates()
    return names


def _labelled(names: "pd.Series[str]", given: pd.DataFrame, labels: Path) -> pd.DataFrame:
    """Return the scored images that have a label, ``path`` and what is given, in their order."""
    files = names.map(composed)
    if not files.isin(given.index).any():  # not by their paths: by file name, then
        files, given = names.map(file_name), given.rename(file_name)
    for whose, index in ((labels, given.index), ("what was scored", pd.Index(files))):
        if index.has_duplicates:
            twice = index[index.duplicated()][0]
            raise UserError(f"{twice!r} names two images in {whose}; name images by their paths")
    known = given.reindex(files).set_axis(names, axis=0).dropna(subset="label")
    return known.astype({"label": "int8"}).rename_axis("path").reset_index()


def _tables(folder: Path) -> list[Path]:
    """Return the CSVs of scores in a folder."""
    tables = [path for path in sorted(folder.glob("*.csv")) if path.name not in _OPENED]
    return [path for path in tables if {"image_id", "logit", "predicted"} <= {*read_csv(path)}]


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: file_sha256(path) for name, path in names.items() if name not in _OPENED}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
