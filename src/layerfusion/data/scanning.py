"""Scanning every file of a data set: in parallel, and only what is new since the last time."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.data.file_scan import FileScan, file_state, scan_file
from layerfusion.data.manifest import SCANNED_DTYPES, Progress, usable_cores
from layerfusion.data.scan_cache import DTYPES, ScanCache

# Files to a task: enough to hide what a task costs, few enough for a smooth progress bar.
CHUNK = 64
# Files to a part of the cache: what a scan that is killed loses at most.
PART = 32 * CHUNK

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_threads(
    work: Callable[[_Item], _Result],
    items: Sequence[_Item],
    progress: Progress | None = None,
) -> Iterator[_Result]:
    """Yield the result of each item, in order; when left early, what has not begun is not done.

    There is a thread a core, 8 at most. (Two were as fast as two processes, which not every script
    could start safely.)

    Parameters
    ----------
    progress
        Called with the number of items done and of all items.
    """
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    pool, done = ThreadPoolExecutor(usable_cores()), 0
    try:
        for results in pool.map(lambda chunk: [work(item) for item in chunk], chunks):
            done += len(results)
            if progress:
                progress(done, len(items))
            yield from results
    finally:
        pool.shutdown(cancel_futures=True)


def scan(
    root: Path,
    files: pd.DataFrame,
    *,
    hash_files: bool,
    decode_files: bool,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Scan every file of a table, or those that are new.

    Parameters
    ----------
    files
        A table as `layerfusion.data.manifest.file_table` makes it, its paths relative to `root`.
    hash_files
        Whether to read every file for its sha256.
    decode_files
        Whether to decode every image, which finds the corrupt ones, for its perceptual hash;
        otherwise headers and the ends of JPEG and PNG files tell most of the truncated ones.
    cache
        A folder in which what was read is kept; None for none. A file of the same size, times and
        inode as before (`file_state`) is not read again, unless more is asked for than is known.
        The outcome is the same with and without.
    progress
        Called with the number of files done and of all files.

    Returns
    -------
    DataFrame
        The table with the columns of `layerfusion.data.manifest.SCANNED_DTYPES`, hashes missing
        where they were not asked for, and ``reason`` why a file cannot be used, if so;
        `Manifest.of_scans` makes a manifest of it.

    Raises
    ------
    UserError
        If the cache cannot be written.
    """
    paths = files["path"].tolist()
    memory = ScanCache(cache, root) if cache else None
    known = _known(root, paths, memory)
    hashed, decoded = known["sha256"].notna().to_numpy(), _decoded(known)
    complete = (hashed | (not hash_files)) & (decoded | (not decode_files))
    lacking = known["width"].isna().to_numpy() | ~complete
    todo = np.flatnonzero(known["reason"].isna().to_numpy() & lacking).tolist()

    def scan_row(row: int) -> FileScan:
        # What is known is asked for again: a row comes from one reading of its file.
        hash_file, decode_file = hash_files or hashed[row], decode_files or decoded[row]
        return scan_file(root / paths[row], hash_file=hash_file, decode_file=decode_file)

    def advance(done: int, _: int) -> None:
        if progress:
            progress(len(paths) - len(todo) + done, len(paths))

    tables = [known.drop(todo)]
    scans = in_threads(scan_row, todo, advance)
    for start in range(0, len(todo), PART):
        rows = todo[start : start + PART]
        part = _table([paths[row] for row in rows], islice(scans, PART)).set_axis(rows)
        tables.append(part)
        if memory:
            memory.add(part[part["state"].notna()])
    if memory:
        memory.merge(paths)
    scanned = _asked_for(pd.concat(tables).sort_index(), hash_files, decode_files)
    return files.reset_index(drop=True).join(scanned)


def file_states(root: Path, paths: list[str]) -> pd.DataFrame:
    """Return ``bytes`` (Int64) and ``state`` of files, as `file_state`; -1 and "" where none is."""
    states = in_threads(lambda path: _state(root / path), paths)
    table = pd.DataFrame(list(states), columns=["bytes", "state"])
    return table.astype({"bytes": "Int64", "state": "str"})


def _known(root: Path, paths: list[str], memory: ScanCache | None) -> pd.DataFrame:
    """Return what is known of each file in its present state: the columns of `DTYPES`, a row each.

    What is not known is missing.
    """
    known = pd.DataFrame({"path": paths}, dtype="str")
    if memory is None:
        return known.reindex(columns=list(DTYPES)).astype(DTYPES)
    known = known.join(file_states(root, paths))
    return known.merge(memory.read(), how="left", on=["path", "bytes", "state"])[list(DTYPES)]


def _state(path: Path) -> tuple[int, str]:
    try:
        return file_state(path)
    except OSError:
        return -1, ""


def _decoded(known: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which files have been decoded, or tried to."""
    return (known["phash"].notna() | known["damage"].notna()).to_numpy()


def _table(paths: list[str], scans: Iterator[FileScan]) -> pd.DataFrame:
    """Return scans as a table with the columns of `DTYPES`."""
    # As objects first: beside a missing value pandas would make nanoseconds floats, and round them.
    table = pd.DataFrame(list(scans), columns=list(FileScan._fields), dtype=object)
    table.insert(0, "path", paths)
    return table.astype(DTYPES)


def _asked_for(table: pd.DataFrame, hash_files: bool, decode_files: bool) -> pd.DataFrame:
    """Return the scans that were asked for, even where more is known."""
    nothing = pd.Series(index=table.index, dtype="str")
    table = table.assign(
        reason=table["reason"].fillna(table["damage"] if decode_files else nothing),
        sha256=table["sha256"] if hash_files else nothing,
        phash=table["phash"] if decode_files else nothing,
    )
    return table[[*SCANNED_DTYPES, "reason"]]
