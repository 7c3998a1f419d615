"""Events and progress, a line an event or a bar: on the screen, and in the log that keeps all."""

import logging
import os
import re
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from layerfusion.errors import StopRequestedError, UserError
from layerfusion.parallel.launcher import launched

# A library writes nothing unless its user adds handlers here, or above.
LOGGER = logging.getLogger("layerfusion")
LOGGER.addHandler(logging.NullHandler())

VARIABLE = "LAYERFUSION_VERBOSITY"

_WARNINGS = "py.warnings"  # the standard library's name for Python's warnings


class Verbosity(StrEnum):
    """How much is written on the screen."""

    quiet = "quiet"
    normal = "normal"
    verbose = "verbose"


def verbosity() -> Verbosity:
    """Return how much is written on the screen: ``$LAYERFUSION_VERBOSITY``, else ``normal``.

    It is an environment variable, so that a command's child processes do as the command.

    Raises
    ------
    UserError
        If the variable has another value.
    """
    chosen = os.environ.get(VARIABLE) or Verbosity.normal
    try:
        return Verbosity(chosen)
    except ValueError:
        raise UserError(
            f"{VARIABLE}={chosen} is not known; set it to {', '.join(Verbosity)}"
        ) from None


def one_line(text: str) -> str:
    r"""Return a text on one line of printable letters: ``\n``, ``\x1b``, ``\udcff`` are escaped.

    File names may hold line ends, a terminal's commands, and bytes that are not UTF-8.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class _LineFormatter(logging.Formatter):
    """Time (ISO 8601, UTC), level and text; a library's text begins with its logger's name."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            text += f": {_described(record.exc_info[1])}"
        if not _is_own(record) and record.name != _WARNINGS:
            text = f"{record.name}: {text}"
        at = self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ")
        return f"{at} {record.levelname} {one_line(text)}"


_FORMATTER = _LineFormatter()


def with_time(level: int, text: str) -> str:
    """Return an event as a line of the log: ``2026-01-31T12:00:00Z INFO text``."""
    return _FORMATTER.format(LOGGER.makeRecord(LOGGER.name, level, "", 0, text, (), None))


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == LOGGER.name


class _Once(logging.Filter):
    """Passes a library's warning once for each line of its code."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[str, int]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if _is_own(record) or record.levelno >= logging.ERROR:
            return True
        place = record.pathname, record.lineno
        new = place not in self.seen
        self.seen.add(place)
        return new


class _Screen(logging.Handler):
    """Shows libraries' errors, and with `Verbosity.verbose` their warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.addFilter(_Once())

    def emit(self, record: logging.LogRecord) -> None:
        wanted = record.levelno >= logging.ERROR or verbosity() is Verbosity.verbose
        if wanted and not _is_own(record) and launched().rank == 0:
            # The current stream: a running progress bar has replaced it.
            print(_FORMATTER.format(record), file=sys.stderr)


@contextmanager
def _warnings_to(handler: logging.Handler, *, shown: bool) -> Iterator[None]:
    """Hand Python's warnings to a handler while the block runs; show them too, or do not.

    `logging.captureWarnings` would send them to all handlers, which might show them twice.
    """
    former = warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *more: Any
    ) -> None:
        place = "/".join(Path(filename).parts[-2:])
        text = f"{category.__name__}: {message} ({place}:{lineno})"
        level = logging.WARNING
        handler.handle(logging.LogRecord(_WARNINGS, level, filename, lineno, text, (), None))
        if shown:
            former(message, category, filename, lineno, *more)

    warnings.showwarning = show  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.showwarning = former


@contextmanager
def on_screen() -> Iterator[None]:
    """Show libraries' errors, one line each, while the block runs: for the command line.

    Their warnings, of which one damaged file may cause a thousand, are hidden; with
    `Verbosity.verbose` they are one line for each line of code.
    """
    former, root, screen = os.environ.get(VARIABLE), logging.getLogger(), _Screen()
    root.addHandler(screen)
    try:
        with warnings.catch_warnings(), _warnings_to(screen, shown=False):
            warnings.filterwarnings("always", append=True)  # behind all others: to count them
            yield
    finally:
        root.removeHandler(screen)
        os.environ.pop(VARIABLE, None)
        if former is not None:
            os.environ[VARIABLE] = former


class _LogFile(logging.FileHandler):
    """Appends lines to a file. A file that cannot be written does not stop the program."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        super().__init__(path, encoding="utf-8")
        self.setFormatter(_FORMATTER)
        self.addFilter(_Once())
        self._process, self._warn = os.getpid(), warn

    def emit(self, record: logging.LogRecord) -> None:
        if os.getpid() == self._process:  # and not a forked worker
            super().emit(record)

    def handleError(self, record: logging.LogRecord | None) -> None:  # noqa: N802
        warn, self._warn = self._warn, lambda text: None  # once
        warn(f"lines are missing in the log {self.baseFilename} ({sys.exception()})")

    def close(self) -> None:
        try:
            super().close()
        except OSError:  # the disk is full
            self.handleError(None)


@contextmanager
def logged_to(path: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Append each event to a file while the block runs, and the error that ends it.

    Libraries' warnings are one line for each line of code; they are shown as before. Events
    of worker processes are left out.

    Parameters
    ----------
    path
        File in an existing folder.
    warn
        Called once if the file cannot be written; the block runs nevertheless.
    """
    file: _LogFile | None = None
    try:
        file = _LogFile(path, warn)
    except OSError as error:
        warn(f"no log is written to {path} ({error.strerror})")
    if file is None:  # outside of the except clause: errors of the block have no context
        yield
        return
    root, level = logging.getLogger(), LOGGER.level
    root.addHandler(file)
    LOGGER.setLevel(logging.DEBUG)
    try:
        with _warnings_to(file, shown=True):
            yield
    except BaseException as error:
        LOGGER.log(*_ending(error))
        raise
    finally:
        LOGGER.setLevel(level)
        root.removeHandler(file)
        file.close()


def _ending(error: BaseException) -> tuple[int, str]:
    """Return level and text of the error that ended a block."""
    if isinstance(error, KeyboardInterrupt):
        return logging.INFO, "interrupted from the keyboard"
    level = logging.INFO if isinstance(error, StopRequestedError) else logging.ERROR
    return level, str(error) if isinstance(error, UserError) else _described(error)


def _described(error: BaseException) -> str:
    """Return an exception's name, text, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return re.sub(r"\s+", " ", f"{type(error).__name__}: {error}{place}")


# Shows that `done` of `total` are done.
Bar = Callable[[int, int], None]

LINE_EVERY = 10.0  # seconds, where no terminal shows a bar


@cache
def warn_once(text: str) -> None:
    """Write a warning, the first time alone that this process has it."""
    Reporter().warn(text)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f} images/s" if speed else "")


class Reporter:
    """Reports progress on the terminal that the program was started from.

    In a Jupyter kernel all text on stdout or stderr becomes part of the notebook, so the reporter
    writes to the file behind them: the terminal in which papermill or Jupyter was started. Of
    several processes of one run only the first writes, and `verbosity` says how much.
    Every line is also an event of the logger ``layerfusion``.
    """

    def __init__(self) -> None:
        file, self._verbosity = _terminal(), verbosity()
        # By default rich would notice the kernel, and display HTML in the notebook after all.
        self.console = Console(
            file=file,
            highlight=False,
            force_jupyter=False,
            force_terminal=file.isatty(),
            quiet=launched().rank > 0 or self._verbosity is Verbosity.quiet,
        )

    def say(self, text: str) -> None:
        """Write one line."""
        self._report(logging.INFO, text)

    def warn(self, text: str) -> None:
        """Write one line that begins with ``warning:``."""
        self._report(logging.WARNING, text)

    def detail(self, text: str) -> None:
        """Write one line if the verbosity is `verbose`; a run's log always has it."""
        self._report(logging.DEBUG, text)

    def _report(self, level: int, text: str) -> None:
        line = one_line(text)  # for any handler: one that writes UTF-8 fails at lone bytes
        LOGGER.log(level, "%s", line)
        self._print(level, line)

    def _print(self, level: int, line: str) -> None:
        if self._verbosity is Verbosity.verbose:
            line = with_time(level, line)
        elif level == logging.WARNING:
            line = f"warning: {line}"
        if level > logging.DEBUG or self._verbosity is Verbosity.verbose:
            self.console.print(line, markup=False, soft_wrap=True)

    @contextmanager
    def log_to(self, path: Path) -> Iterator[None]:
        """Append every line to a file too while the block runs (`layerfusion.progress.logged_to`).

        Of several processes only the first does.
        """
        if launched().rank > 0:
            yield
        else:
            with logged_to(path, self.warn):
                yield

    @contextmanager
    def bar(self, what: str, total: int, *, done: int = 0) -> Iterator[Bar]:
        """Show a bar with rate and remaining time while the block runs; gone when it ends.

        Where there is no terminal, the same is a line every ten seconds.
        """
        columns: list[ProgressColumn] = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        ]
        terminal = self.console.is_terminal
        hidden = self.console.quiet or not terminal
        with Progress(*columns, console=self.console, transient=True, disable=hidden) as bars:
            task = bars.add_task(what, total=total or None, completed=done)  # None: not known

            def print_line() -> None:
                cells = [column(bars.tasks[0]) for column in columns]
                self._print(logging.INFO, " ".join(str(c) for c in cells if isinstance(c, Text)))

            with _repeated(print_line, None if terminal or self.console.quiet else LINE_EVERY):
                yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def _repeated(work: Callable[[], None], seconds: float | None) -> Iterator[None]:
    """Do something every few seconds, in a thread, while the block runs; None is never."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            work()

    thread = threading.Thread(target=repeat, daemon=True)
    if seconds is not None:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if seconds is not None:
            thread.join()


def _terminal() -> TextIO:
    # ipykernel's stderr returns the descriptor that it had before it was captured, or none where
    # nothing was captured (under pytest); then the interpreter's own is the terminal's.
    for stream in (sys.stderr, sys.__stderr__):
        try:
            if stream is not None:
                return os.fdopen(os.dup(stream.fileno()), "w", errors="backslashreplace")
        except (OSError, ValueError):
            continue
    return sys.stderr
