"""What happens, a line an event: how much of it reaches the screen, and a file that keeps it."""

import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

from layerfusion.errors import StopRequestedError, UserError
from layerfusion.parallel.launcher import launched

# Whoever uses the package as a library hears nothing unless handlers are added here, or above.
LOGGER = logging.getLogger("layerfusion")
LOGGER.addHandler(logging.NullHandler())

VARIABLE = "LAYERFUSION_VERBOSITY"

_WARNINGS = "py.warnings"  # as the standard library calls what Python warns of


class Verbosity(StrEnum):
    """How much of what happens is written on the screen."""

    quiet = "quiet"
    normal = "normal"
    verbose = "verbose"


def verbosity() -> Verbosity:
    """Return how much is written on the screen: ``$LAYERFUSION_VERBOSITY``, else ``normal``.

    A variable, so that what a command starts (chapters, further processes) does as the command.

    Raises
    ------
    UserError
        If it is none of them.
    """
    chosen = os.environ.get(VARIABLE) or Verbosity.normal
    try:
        return Verbosity(chosen)
    except ValueError:
        raise UserError(
            f"{VARIABLE}={chosen} is not known; set it to {', '.join(Verbosity)}"
        ) from None


def one_line(text: str) -> str:
    r"""Return a text on one line, which any terminal and UTF-8 take: ``\n``, ``\x1b``, ``\udcff``.

    Names of files may hold line ends, a terminal's commands, and bytes that are no letters.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class _Lines(logging.Formatter):
    """Time (ISO 8601, UTC), level, and the text; before it, who says it if that is a library."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        said = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            said += f": {_named(record.exc_info[1])}"
        named = _is_own(record) or record.name == _WARNINGS
        record.message = one_line(said if named else f"{record.name}: {said}")
        record.asctime = self.formatTime(record, self.datefmt)
        return self.formatMessage(record)


_FORMAT = _Lines()


def with_time(level: int, text: str) -> str:
    """Return an event as a line of the log: ``2026-01-31T12:00:00Z INFO text``."""
    return _FORMAT.format(LOGGER.makeRecord(LOGGER.name, level, "", 0, text, (), None))


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == LOGGER.name


class _Once(logging.Filter):
    """Lets a library's warning pass once a place in its code, and counts how often it came."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[tuple[str, int], int] = {}
        self.first: dict[tuple[str, int], logging.LogRecord] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if _is_own(record) or record.levelno >= logging.ERROR:
            return True
        place = record.pathname, record.lineno
        self.counts[place] = self.counts.get(place, 0) + 1
        return self.first.setdefault(place, record) is record

    def repeated(self) -> Iterator[tuple[int, logging.LogRecord]]:
        """Yield how often a line came, and as what it came first, for each that came again."""
        for place, count in self.counts.items():
            if count > 1:
                yield count, self.first[place]


class _Screen(logging.Handler):
    """Libraries' errors on the screen; where a person asks for more, their warnings too."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.addFilter(_Once())

    def emit(self, record: logging.LogRecord) -> None:
        heard = record.levelno >= logging.ERROR or verbosity() is Verbosity.verbose
        if heard and not _is_own(record) and launched().rank == 0:
            # The stream of this moment: a running bar has put itself in its place.
            print(_FORMAT.format(record), file=sys.stderr)


class _Warned:
    """Stands where Python shows warnings: a line for a handler, then whatever stood there before.

    They go to no logger, whose other handlers would show them a second time.
    """

    def __init__(self, handler: logging.Handler, former: Callable[..., Any] | None) -> None:
        self._handler, self._former = handler, former

    def __call__(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        where = "/".join(Path(filename).parts[-2:])
        text = f"{category.__name__}: {message} ({where}:{lineno})"
        level = logging.WARNING
        record = logging.LogRecord(_WARNINGS, level, filename, lineno, text, (), None)
        self._handler.handle(record)
        if self._former is not None:
            self._former(message, category, filename, lineno, file, line)


@contextmanager
def on_screen() -> Iterator[None]:
    """Have libraries write on the screen as the command line wants it, while the block runs.

    Their errors are a line each. Their warnings, of which one damaged file may give a thousand, are
    left out; with `Verbosity.verbose` they are a line a place in their code.
    """
    former, root, screen = os.environ.get(VARIABLE), logging.getLogger(), _Screen()
    root.addHandler(screen)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("always", append=True)  # behind all others: to count them
            warnings.showwarning = _Warned(screen, None)
            yield
    finally:
        root.removeHandler(screen)
        os.environ.pop(VARIABLE, None)
        if former is not None:
            os.environ[VARIABLE] = former


class _File(logging.FileHandler):
    """Appends lines to a file. That it cannot is no reason to stop what it is about."""

    def __init__(self, path: Path, trouble: Callable[[str], None]) -> None:
        end_last_line(path)
        super().__init__(path, encoding="utf-8")
        self.setFormatter(_FORMAT)
        self.once = _Once()
        self.addFilter(self.once)
        self._process, self._trouble = os.getpid(), trouble

    def emit(self, record: logging.LogRecord) -> None:
        if os.getpid() == self._process:  # and not a loader's worker, which was forked with it
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        self.tell(sys.exception())

    def tell(self, error: BaseException | None) -> None:
        """Say once that lines are missing."""
        trouble, self._trouble = self._trouble, lambda text: None
        trouble(f"lines are missing in the log {self.baseFilename} ({error})")

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:  # of a full disk, once more
            self.tell(error)


@contextmanager
def kept_in(path: Path, trouble: Callable[[str], None]) -> Iterator[None]:
    """Append a line an event to a file while the block runs, and the last one if it fails.

    Libraries' warnings are a line a place in their code, with a count at the end. Elsewhere they
    are shown as before. What happens in worker processes is not in it.

    Parameters
    ----------
    path
        In a folder that is there. A last line that was cut short is ended.
    trouble
        Told, once, if the file cannot be written; the block runs nevertheless.
    """
    file: _File | None = None
    try:
        file = _File(path, trouble)
    except OSError as error:
        trouble(f"no log is kept in {path} ({error.strerror})")
    with nullcontext() if file is None else _writing(file):
        yield


@contextmanager
def _writing(file: _File) -> Iterator[None]:
    root, level, shows = logging.getLogger(), LOGGER.level, warnings.showwarning
    root.addHandler(file)
    LOGGER.setLevel(logging.DEBUG)
    warnings.showwarning = _Warned(file, shows)
    try:
        yield
    except BaseException as error:
        LOGGER.log(*_ending(error))
        raise
    finally:
        for count, record in file.once.repeated():
            LOGGER.info("%d times in all: %s", count, record.getMessage())
        warnings.showwarning = shows
        LOGGER.setLevel(level)
        root.removeHandler(file)
        file.close()


def _ending(error: BaseException) -> tuple[int, str]:
    """Return level and text of what ended a block."""
    match error:
        case StopRequestedError():
            return logging.INFO, str(error)
        case UserError():
            return logging.ERROR, str(error)
        case KeyboardInterrupt():
            return logging.INFO, "interrupted from the keyboard"
    return logging.ERROR, _named(error)


def _named(error: BaseException) -> str:
    """Return an exception's name, text, and the place that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = None if trace is None else trace.tb_frame.f_code
    where = "" if code is None or trace is None else f" ({code.co_filename}:{trace.tb_lineno})"
    return re.sub(r"\s+", " ", f"{type(error).__name__}: {error}{where}")


def end_last_line(path: Path) -> None:
    """End the last line of a file that a kill or a full disk cut short.

    What is there of a letter is escaped, so that the file is UTF-8. Nothing is done to one that is
    missing, empty or whole.

    Raises
    ------
    OSError
        If it cannot be read or written.
    """
    data = path.read_bytes() if path.is_file() else b""
    torn = data.rpartition(b"\n")[2]
    if torn:
        with path.open("r+b") as file:
            file.seek(len(data) - len(torn))
            file.truncate()
            file.write(f"{torn.decode('utf-8', 'backslashreplace')}\n".encode())
