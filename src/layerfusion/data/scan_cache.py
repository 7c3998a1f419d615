"""What earlier scans have read, kept as Parquet, so that a scan reads only what is new."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from layerfusion.data.file_scan import scanner_digest
from layerfusion.data.manifest import SCANNED_DTYPES
from layerfusion.data.parquet import read_parquet
from layerfusion.errors import UserError
from layerfusion.files import in_place_of
from layerfusion.settings import digest

# The columns of `layerfusion.data.file_scan.FileScan`, with the file's path before them.
DTYPES = {"path": "str", "state": "str", "reason": "str", "damage": "str"} | SCANNED_DTYPES


class ScanCache:
    """Scans of the files below one root, by path.

    They lie in parts, each written whole or not at all: a scan that is killed loses what it has not
    yet written as a part. Several processes may read and write at once; each sees what the others
    have written, and at worst reads a file again.

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
        scans.attrs = {"scanner": self._scanner}  # kept in the file's metadata
        part = self.folder / f"part-{time.time_ns():020d}-{os.getpid()}.parquet"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with in_place_of(part, shared=True) as partial:
                scans.to_parquet(partial, index=False)
        except OSError as error:
            raise UserError(
                f"what was read of the images cannot be kept in {self.folder}: "
                f"{error.strerror or error}; make room or give another folder with LAYERFUSION_RUNS"
            ) from None

    def merge(self, paths: Iterable[str]) -> None:
        """Make one part of all, without the files that are gone.

        Parameters
        ----------
        paths
            Files that are there. Others that are known stay while they exist: another profile's
            sources may be about them.

        Raises
        ------
        UserError
            If the part cannot be written.
        """
        parts = self._parts()
        known = self._together(parts)
        others = set(known["path"]) - set(paths)
        gone = [path for path in others if not os.path.lexists(self.root / path)]
        if len(parts) > 1 or gone:
            self.add(known[~known["path"].isin(gone)])
            for part in parts:
                part.unlink(missing_ok=True)

    def _parts(self) -> list[Path]:
        """Return the parts, the latest last."""
        return sorted(self.folder.glob("part-*.parquet"))

    def _together(self, parts: list[Path]) -> pd.DataFrame:
        known = pd.concat(
            [pd.DataFrame(columns=list(DTYPES)).astype(DTYPES), *map(self._read, parts)],
            ignore_index=True,
        )
        return known.drop_duplicates("path", keep="last", ignore_index=True)

    def _read(self, part: Path) -> pd.DataFrame | None:
        """Return a part, None if it is damaged, of another scanner or merged in the meantime."""
        try:
            table = read_parquet(part)
        except (FileNotFoundError, UserError):
            return None
        return table.astype(DTYPES) if table.attrs.pop("scanner", "") == self._scanner else None
