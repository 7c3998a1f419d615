"""Whatever ends a command, as one sentence: the net under all of them."""

import errno
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import requires
from pathlib import Path

from layerfusion.cli.options import UNREAD
from layerfusion.errors import InterruptedFromKeyboardError, UserError, reason
from layerfusion.progress import Verbosity, verbosity

_NO_MEMORY = re.compile(r"out of memory|(?:can't|cannot|not enough) (?:allocate )?memory", re.I)
_PROVIDED = re.compile(r"""([\w.-]+)(?:.*extra\s*==\s*["']([\w-]+)["'])?""")
_LONGEST_PATH = 200  # letters that are shown


class UnforeseenError(UserError):
    """A mistake of the program; exit status 70, ``EX_SOFTWARE`` of sysexits.h."""

    status = 70


@contextmanager
def in_one_sentence() -> Iterator[None]:
    """Raise the UserError that stands for any other error that ends the block.

    With `Verbosity.verbose` the error's traceback is printed first. What was printed reaches the
    standard output before the block ends, or that is an error too.
    """
    try:
        try:
            yield
        except SystemExit:  # as typer ends
            sys.stdout.flush()
            raise
    except UserError:
        raise
    except KeyboardInterrupt:  # before or behind a command, which says more
        raise InterruptedFromKeyboardError("stopped from the keyboard") from None
    except Exception as error:
        if verbosity() is Verbosity.verbose:
            traceback.print_exc()
        raise _described(error) from None


def check_streams() -> None:
    """Refuse to work for nobody: a closed standard output takes no result.

    Raises
    ------
    UserError
        If standard output is closed. A closed standard error loses messages only.
    """
    if sys.stderr is None:  # or the next file that is opened takes its number, and messages
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115, as long as the program
    if sys.stdout is None:
        raise UserError("standard output is closed, and results would be lost; give a file, as in "
                        "> results.txt, or > /dev/null")  # fmt: skip


def drop_unwritten() -> None:
    """Empty standard output's buffer, so that Python does not fail at it again when it ends."""
    try:
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)


def _described(error: Exception) -> UserError:
    """Return the sentence for an error that no part of the program foresaw."""
    text = " ".join(str(error).split())
    match error:
        case ModuleNotFoundError(name=str(name)) if not name.startswith("layerfusion"):
            return UserError(_missing(name.partition(".")[0]))
        case OSError(errno=errno.EPIPE, filename=None):
            return UserError(UNREAD)
        case OSError(filename=None, errno=int()):
            failed = "standard output or a file cannot be written"
            return UserError(f"{failed}: {reason(error)}")
        case OSError():
            return UserError(f"{_shortened(error.filename or text)}: {reason(error)}")
        case RecursionError():
            return UserError("folders or values are nested too deeply to be read")
        case UnicodeError():
            return UserError(f"a text or a name is not in the encoding that it should be: {text}")
    if isinstance(error, MemoryError) or _NO_MEMORY.search(text):
        return UserError(
            "there is not enough memory for it; end other programs, or use fewer processes "
            f"(LAYERFUSION_WORKERS=0) and smaller batches ({text or 'MemoryError'})"
        )
    if type(error).__name__ == "SafetensorError":  # of a library that is slow to import
        return UserError(f"a file of weights cannot be read or written: {text}")
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return UnforeseenError(
        f"a mistake of layerfusion: {type(error).__name__}: {text} ({frame.filename}:"
        f"{frame.lineno}); --verbose shows more, for a report of it"
    )


def _missing(module: str) -> str:
    """Return what to install for a module that a part of the program needs."""
    for requirement in requires("layerfusion") or []:
        match = _PROVIDED.match(requirement)
        package, extra = match.groups() if match else ("", None)
        names = {package.lower(), package.lower().removesuffix("-python")}
        if extra and module.lower().replace("_", "-") in names:
            return (
                f"this needs the package {package}, which is not installed; install it with: pip "
                f"install 'layerfusion[{extra}]'"
            )
    return f"the package {module} is not installed; install layerfusion again, with all it needs"


def _shortened(path: object) -> str:
    text = os.fsdecode(path) if isinstance(path, str | bytes) else str(path)
    half = _LONGEST_PATH // 2
    return text if len(text) <= _LONGEST_PATH else f"{text[:half]}...{text[-half:]}"
