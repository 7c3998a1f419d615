"""Whether files are whole, and which are the same, without decoding more of them than need be."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from layerfusion.data.inspection import inspect_file
from layerfusion.data.manifest import Progress, usable_cores

# names: sizes alone. ends: the header and the last bytes too, and a file that does not end as its
# format does is decoded. pixels: every file is decoded, which alone finds damage in the
# middle, where a decoder notices it.
Depth = Literal["names", "ends", "pixels"]

EMPTY = "empty file"
_CHUNK = 64  # files to a task
_END = 4096  # bytes of either end that are read
_Result = TypeVar("_Result")


class Look(NamedTuple):
    """What one file says: its size, a number that equal files share, and what is wrong with it."""

    bytes: int
    likeness: int
    reason: str | None


def look_at_files(
    root: Path, paths: Sequence[str], depth: Depth, progress: Progress | None = None
) -> pd.DataFrame:
    """Look at files in threads.

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
        were looked at); ``reason`` why it cannot be read, missing where nothing is wrong.
    """
    looks = _in_threads(lambda path: _look(root / path, depth), paths, progress)
    table = pd.DataFrame(looks, columns=list(Look._fields))
    return table.astype({"bytes": "int64", "likeness": "uint64", "reason": "str"})


def number_contents(
    root: Path, paths: Sequence[str], looks: pd.DataFrame, progress: Progress | None = None
) -> pd.Series:
    """Return a number for each file that equal files share, and others do not.

    Only files of the same size and with the same ends are read in full, for their sha256. Files
    that cannot be read are like no other.

    Parameters
    ----------
    looks
        Of these files, as `look_at_files` returns them at the depth ends or pixels.
    """
    readable = looks["reason"].isna()
    alike = looks[readable].duplicated(["bytes", "likeness"], keep=False)
    doubtful = alike[alike].index
    hashes = _in_threads(
        lambda path: _sha256(root / path), [paths[row] for row in doubtful], progress
    )
    content = pd.Series(np.arange(len(paths)), index=looks.index)
    content[doubtful] = -1 - pd.factorize(pd.Series(list(hashes), dtype="str"))[0]
    return content


def _in_threads(
    work: Callable[[str], _Result], paths: Sequence[str], progress: Progress | None
) -> Iterator[_Result]:
    """Yield the result of each path, in order."""
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    done = 0
    with ThreadPoolExecutor(usable_cores()) as pool:
        for results in pool.map(lambda chunk: [work(path) for path in chunk], chunks):
            yield from results
            done += len(results)
            if progress:
                progress(done, len(paths))


def _look(path: Path, depth: Depth) -> Look:
    try:
        size = path.stat().st_size
        if size == 0:
            return Look(0, 0, EMPTY)
        if depth == "names":
            return Look(size, 0, None)
        head, tail = _ends(path, size)
    except OSError as error:
        return Look(0, 0, (error.strerror or "it cannot be read").lower())
    found = inspect_file(path, hash_file=False, decode_file=depth == "pixels")
    likeness = hashlib.blake2b(head + tail, digest_size=8).digest()
    return Look(size, int.from_bytes(likeness, "little"), found.reason or found.damage)


def _ends(path: Path, size: int) -> tuple[bytes, bytes]:
    with path.open("rb") as file:
        head = file.read(_END)
        file.seek(max(0, size - _END))
        return head, file.read(_END)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
