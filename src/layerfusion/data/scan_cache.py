"""What earlier scans have read, kept as Parquet, so that a scan reads only what is new."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from filelock import FileLock

from layerfusion.data.file_scan import scanner_digest
from layerfusion.data.parquet import read_parquet
from layerfusion.errors import UserError
from layerfusion.files import in_place_of
from layerfusion.settings import digest

# The columns of `layerfusion.data.file_scan.FileScan`, with the file's path before them.
DTYPES = {
    "path": "str",
    "bytes": "Int64",
    "mtime_ns": "Int64",
    "reason": "str",
    "width": "Int32",
    "height": "Int32",
    "format": "str",
    "sha256": "str",
    "damage": "str",
    "phash": "str",
}


class ScanCache:
    """Scans of the files below one root, by path.

    They lie in one file and, while a scan is under way, in parts beside it, each written whole or
    not at all: a scan that is killed loses what it has not yet written as a part. Several processes
    may read and write at once; each sees what the others have finished.

    Scans by other code or library versions, and files that cannot be read, count as nothing.

    Parameters
    ----------
    folder
        Where caches lie; each root has a folder of its own in it.
    root
        The folder that the paths are relative to.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        place = root.resolve()
        self.root = root
        self.folder = folder / f"{place.name}-{digest(str(place))[:10]}"
        self._file = self.folder / "files.parquet"
        self._scanner = scanner_digest()

    def read(self) -> pd.DataFrame:
        """Return what is known, with the columns of `DTYPES`; each path occurs once at most."""
        return self._together(self._parts())

    def add(self, scans: pd.DataFrame) -> None:
        """Write scans as a part; they replace earlier ones of the same paths.

        Raises
        ------
        UserError
            If the part cannot be written.
        """
        self._write(scans, self.folder / f"part-{time.time_ns():020d}-{os.getpid()}.parquet")

    def merge(self, paths: pd.Series) -> None:
        """Make one file of all parts, without the files that are gone.

        Parameters
        ----------
        paths
            Files that are there. Others that are known stay while they exist: another profile's
            sources may be about them.

        Raises
        ------
        UserError
            If the file cannot be written.
        """
        with self._lock():
            parts = self._parts()
            known = self._together(parts)
            others = set(known["path"]) - set(paths)
            gone = [path for path in others if not os.path.lexists(self.root / path)]
            if parts or gone:
                self._write(known[~known["path"].isin(gone)], self._file)
            for part in parts:
                part.unlink(missing_ok=True)

    def _parts(self) -> list[Path]:
        """Return the parts, the latest last."""
        return sorted(self.folder.glob("part-*.parquet"))

    def _together(self, parts: list[Path]) -> pd.DataFrame:
        # Parts first: one that another process has merged meanwhile is in the file already.
        tables = [self._read(part) for part in parts]
        known = pd.concat([self._read(self._file), *tables], ignore_index=True)
        return known.drop_duplicates("path", keep="last", ignore_index=True)

    def _read(self, file: Path) -> pd.DataFrame:
        nothing = pd.DataFrame(columns=list(DTYPES)).astype(DTYPES)
        try:
            table = read_parquet(file)
        except (FileNotFoundError, UserError):
            return nothing
        if table.attrs.pop("scanner", None) != self._scanner:
            return nothing
        return table.astype(DTYPES)

    def _write(self, table: pd.DataFrame, file: Path) -> None:
        table.attrs = {"scanner": self._scanner}  # kept in the file's metadata
        with self._errors_in_words():
            self.folder.mkdir(parents=True, exist_ok=True)
            with in_place_of(file, shared=True) as partial:
                table.to_parquet(partial, index=False)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with self._errors_in_words():
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock"):
                yield

    @contextmanager
    def _errors_in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"what was read of the images cannot be kept in {self.folder}: "
                f"{error.strerror or error}; make room or give another folder with LAYERFUSION_RUNS"
            ) from None
