"""Progress on the screen: a bar in a terminal, else a line every ten seconds; a line an event."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TextIO

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

from layerfusion.events import LOGGER, Verbosity, logged_to, one_line, verbosity, with_time
from layerfusion.parallel.launcher import launched

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
    several processes of one run only the first writes, and `layerfusion.events.verbosity` says how
    much. Every line is also an event of the logger ``layerfusion``.
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
        """Append every line to a file too while the block runs (`layerfusion.events.logged_to`).

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
