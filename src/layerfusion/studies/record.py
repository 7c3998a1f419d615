"""What a study leaves behind: one folder with a record and a table, and how both are read."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from layerfusion.analysis.claims import Metric, Verdict
from layerfusion.files import in_place_of, read_record, write_record
from layerfusion.studies.predictions import PREDICTIONS

RECORD = "study.json"
TABLE = "study.csv"
SHORTCUTS = "shortcuts.csv"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(_Record):
    """A number of one run, with its interval over images; None where it is not defined."""

    estimate: float | None
    low: float | None
    high: float | None


class RunEntry(_Record):
    """One run of the study: how to train it again, what it cost, what it scored.

    `values` are by condition (a name in `layerfusion.runs.conditions.CONDITIONS`), then by metric.
    """

    run: str
    blocks: str
    seed: int
    key: str
    command: str
    threshold: float
    training_seconds: float
    scoring_seconds: float
    values: dict[str, dict[Metric, Value]]


class ClaimEntry(_Record):
    """One claim: the paper's effect, this study's (mean over seeds, interval), and the verdict.

    Effects are positive where the claim holds, None where they are not defined or were not
    measured: the verdict says which. `low` and `high` are those of
    `layerfusion.metrics.uncertainty.seed_interval`, made of `seed_sd` and `image_se`.
    """

    name: str
    text: str
    paper: float | None
    effect: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    seeds: int
    per_seed: list[float | None]
    seed_sd: float | None
    image_se: float | None

    @classmethod
    def not_measured(cls, name: str, text: str, paper: float | None, *, seeds: int) -> "ClaimEntry":
        """Return the entry of a claim about images that have no labels, or are not there."""
        return cls(
            name=name,
            text=text,
            paper=paper,
            effect=None,
            low=None,
            high=None,
            verdict="not measured",
            seeds=seeds,
            per_seed=[],
            seed_sd=None,
            image_se=None,
        )


class StudyRecord(_Record):
    """Everything that is reported of a study; `study.json` in its folder.

    `heads` are the values of ``head.blocks`` that were trained.
    `seconds` is the time that training, scoring and resampling took, in all sessions together;
    `data` names the images by their hash; `code_sha256` is of all modules that numbers depend on.
    """

    profile: str
    key: str
    command: str
    seeds: list[int]
    heads: list[str] = ["all", "last"]  # what studies had that were written before there was more
    settings: dict[str, Any]
    data: dict[str, Any]
    resamples: int
    claims: list[ClaimEntry]
    runs: list[RunEntry]
    seconds: dict[str, float]
    code_sha256: str
    provenance: dict[str, Any]


@dataclass(frozen=True)
class FinishedStudy:
    """A study's folder and its record."""

    directory: Path
    record: StudyRecord


def claims_table(record: StudyRecord) -> pd.DataFrame:
    """Return the claims, a row each.

    Returns
    -------
    DataFrame
        ``claim``; ``paper``, ``effect``, ``low``, ``high`` (differences of rates, positive where
        the claim holds, NaN where there is none); ``verdict``; ``seeds``.
    """
    rows = [(c.text, c.paper, c.effect, c.low, c.high, c.verdict, c.seeds) for c in record.claims]
    columns = ["claim", "paper", "effect", "low", "high", "verdict", "seeds"]
    numbers = dict.fromkeys(columns[1:5], float)
    return pd.DataFrame(rows, columns=columns).astype(numbers)


def claims_text(record: StudyRecord) -> str:
    """Return the claims as a terminal shows them: aligned columns, effects with four decimals."""
    table = claims_table(record)
    interval = [
        "none" if pd.isna(low) else f"[{low:+.4f}, {high:+.4f}]"
        for low, high in zip(table["low"], table["high"], strict=True)
    ]
    width = int(table["claim"].str.len().max())
    shown = pd.DataFrame(
        {
            "claim".ljust(width): table["claim"].str.ljust(width),
            "paper": [_signed(value) for value in table["paper"]],
            "effect": [_signed(value) for value in table["effect"]],
            "95 % interval": interval,
            "verdict": table["verdict"],
            "seeds": table["seeds"],
        }
    )
    return shown.to_string(index=False)


def write_study(record: StudyRecord, directory: Path) -> None:
    """Write record and table into a folder; each by rename, the record last."""
    directory.mkdir(parents=True, exist_ok=True)
    with in_place_of(directory / TABLE) as partial:
        claims_table(record).to_csv(partial, index=False)
    write_record(record, directory / RECORD)


def read_study(directory: Path) -> FinishedStudy:
    """Read a study from its folder, or from where it was published.

    Raises
    ------
    UserError
        If there is none, or it is not a record of this version.
    """
    return FinishedStudy(directory, read_record(StudyRecord, directory / RECORD, "study"))


def publish(study: FinishedStudy, folder: Path) -> list[Path]:
    """Copy a study's predictions, tables and record into a folder such as ``runs/reference/demo``.

    All that a study reports can be made again of these, without images or weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [
        Path(shutil.copyfile(study.directory / name, folder / name))
        for name in (PREDICTIONS, SHORTCUTS, TABLE, RECORD)
    ]


def _signed(value: float) -> str:
    return "none" if pd.isna(value) else f"{value:+.4f}"
