"""Progress for a person: a bar in a terminal, a line an event, nothing in a notebook's outputs."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from layerfusion.events import LOGGER, Verbosity, kept_in, one_line, verbosity, with_time
from layerfusion.parallel.launcher import launched


class _Rate(TextColumn):
    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: object) -> Text:
        speed = getattr(task, "finished_speed", None) or getattr(task, "speed", None)
        return Text(f"{speed:.0f} images/s" if speed else "")


class Reporter:
    """Says what is going on, to the terminal that the program was started from.

    In a Jupyter kernel everything written to stdout or stderr becomes part of the notebook, so the
    reporter writes to the file behind them: the terminal of whoever started papermill or Jupyter.
    Of several processes of one run only the first says anything, and how much is a matter of
    `layerfusion.events.verbosity`. Every line is also an event of the logger ``layerfusion``.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        file, self._verbosity = stream or _terminal(), verbosity()
        # Left to itself rich would notice the kernel, and display HTML in the notebook after all.
        self.console = Console(
            file=file,
            highlight=False,
            force_jupyter=False,
            force_terminal=file.isatty(),
            quiet=launched().rank > 0 or self._verbosity is Verbosity.quiet,
        )

    def say(self, text: str) -> None:
        """Write one line."""
        self._tell(logging.INFO, text)

    def warn(self, text: str) -> None:
        """Write one line that begins with ``warning:``."""
        self._tell(logging.WARNING, text, "warning: ")

    def detail(self, text: str) -> None:
        """Write one line for whoever asks for more; the log of a run has it always."""
        self._tell(logging.DEBUG, text)

    def _tell(self, level: int, text: str, prefix: str = "") -> None:
        line = one_line(text)  # for any handler: one that writes UTF-8 fails at lone bytes
        LOGGER.log(level, "%s", line)
        verbose = self._verbosity is Verbosity.verbose
        if verbose or level > logging.DEBUG:
            shown = with_time(level, line) if verbose else prefix + line
            self.console.print(shown, markup=False, soft_wrap=True)

    @contextmanager
    def keep(self, path: Path) -> Iterator[None]:
        """Append every line to a file too while the block runs (`layerfusion.events.kept_in`).

        Of several processes only the first does.
        """
        if launched().rank > 0:
            yield
        else:
            with kept_in(path, self.warn):
                yield

    @contextmanager
    def bar(self, what: str, total: int, *, done: int = 0) -> "Iterator[Bar]":
        """Show a bar with rate and remaining time while the block runs; gone when it ends."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        visible = self.console.is_terminal and not self.console.quiet
        with Progress(*columns, console=self.console, transient=True, disable=not visible) as bars:
            yield Bar(bars, bars.add_task(what, total=total, completed=done))


class Bar:
    """A running bar; call it with (done, total)."""

    def __init__(self, bars: Progress, task: int) -> None:
        self._bars, self._task = bars, task

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        self._bars.update(self._task, completed=done, total=total)  # type: ignore[arg-type]


def _terminal() -> TextIO:
    # ipykernel's stderr answers with the descriptor that it had before it was captured, or not at
    # all where it captures none (under pytest); then the interpreter's own is the terminal's.
    for stream in (sys.stderr, sys.__stderr__):
        try:
            if stream is not None:
                return os.fdopen(os.dup(stream.fileno()), "w", errors="backslashreplace")
        except (OSError, ValueError):
            continue
    return sys.stderr
