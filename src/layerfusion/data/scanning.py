"""Looking at every file of a data set: in parallel, and only at what is new since the last time."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.data.inspection import Inspection, inspect_file
from layerfusion.data.manifest import COLUMNS, SCANNED_DTYPES, Manifest, Progress, usable_cores
from layerfusion.data.scan_cache import DTYPES, ScanCache

# Files to a task: enough to hide what a task costs, few enough for a smooth progress bar.
CHUNK = 64
# Files to a part of the cache: what a scan that is killed loses at most.
PART = 32 * CHUNK


def scan(
    root: Path,
    files: pd.DataFrame,
    *,
    hash_files: bool,
    decode_files: bool,
    cache: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Look at every file of a table and return their manifest, in the table's order.

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
        A folder in which what was read is kept; None for none. A file of the same size and
        modification time as before is not read again, unless more is asked for than is known. The
        manifest is the same with and without.
    workers
        Number of threads; None for one a core, 8 at most. The result is the same for any number.
        (Two threads were as fast as two processes, which not every script could start safely.)
    progress
        Called with the number of files done and of all files.

    Raises
    ------
    UserError
        If the cache cannot be written.
    """
    memory = ScanCache(cache, root) if cache else None
    with _threads(workers) as pool:
        known = _known(root, files["path"], memory, pool)
        wanted = _wanted(known, hash_files, decode_files)
        tables = [known[~wanted.any(axis=1)]]
        for part in _inspected(root, known, wanted, pool, progress):
            tables.append(part)
            if memory:
                memory.add(part[part["mtime_ns"].notna()])
    if memory:
        memory.merge(files["path"])
    table = pd.concat(tables).sort_index()
    return _manifest(root, files.reset_index(drop=True), table, hash_files, decode_files)


@contextmanager
def _threads(workers: int | None) -> Iterator[Executor]:
    """Give threads; when the block is left early, what has not begun is not done."""
    pool = ThreadPoolExecutor(workers or usable_cores())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _known(root: Path, paths: pd.Series, memory: ScanCache | None, pool: Executor) -> pd.DataFrame:
    """Return what is known of each file in its present state: the columns of `DTYPES`, a row each.

    What is not known is missing.
    """
    if memory is None:
        known = pd.DataFrame({"path": paths.reset_index(drop=True)})
        return known.reindex(columns=list(DTYPES)).astype(DTYPES)
    states = pd.DataFrame({"path": paths.reset_index(drop=True)})
    chunks = [paths.iloc[start : start + PART] for start in range(0, len(paths), PART)]
    found = chain.from_iterable(pool.map(lambda chunk: [_state(root, p) for p in chunk], chunks))
    states[["bytes", "mtime_ns"]] = np.fromiter(found, np.dtype((np.int64, 2)), len(paths))
    states = states.astype({"bytes": "Int64", "mtime_ns": "Int64"})
    return states.merge(memory.read(), how="left", on=["path", "bytes", "mtime_ns"])[list(DTYPES)]


def _state(root: Path, path: str) -> tuple[int, int]:
    """Return size and modification time of a file, (-1, -1) of one that is not there."""
    try:
        state = (root / path).stat()
    except OSError:
        return -1, -1
    return state.st_size, state.st_mtime_ns


def _wanted(table: pd.DataFrame, hash_files: bool, decode_files: bool) -> pd.DataFrame:
    """Return what is still to be read of each file: the columns header, sha256 and phash (bool)."""
    usable = table["reason"].isna()
    tried = table["phash"].notna() | table["damage"].notna()
    return pd.DataFrame(
        {
            "header": usable & table["width"].isna(),
            "sha256": usable & table["sha256"].isna() & hash_files,
            "phash": usable & ~tried & decode_files,
        }
    )


def _inspected(
    root: Path, known: pd.DataFrame, wanted: pd.DataFrame, pool: Executor, progress: Progress | None
) -> Iterator[pd.DataFrame]:
    """Yield rows of `known` with what was wanted of them, in order and about `PART` at a time."""
    paths, wishes = known["path"].tolist(), wanted.to_numpy()
    todo = np.flatnonzero(wishes.any(axis=1))
    done, begun = len(paths) - len(todo), 0

    def look_at(rows: NDArray[np.int64]) -> list[Inspection]:
        return [
            inspect_file(root / paths[row], hash_file=wishes[row, 1], decode_file=wishes[row, 2])
            for row in rows
        ]

    looks: list[Inspection] = []
    for look in pool.map(look_at, np.split(todo, range(CHUNK, len(todo), CHUNK))):
        looks += look
        if progress:
            progress(done + begun + len(looks), len(paths))
        if len(looks) >= PART or (looks and begun + len(looks) == len(todo)):
            yield _completed(known.iloc[todo[begun : begun + len(looks)]], looks)
            begun, looks = begun + len(looks), []


def _completed(known: pd.DataFrame, looks: list[Inspection]) -> pd.DataFrame:
    """Return what was read now, and what was known before where it is about the same content."""
    # As objects first: beside a missing value pandas would make nanoseconds floats, and round them.
    table = pd.DataFrame(looks, columns=list(Inspection._fields), index=known.index, dtype=object)
    table.insert(0, "path", known["path"])
    table = table.astype(DTYPES)
    same = (table["mtime_ns"] == known["mtime_ns"]) & (table["bytes"] == known["bytes"])
    same = same.fillna(False).astype(bool)
    for column in ("sha256", "damage", "phash"):
        table[column] = table[column].fillna(known[column].where(same))
    return table


def _manifest(
    root: Path, files: pd.DataFrame, table: pd.DataFrame, hash_files: bool, decode_files: bool
) -> Manifest:
    """Make a manifest of what was asked for, even where more is known."""
    nothing = pd.Series(index=table.index, dtype="str")
    table = table.assign(
        reason=table["reason"].fillna(table["damage"] if decode_files else nothing),
        sha256=table["sha256"] if hash_files else nothing,
        phash=table["phash"] if decode_files else nothing,
    )
    table = files.join(table[[*SCANNED_DTYPES, "reason"]])
    readable = table["reason"].isna()
    skipped = table.loc[~readable, ["path", "reason"]].reset_index(drop=True)
    return Manifest(root, table.loc[readable, COLUMNS].reset_index(drop=True), skipped)
