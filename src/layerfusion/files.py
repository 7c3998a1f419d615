"""Atomic writes, records and checksums: a file is complete or unchanged, and can be checked."""

import errno
import glob
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil
from filelock import FileLock, Timeout

from layerfusion.errors import UserError, reason

if TYPE_CHECKING:
    from pydantic import BaseModel

RecordT = TypeVar("RecordT", bound="BaseModel")

_LONGEST_TEXT = 10_000_000  # bytes
CHECKSUMS = "SHA256SUMS"  # of everything else in a folder that is passed on


@contextmanager
def in_place_of(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield a temporary path whose file replaces `path` atomically when the block succeeds.

    If the block fails, `path` is unchanged and no other file is left. A process that is killed
    leaves ``.<name>.partial``, which the next one overwrites, or for a shared file
    ``.<name>.<process>.partial``, which is never read.

    Parameters
    ----------
    path
        File in an existing folder.
    shared
        Whether several processes may write it at the same time. Each then has its own temporary.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    own = f".{os.getpid()}" if shared else ""
    partial = path.with_name(f".{path.name}{own}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        # What fails in the middle of writing names no file; a text alone would be lost by one.
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path, otherwise: str) -> Iterator[None]:
    """Keep other processes of this machine from filling the same folder while the block runs.

    Parameters
    ----------
    folder
        Made, but for itself; a file ``.<name>.lock`` beside it stays.
    otherwise
        The error where another process is at it.

    Raises
    ------
    UserError
        If another process is at it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(otherwise) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def named_by_user(path: Path, what: str) -> Iterator[Path]:
    """Yield where to write a file that a user names, as `in_place_of` does.

    A link stays, and the file that it leads to is written, as the shell's ``>`` does.

    Parameters
    ----------
    what
        What is written, for the message: ``the scores``.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    try:
        with in_place_of(Path(os.path.realpath(path)), shared=True) as partial:
            yield partial
    except OSError as error:
        raise UserError(f"{what} cannot be written to {path}: {reason(error)}") from None


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes `out` when the block ends well.

    Its name until then has this process's number; those that killed processes left go here.

    Raises
    ------
    UserError
        If something is there already, or it cannot be written.
    """
    if os.path.lexists(out):
        raise UserError(f"{out} already exists; remove it or name another --out")
    for left in out.parent.glob(f".{glob.escape(out.name)}.*.partial"):
        number = left.suffixes[-2][1:]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        partial.mkdir()
        yield partial
        partial.replace(out)
    except OSError as error:
        raise UserError(f"the detector cannot be written to {out}: {reason(error)}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_record(record: "BaseModel", path: Path) -> None:
    """Write a record as JSON; `path` is complete or what it was before."""
    with in_place_of(path) as partial:
        partial.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def check_regular(path: Path) -> int:
    """Return the bytes of a file to be opened; in a pipe nothing may come, a device has no end.

    Raises
    ------
    FileNotFoundError
        If there is none.
    OSError
        If it is a pipe, a device or a folder.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return found.st_size


def leads_out(path: Path) -> bool:
    """Say whether a file is a link that leads out of its folder: in a stranger's, to one of mine.

    In the hub's cache, which this machine's client made, files are links to the ``blobs`` beside
    ``snapshots``: there all that belongs to a repository is one folder.
    """
    folder = path.parent.resolve()
    for above in folder.parents:
        if above.name == "snapshots" and above.parent.name.startswith("models--"):
            folder = above.parent
    return path.is_symlink() and not path.resolve().is_relative_to(folder)


def read_text(path: Path) -> str:
    """Return the text of a file that somebody else may have made.

    Raises
    ------
    OSError
        As `check_regular`, or if it has more than 10 MB.
    ValueError
        If it is not UTF-8.
    """
    if check_regular(path) > _LONGEST_TEXT:
        raise OSError(errno.EFBIG, "it is too long for what it should be", str(path))
    return path.read_text(encoding="utf-8")


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path) -> None:
    """Write the sha256 of every file below a folder as ``sha256sum --check`` reads it.

    A damaged or changed file is found wherever it is: in a copy of a detector's folder, and among
    committed results, also where a re-execution would compare within a tolerance.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS)
    lines = [f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def read_record(kind: type[RecordT], path: Path, what: str) -> RecordT:
    """Read a record that `write_record` wrote.

    Parameters
    ----------
    what
        Its kind in error messages, such as ``study``.

    Raises
    ------
    UserError
        If there is none, or it is not a record of this version.
    """
    try:
        return kind.model_validate_json(read_text(path))
    except FileNotFoundError:
        raise UserError(f"{what} not found: {path}") from None
    except (ValueError, OSError) as error:  # pydantic's errors are ValueErrors
        reason = str(error).splitlines()[0]
        if hasattr(error, "errors"):  # pydantic's, which is not imported for this alone
            first = error.errors()[0]
            reason = ": ".join([*filter(None, [".".join(map(str, first["loc"]))]), first["msg"]])
        raise UserError(f"{path} is not a valid {what}: {reason}") from None
