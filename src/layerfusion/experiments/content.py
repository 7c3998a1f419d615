"""What labelled images show and how their files were written, in groups to count errors by."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict

from layerfusion.analysis.content import content_groups
from layerfusion.data.manifest import Manifest
from layerfusion.errors import UserError
from layerfusion.experiments.record import FOLDER
from layerfusion.experiments.tables import read_table, write_table
from layerfusion.files import read_record, write_record
from layerfusion.images.jpeg_quality import jpeg_quality
from layerfusion.provenance import provenance

RECORD, GROUPS = "study.json", "groups.parquet"  # in the folder of the study `content`
DTYPES = {"image_id": "str", "group": "int64", "distance": "float32", "jpeg_quality": "Int16"}


class ContentRecord(BaseModel):
    """How images were grouped; `study.json` in its folder.

    ``names`` are what a person who looked at the sheet named them, group 1 first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str
    command: str
    encoder: str
    names: list[str]
    seed: int
    date: str
    provenance: dict[str, Any]


@dataclass(frozen=True)
class FinishedContent:
    """A record, and a row an image with the columns of `DTYPES`, in the manifest's order."""

    record: ContentRecord
    images: pd.DataFrame

    def named(self) -> pd.Series:
        """Return what each image shows, in the record's words, indexed by image_id."""
        words = dict(enumerate(self.record.names, start=1))
        return self.images.set_index("image_id")["group"].map(words)


def look_at_content(
    images: Manifest, embedding: ArrayLike, *, groups: int, seed: int
) -> pd.DataFrame:
    """Return a row an image with the columns of `DTYPES`.

    Parameters
    ----------
    embedding
        The tower's output for each image of the manifest, in its order, shape (n, width).
    groups, seed
        As `layerfusion.analysis.content.content_groups` takes them.
    """
    found = content_groups(embedding, groups, seed)
    table = pd.DataFrame(
        {
            "image_id": images.rows["path"].to_numpy(),
            "group": found.group,
            "distance": found.distance,
            "jpeg_quality": [jpeg_quality(images.root / path) for path in images.rows["path"]],
        }
    )
    return table.astype(DTYPES)


def finished_content(
    table: pd.DataFrame,
    *,
    profile: str,
    command: str,
    encoder: str,
    names: Sequence[str] | None,
    seed: int,
) -> FinishedContent:
    """Return a table of `look_at_content` with its record.

    Parameters
    ----------
    names
        Of the groups, group 1 first; None while nobody has looked at them.

    Raises
    ------
    UserError
        If there are not as many names as groups, or one is empty or comes twice.
    """
    groups = int(table["group"].max())
    if names is None:
        names = [f"group {number}" for number in range(1, groups + 1)]
    if len(names) != groups or len({name.strip() for name in names} - {""}) != groups:
        raise UserError(f"--names takes {groups} different names, one a group; got {len(names)}")
    record = ContentRecord(
        profile=profile,
        command=command,
        encoder=encoder,
        names=[name.strip() for name in names],
        seed=seed,
        date=datetime.now(UTC).date().isoformat(),
        provenance=provenance(),
    )
    return FinishedContent(record, table)


def write_content(finished: FinishedContent, profile_folder: Path) -> list[Path]:
    """Write record and table into the folder of a profile's studies; return the files."""
    folder = profile_folder / FOLDER / "content"
    folder.mkdir(parents=True, exist_ok=True)
    table = write_table(finished.images, folder / GROUPS)
    write_record(finished.record, folder / RECORD)
    return [folder / RECORD, table]


def read_content(profile_folder: Path) -> FinishedContent:
    """Read the groups from where they were published.

    Raises
    ------
    UserError
        If a file is missing, damaged, or not of the other.
    """
    folder = profile_folder / FOLDER / "content"
    record = read_record(ContentRecord, folder / RECORD, "record of groups of content")
    table = read_table(folder / GROUPS, DTYPES, "groups of content")
    if set(table["group"]) != set(range(1, len(record.names) + 1)):
        raise UserError(f"{folder / GROUPS} is not the table of {RECORD} beside it")
    return FinishedContent(record, table)
