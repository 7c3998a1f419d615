"""Files that are complete or what they were before, whatever ends the process that writes them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from layerfusion.errors import UserError

if TYPE_CHECKING:
    from pydantic import BaseModel

RecordT = TypeVar("RecordT", bound="BaseModel")


@contextmanager
def in_place_of(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield where to write what takes the place of a file, at once, when the block ends well.

    If the block fails the file is what it was and nothing lies beside it. A process that is killed
    leaves ``.<name>.partial``, which the next one overwrites, or of a shared file a
    ``.<name>.<process>.partial``, which nobody reads.

    Parameters
    ----------
    path
        Of the file, in a folder that is there.
    shared
        Whether several processes may write it at the same time. Each then writes its own.

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
    finally:
        partial.unlink(missing_ok=True)


def write_record(record: "BaseModel", path: Path) -> None:
    """Write a record as JSON; `path` is complete or what it was before."""
    with in_place_of(path) as partial:
        partial.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_record(kind: type[RecordT], path: Path, what: str) -> RecordT:
    """Read a record that `write_record` wrote.

    Parameters
    ----------
    what
        The field's word for it, such as ``study``, for messages.

    Raises
    ------
    UserError
        If there is none, or it is not a record of this version.
    """
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no {what} at {path}") from None
    except (ValueError, OSError) as error:  # pydantic's errors are ValueErrors
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is no {what}: {reason}") from None
