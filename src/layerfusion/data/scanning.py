"""Scanning every file of a data set: in parallel, and only what is new since the last time."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
import scipy.fft
from numpy.typing import NDArray
from PIL import Image

from layerfusion.data.manifest import SCANNED_DTYPES, Progress, usable_cores
from layerfusion.data.tables import read_parquet
from layerfusion.errors import UserError
from layerfusion.files import file_sha256, in_place_of
from layerfusion.images.reading import ImageError, probe_image, read_image
from layerfusion.recipe import RECIPE
from layerfusion.settings import digest

# How whole files end. Others may be whole too (there are cameras that write something behind the
# image), which only decoding can tell.
_ENDINGS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_PADDING = b"\0\r\n "
_TAIL = 64  # bytes in which the ending is looked for

_LIBRARIES = ("pillow", "scipy")


class FileScan(NamedTuple):
    """What one file says of itself.

    `bytes` and `state` (`file_state`) are what the file was when it was read; `state` is missing
    where the outcome may be another without the file changing, as when it may not be read.
    Width and height are upright pixels. Hashes are missing where they were not asked for.

    `reason` says why the file cannot be used, as its header or its end tell; everything below it is
    missing then. `damage` says why its pixels cannot be decoded, as far as that was tried.
    """

    bytes: int | None = None
    state: str | None = None
    reason: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    sha256: str | None = None
    damage: str | None = None
    phash: str | None = None


def scan_file(path: Path, *, hash_file: bool, decode_file: bool) -> FileScan:
    """Read what a file says of itself; whatever is wrong with it is said in the answer.

    A file that does not end as whole ones do, or is of a format without an end of its own, is
    decoded in any case: most truncated files are found for the price of reading their last bytes.

    Parameters
    ----------
    hash_file
        Whether to read the whole file for its sha256.
    decode_file
        Whether to decode the image for its perceptual hash, which finds the corrupt ones.
    """
    try:
        whole = FileScan(*file_state(path))
    except OSError:
        whole = FileScan()  # the next attempt says why
    try:
        info = probe_image(path)
        image = None if _ends_well(path, info.format) else read_image(path)
        sha256 = file_sha256(path) if hash_file else None
    except (ImageError, OSError) as error:
        lasting = whole.state if _lasts(error) else None
        return whole._replace(state=lasting, reason=_reason(error))
    whole = whole._replace(width=info.width, height=info.height, format=info.format, sha256=sha256)
    if not decode_file:
        return whole
    try:
        return whole._replace(phash=perceptual_hash(image or read_image(path)))
    except ImageError as error:
        lasting = whole.state if _lasts(error) else None
        return whole._replace(state=lasting, damage=error.reason)


def file_state(path: Path) -> tuple[int, str]:
    """Return a file's length in bytes and what else changes when its content does, as text.

    Modification time (ns), change time (ns) and inode. Programs that copy or exchange files often
    set the first as it was; the second is the system's own, and a file put in place of another is
    another inode.

    Raises
    ------
    OSError
        If there is no such file.
    """
    found = path.stat()
    return found.st_size, f"{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_ino}"


def perceptual_hash(image: Image.Image) -> str:
    """Return a 64-bit hash, 16 hex digits, of which images that look alike differ in few bits.

    Each bit says whether one of the lowest 8 x 8 frequencies of the image at 32 x 32 grey pixels
    (its cosine transform, by rows) is above their median: the `phash` of the library ImageHash.
    """
    grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS))
    low = scipy.fft.dctn(grey)[:8, :8]
    return np.packbits(low > np.median(low)).tobytes().hex()


def scanner_digest() -> str:
    """Return the sha256, 64 hex digits, of recipe and libraries that inspections rely on."""
    return digest({"recipe": RECIPE, "libraries": {name: version(name) for name in _LIBRARIES}})


def _ends_well(path: Path, kind: str) -> bool:
    """Say whether the file ends as whole ones of its format do; False where nothing is known."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if kind == "WEBP":  # says at its beginning how long it is
            return int.from_bytes(file.read(8)[4:], "little") + 8 <= size
        if kind not in _ENDINGS:
            return False
        file.seek(-min(_TAIL, size), 2)
        return file.read().rstrip(_PADDING).endswith(_ENDINGS[kind])


def _lasts(error: ImageError | OSError) -> bool:
    """Say whether the trouble is the file's content, and not the machine's or its permissions'."""
    cause = error.__cause__ if isinstance(error, ImageError) else error
    return not (isinstance(cause, MemoryError) or getattr(cause, "errno", None) is not None)


def _reason(error: ImageError | OSError) -> str:
    if isinstance(error, ImageError):
        return error.reason
    return error.strerror or type(error).__name__


# The columns of `layerfusion.data.scanning.FileScan`, with the file's path before them.
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
