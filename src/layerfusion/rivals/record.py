"""What a contest leaves behind: a record and a table of predictions, and how both are read."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from layerfusion.files import in_place_of, read_record, write_record
from layerfusion.studies.predictions import DTYPES as STUDY_DTYPES
from layerfusion.studies.predictions import read_table

RECORD = "rivals.json"
PREDICTIONS = "rivals.parquet"

# A study's columns, but that a rival stands where a study has a head.
DTYPES = {("rival" if name == "blocks" else name): kind for name, kind in STUDY_DTYPES.items()}


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RivalEntry(_Record):
    """One rival, fitted to the training images of a run with a seed.

    `parameters` is how many numbers it learnt, `seconds` how long that took, features not included;
    `metrics` is `layerfusion.metrics.rates.Report` of the validation images as nested plain values.
    """

    rival: str
    run: str
    seed: int
    threshold: float
    parameters: int
    seconds: float
    metrics: dict[str, Any]


class FeatureCost(_Record):
    """What it took to have features, in the session that ended the contest.

    `computed` images passed the encoder, `found` ones lay in the cache of frozen blocks.
    """

    seconds: float = 0.0
    computed: int = 0
    found: int = 0


class RivalsRecord(_Record):
    """Everything that is reported of a contest; `rivals.json` in its folder.

    `data` names the images by their hash, and says how many views each run trained on;
    `code_sha256` is of all modules that numbers depend on.
    """

    profile: str
    key: str
    command: str
    seeds: list[int]
    rivals: list[str]
    settings: dict[str, Any]
    data: dict[str, Any]
    entries: list[RivalEntry]
    features: FeatureCost
    fitting_seconds: float
    code_sha256: str
    provenance: dict[str, Any]


@dataclass(frozen=True)
class FinishedContest:
    """A contest's folder and its record."""

    directory: Path
    record: RivalsRecord


def rivals_table(record: RivalsRecord) -> pd.DataFrame:
    """Return the entries of a contest as means over its seeds, a row a run and rival.

    Returns
    -------
    DataFrame
        ``run``, ``rival``; ``roc_auc``, ``average_precision``, ``f1`` (rates in [0, 1]) and
        ``auc_sd``, the standard deviation of ROC AUC between seeds; ``parameters``, how many
        numbers the rival learnt; ``seconds``, to learn them.
    """
    rows = [
        {
            "run": entry.run,
            "rival": entry.rival,
            "roc_auc": entry.metrics["ranking"]["roc_auc"],
            "average_precision": entry.metrics["ranking"]["average_precision"],
            "f1": entry.metrics["calibrated"]["f1"],
            "parameters": entry.parameters,
            "seconds": entry.seconds,
        }
        for entry in record.entries
    ]
    grouped = pd.DataFrame(rows).groupby(["run", "rival"], sort=False)
    means = grouped.mean().astype({"parameters": int})
    means.insert(1, "auc_sd", grouped["roc_auc"].std())
    return means.reset_index()


def rivals_text(record: RivalsRecord) -> str:
    """Return the entries as a terminal shows them: aligned columns, rates with four decimals."""
    table = rivals_table(record)
    table["parameters"] = [f"{number:,}" for number in table["parameters"]]
    table["seconds"] = [f"{number:.0f}" for number in table["seconds"]]
    return table.to_string(index=False, float_format="{:.4f}".format)


def write_contest(record: RivalsRecord, predictions: pd.DataFrame, directory: Path) -> None:
    """Write predictions, with the columns of `DTYPES`, and record; the record last, by rename."""
    directory.mkdir(parents=True, exist_ok=True)
    with in_place_of(directory / PREDICTIONS) as partial:
        predictions.to_parquet(partial, index=False, compression="zstd")
    write_record(record, directory / RECORD)


def read_contest(directory: Path) -> FinishedContest:
    """Read a contest from its folder, or from where it was published.

    Raises
    ------
    UserError
        If there is none, or it is not a record of this version.
    """
    record = read_record(RivalsRecord, directory / RECORD, "record of rivals")
    return FinishedContest(directory, record)


def read_rivals(directory: Path) -> pd.DataFrame:
    """Read the predictions of a contest from its folder, or from where it was published.

    Returns
    -------
    DataFrame
        A row a rival, run, seed and validation image, with the columns of `DTYPES`; images in the
        manifest's order.

    Raises
    ------
    UserError
        If there is no such file, it is not Parquet, or it is not such a table.
    """
    return read_table(directory / PREDICTIONS, DTYPES, "predictions of rivals")


def publish(contest: FinishedContest, folder: Path) -> list[Path]:
    """Copy a contest's predictions and record into a folder such as ``runs/reference/demo``."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        Path(shutil.copyfile(contest.directory / name, folder / name))
        for name in (PREDICTIONS, RECORD)
    ]
