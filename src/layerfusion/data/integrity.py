"""Whether files are whole, and which are the same, without decoding more of them than need be."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from layerfusion.data.file_scan import scan_file
from layerfusion.data.manifest import Progress
from layerfusion.data.scanning import in_threads
from layerfusion.files import file_sha256

# names: sizes alone. ends: the header and the last bytes too, and a file that does not end as its
# format does is decoded. pixels: every file is decoded, which alone finds damage in the
# middle, where a decoder notices it.
Depth = Literal["names", "ends", "pixels"]

EMPTY = "empty file"
_END = 4096  # bytes of either end that are read


def scan_files(
    root: Path, paths: Sequence[str], depth: Depth, progress: Progress | None = None
) -> pd.DataFrame:
    """Scan files in threads.

    Parameters
    ----------
    root
        The folder that `paths` are relative to.
    depth
        How much of every file is read.
    progress
        Called with the number of files done and of all files.

    Returns
    -------
    DataFrame
        A row a file, in order: ``bytes``; ``likeness`` (uint64 of both ends; 0 where only sizes
        were read); ``reason`` why it cannot be read, missing where nothing is wrong.
    """
    scans = in_threads(lambda path: _scan(root / path, depth), paths, progress)
    table = pd.DataFrame(scans, columns=["bytes", "likeness", "reason"])
    return table.astype({"bytes": "int64", "likeness": "uint64", "reason": "str"})


def number_contents(
    root: Path, paths: Sequence[str], scans: pd.DataFrame, progress: Progress | None = None
) -> pd.Series:
    """Return a number for each file that equal files share, and others do not.

    Only files of the same size and with the same ends are read in full, for their sha256. Files
    that cannot be read are like no other.

    Parameters
    ----------
    scans
        Of these files, as `scan_files` returns them at the depth ends or pixels.
    """
    readable = scans["reason"].isna()
    alike = scans[readable].duplicated(["bytes", "likeness"], keep=False)
    doubtful = alike[alike].index
    hashes = in_threads(
        lambda path: file_sha256(root / path), [paths[row] for row in doubtful], progress
    )
    content = pd.Series(np.arange(len(paths)), index=scans.index)
    content[doubtful] = -1 - pd.factorize(pd.Series(list(hashes), dtype="str"))[0]
    return content


def _scan(path: Path, depth: Depth) -> tuple[int, int, str | None]:
    """Return size and likeness of a file, and why it cannot be read, if so."""
    try:
        size = path.stat().st_size
        if size == 0:
            return 0, 0, EMPTY
        if depth == "names":
            return size, 0, None
        with path.open("rb") as file:
            ends = file.read(_END)
            file.seek(max(0, size - _END))
            ends += file.read(_END)
    except OSError as error:
        return 0, 0, (error.strerror or "it cannot be read").lower()
    found = scan_file(path, hash_file=False, decode_file=depth == "pixels")
    likeness = hashlib.blake2b(ends, digest_size=8).digest()
    return size, int.from_bytes(likeness, "little"), found.reason or found.damage
