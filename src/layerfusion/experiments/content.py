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
from layerfusion.images.jpeg import jpeg_quality
from layerfusion.provenance import provenance

RECORD, GROUPS = "content.json", "groups.parquet"  # in the folder of the study `content`
DTYPES = {"image_id": "str", "group": "int64", "distance": "float32", "jpeg_quality": "Int16"}


class ContentRecord(BaseModel):
    """How images were grouped; `content.json` in its folder.

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


def group_content(
    images: Manifest,
    embedding: ArrayLike,
    *,
    groups: int,
    seed: int,
    names: Sequence[str] | None,
    **record: str,
) -> FinishedContent:
    """Group images by what they show, and return the groups with their record.

    Parameters
    ----------
    embedding
        The tower's output for each image of the manifest, in its order, shape (n, width).
    groups, seed
        As `layerfusion.analysis.content.content_groups` takes them.
    names
        Of the groups, group 1 first; None while nobody has looked at them.
    record
        The ``profile``, ``command`` and ``encoder`` of the record.

    Raises
    ------
    UserError
        If there are not as many names as groups, or one is empty or comes twice.
    """
    found = content_groups(embedding, groups, seed)
    number = int(found["group"].max())
    names = [f"group {n}" for n in range(1, number + 1)] if names is None else names
    names = [name.strip() for name in names]
    if len(names) != number or len(set(names) - {""}) != number:
        raise UserError(f"--names takes {number} different names, one a group; got {len(names)}")
    found.insert(0, "image_id", images.rows["path"].to_numpy())
    found["jpeg_quality"] = [jpeg_quality(file) for file in images.files]
    date = datetime.now(UTC).date().isoformat()
    made = {"names": names, "seed": seed, "date": date, "provenance": provenance()}
    return FinishedContent(ContentRecord.model_validate(made | record), found.astype(DTYPES))


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
