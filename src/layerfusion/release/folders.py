"""A new folder that is complete, or not there at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layerfusion.errors import UserError


def check_place(out: Path) -> None:
    """Raise a UserError if a folder cannot come to lie at `out`, or something is there already."""
    if out.exists():
        raise UserError(f"{out} is there already; remove it or name another --out")
    if not out.absolute().parent.is_dir():
        raise UserError(f"the folder above --out {out} does not exist; make it first")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a folder to fill, which comes to lie at `out` when the block ends well.

    Raises
    ------
    UserError
        As `check_place`, or if something cannot be written.
    """
    check_place(out)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        yield partial
        partial.replace(out)
    except OSError as error:
        raise UserError(f"the detector cannot be written to {out}: {error.strerror}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
