"""The manifest: one row an image, and the files that were left out."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from layerfusion.data.tables import read_parquet
from layerfusion.errors import UserError
from layerfusion.files import in_place_of

Split = Literal["train", "val", "test", "heldout"]
Progress = Callable[[int, int], None]

# heldout: images of further sets, which no run trains on and which are not the task's test.
SPLITS = ("train", "val", "test", "heldout")

# What a source says of its files, and what scanning them adds.
FILE_DTYPES = {
    "path": "str",
    "label": "Int8",
    "split": "str",
    "source": "str",
    "generator": "str",
    "platform": "str",
}
SCANNED_DTYPES = {
    "width": "Int32",
    "height": "Int32",
    "format": "str",
    "bytes": "Int64",
    "sha256": "str",
    "phash": "str",
}
DTYPES = FILE_DTYPES | SCANNED_DTYPES
COLUMNS = list(DTYPES)

# Rows that are made text at a time for the digest: bounds its memory.
ROWS = 1 << 14

_OUTSIDE = r"^(?:[/\\]|[A-Za-z]:[/\\])|(?:^|[/\\])\.\.(?:[/\\]|$)"
_OPTIONAL = {"label", "generator", "platform", "sha256", "phash"}
# What values must be, by column: what is said of one that is not, and which are.
_RULES: tuple[tuple[str, str, Callable[[pd.Series], pd.Series]], ...] = (
    *((name, "is empty", lambda texts: texts != "") for name in ("path", "source", "format")),
    *((name, "is not positive", lambda sizes: sizes > 0) for name in ("width", "height", "bytes")),
    ("path", "leaves the root", lambda paths: ~paths.str.contains(_OUTSIDE)),
    ("path", "occurs more than once", lambda paths: ~paths.duplicated(keep=False)),
    ("label", "is neither 0 nor 1", lambda labels: labels.isin([0, 1])),
    ("split", "is not train, val, test or heldout", lambda splits: splits.isin(SPLITS)),
    ("sha256", "is not a sha256", lambda hashes: hashes.str.fullmatch("[0-9a-f]{64}")),
    ("phash", "is not a 64-bit hash", lambda hashes: hashes.str.fullmatch("[0-9a-f]{16}")),
)


def file_table(files: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """Return what a source says of its files as a table, sorted by path.

    Parameters
    ----------
    files
        Values of path (POSIX, relative to the root), label (0 real, 1 synthetic, None unlabelled),
        split, source, generator and platform, in this order.
    """
    table = pd.DataFrame(list(files), columns=list(FILE_DTYPES)).astype(FILE_DTYPES)
    return table.sort_values("path", ignore_index=True)


@dataclass(frozen=True, eq=False)
class Manifest:
    """A data set: the root its paths are relative to, a row an image, and what was left out.

    `rows` has the columns of `DTYPES`: path (unique), label (Int8: 0 real, 1 synthetic, <NA>
    unlabelled), split (of `SPLITS`), source, generator and platform (missing where unknown), width
    and height (upright pixels), format (such as JPEG), bytes, sha256 (64 hex digits) and
    phash (16 hex digits), both missing where they were not computed.
    `skipped` has the columns path and reason, for the files that cannot be read.
    """

    root: Path
    rows: pd.DataFrame
    skipped: pd.DataFrame

    @classmethod
    def of_scans(cls, root: Path, files: pd.DataFrame) -> "Manifest":
        """Return the manifest of files as `layerfusion.data.scanning.scan` returns them."""
        unread = files["reason"].notna()
        skipped = files.loc[unread, ["path", "reason"]].reset_index(drop=True)
        return cls(root, files.loc[~unread, COLUMNS].reset_index(drop=True), skipped)

    @property
    def files(self) -> list[Path]:
        """Where the image of each row lies."""
        return [self.root / path for path in self.rows["path"]]

    def select(
        self, split: Split | None = None, sources: Sequence[str] | None = None
    ) -> "Manifest":
        """Return the images of a split and of some sources, those of all where None.

        `skipped` stays as it is: nobody knows what an unreadable file would have been used for.
        """
        rows = self.rows
        if split is not None:
            rows = rows[rows["split"] == split]
        if sources is not None:
            rows = rows[rows["source"].isin(list(sources))]
        return Manifest(self.root, rows.reset_index(drop=True), self.skipped)

    def digest(self) -> str:
        """Return the sha256 of all rows as 64 hex digits, whatever their order and the root."""
        order = np.argsort(self.rows["path"].to_numpy(dtype=object))
        digest = hashlib.sha256(b"[")
        for start in range(0, len(order), ROWS):
            rows = self.rows[COLUMNS].iloc[order[start : start + ROWS]]
            # JSON tells a missing value from an empty string and is no library's file format. A
            # part's brackets are left out: all rows together are one list.
            text = rows.to_json(orient="values")[1:-1]
            digest.update(("," * (start > 0) + text).encode())
        digest.update(b"]")
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write the manifest as Parquet; `path` is complete or what it was before.

        Raises
        ------
        UserError
            If a row is not as `Manifest` says, or the file cannot be written.
        """
        rows = _checked(self.rows, path)
        rows.attrs = {"skipped": self.skipped.to_dict("records")}  # kept in the file's metadata
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with in_place_of(path, shared=True) as partial:
                rows.to_parquet(partial, index=False)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror or error}") from None

    @classmethod
    def load(cls, path: Path, root: Path) -> "Manifest":
        """Read a manifest that `save` wrote, its files to be looked for below `root`.

        Raises
        ------
        UserError
            If there is no such file, it is not Parquet, or a row is not as `Manifest` says.
        """
        try:
            rows = read_parquet(path)
            left_out = [(file["path"], file["reason"]) for file in rows.attrs.pop("skipped", [])]
        except FileNotFoundError:
            raise UserError(f"manifest not found: {path}") from None
        except (TypeError, KeyError):
            raise UserError(
                f"{path} is not a manifest: its list of skipped files is damaged"
            ) from None
        skipped = pd.DataFrame(left_out, columns=["path", "reason"]).astype("str")
        return cls(root, _checked(rows, path), skipped)

    def summary(self) -> pd.DataFrame:
        """Return the number of images by split, source and label."""
        order = pd.CategoricalDtype(list(SPLITS), ordered=True)
        rows = self.rows.assign(split=self.rows["split"].astype(order))
        counts = rows.groupby(["split", "source", "label"], dropna=False, observed=True).size()
        return counts.reset_index(name="images").astype({"split": "str", "label": "Int8"})


def usable_cores(sharers: int = 1) -> int:
    """Return how many cores each of the processes that share them should use: 1 to 8."""
    # A container's share of the machine, where the system can tell.
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(8, max(1, cores // sharers))


def _checked(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Return the rows with numbers from 0, or raise the UserError that says what is wrong."""
    for column in sorted({*COLUMNS} ^ {*rows.columns}):
        wrong = "lacks the" if column in COLUMNS else "has an unknown"
        raise UserError(f"{file} is not a manifest: it {wrong} column '{column}'")
    rows = rows[COLUMNS].reset_index(drop=True)
    for column, dtype in DTYPES.items():
        where = f"{file}, column '{column}'"
        if rows[column].dtype != dtype:
            raise UserError(f"{where} holds {rows[column].dtype}, not {dtype}")
        if column not in _OPTIONAL and rows[column].isna().any():
            row = rows.index[rows[column].isna()][0]
            raise UserError(f"{where}, row {row}: the value is missing")
    for column, complaint, good in _RULES:
        known = rows[column].dropna()
        bad = known[~good(known)]
        if len(bad):
            raise UserError(
                f"{file}, column '{column}', row {bad.index[0]}: '{bad.iloc[0]}' {complaint}"
            )
    return rows
