"""A check of the data on the screen: table, findings, runs."""

from itertools import groupby

from rich import markup
from rich.console import Console
from rich.filesize import decimal
from rich.padding import Padding
from rich.table import Table

from layerfusion.cli.tables import plain_table
from layerfusion.data.check import DataCheck
from layerfusion.events import one_line

_READ = (
    "Headers and ends of the files were read; --decode also finds damage in the middle of a file "
    "that a decoder notices."
)
_DECODED = (
    "Every file was decoded. Damage that a decoder does not notice, such as changed pixels in a "
    "JPEG, is not found."
)


def show(check: DataCheck, console: Console, *, decoded: bool) -> None:
    """Print a check, readable at 100 columns."""
    console.print(_table(check))
    console.print(_DECODED if decoded else _READ)
    for heading, rows in groupby(check.findings, key=lambda finding: finding[0]):
        console.print(f"\n[bold]{escape(heading)}[/]")
        for _, sentence in rows:
            console.print(Padding(escape(sentence), (0, 0, 0, 2), expand=False))
    console.print()
    for run, obstacles in check.obstacles.items():
        verdict = f"[red]cannot run[/]: {escape('; '.join(obstacles))}"
        if not obstacles:
            verdict = "[green]can run[/]" + escape(_reservation(check, run))
        console.print(f"[bold]{escape(run)}[/]: {verdict}")


def escape(text: str) -> str:
    """Return a text that names may be in, for rich to print as it stands."""
    return markup.escape(one_line(text))


def _table(check: DataCheck) -> Table:
    numbers = ("found", "expected", "missing", "size", "corrupt", "duplicates")
    table = plain_table("data set", *numbers, "licence", numbers=numbers)
    table.columns[0].no_wrap = table.columns[-1].no_wrap = False
    for one in check.sources:
        table.add_row(
            escape(one.name),
            f"{one.found:,}",
            _number(one.expected, "not stated" if one.licence else "-"),
            _number(one.expected and max(0, one.expected - one.found)),
            decimal(one.bytes),
            f"{one.corrupt:,}",
            f"{one.duplicates:,}",
            escape(one.licence or "-"),
        )
    return table


def _number(value: int | None, otherwise: str = "-") -> str:
    return otherwise if value is None else f"{value:,}"


def _reservation(check: DataCheck, run: str) -> str:
    """Return which of a run's data sets are incomplete, as text."""
    partial = [
        f"{source.name} ({source.found:,} of {source.expected:,})"
        for source in check.sources
        if run in source.needed_by and source.incomplete
    ]
    return f", but on less than is published: {', '.join(partial)}" if partial else ""
