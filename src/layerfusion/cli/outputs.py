"""Options that name a result: checked when they are read, before anything is computed."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from layerfusion.errors import UserError
from layerfusion.progress import Reporter, one_line

Kind = Literal["file", "file in a new folder", "folder", "new folder"]


def output_option(
    help: str, *, kind: Kind = "file", metavar: str = "FILE", hidden: bool = False
) -> Any:
    """Return the option of a command that names what it writes; `check_output` checks its value."""

    def check(
        context: typer.Context, option: typer.CallbackParam, path: Path | None
    ) -> Path | None:
        if path is not None and not context.resilient_parsing:
            check_output(path, option.opts[0], kind=kind)
        return path

    return typer.Option(metavar=metavar, help=help, callback=check, hidden=hidden)


def check_output(path: Path, option: str, *, kind: Kind = "file") -> None:
    """Refuse an output that cannot be written, or that would replace what must not be lost.

    A result takes the place of what is there, or of what a link leads to. In that of a device, as
    root, it would take it from every program of the machine; in that of an image, what was to be
    scored would be gone.

    Parameters
    ----------
    option
        The option that names it, such as ``--out``, for messages.
    kind
        What it is. The folder that holds a `file` or a `new folder` must exist.

    Raises
    ------
    UserError
        If the folder around it does not exist or cannot be written to, a `new folder` exists, a
        `folder` is a file, or a file is a folder, a pipe, a socket, a device or an image.
    """
    target = Path(os.path.realpath(path))
    if kind in ("file", "new folder") and not target.parent.is_dir():
        raise UserError(f"the folder of {option} {path} does not exist; create it first")
    if target.parent.is_dir() and not os.access(target.parent, os.W_OK | os.X_OK):
        raise UserError(f"{option} {path} cannot be written: no permission for its folder")
    if kind == "new folder" and os.path.lexists(path):
        raise UserError(f"{option} {path} already exists; remove it or choose another name")
    if kind == "folder" and path.exists() and not path.is_dir():
        raise UserError(f"{option} {path} is a file; name a folder")
    if kind == "folder" or not path.exists():
        return
    if path.is_dir():
        raise UserError(f"{option} {path} is a folder; name a file in it")
    from layerfusion.images.reading import begins_as_image, is_special

    if is_special(path):
        raise UserError(f"{option} {path} is a pipe, socket or device; name a file")
    if begins_as_image(path):
        raise UserError(f"{option} {path} is an image, which would be lost; name another file")


def print_lines(text: str) -> None:
    """Print text that may hold a stranger's names, without a terminal's commands in them."""
    print("\n".join(map(one_line, text.split("\n"))))


def print_values(values: Mapping[str, object]) -> None:
    """Print values behind their names, a line each, in two columns."""
    for name, value in values.items():
        print_lines(f"{name:<10}{value}")


def write_report(html: str, path: Path, reporter: Reporter) -> None:
    """Write an HTML report and say how to look at it; raises what `write_page` does."""
    from layerfusion.apps.evidence.pages import write_page

    write_page(html, path)
    reporter.say(f"open {path}")


WIDTH = 100


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # rich would end the program in silence


def wide_console() -> Console:
    """Return a console as wide as the terminal, else of `WIDTH` columns."""
    console = _Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    return console


def plain_table(*columns: str, numbers: tuple[str, ...] = ()) -> Table:
    """Return an empty table; the columns of numbers are aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", no_wrap=True)
    return table
