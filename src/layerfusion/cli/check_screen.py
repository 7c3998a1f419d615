"""A check of the data on the screen: table, missing data sets, unreadable files, runs."""

from collections.abc import Sequence

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from layerfusion.cli.tables import plain_table
from layerfusion.data.check import DataCheck
from layerfusion.data.integrity import Depth

LISTED = 20  # unreadable files on the screen; a CSV holds all

_DEPTHS: dict[Depth, str] = {
    "names": "Only names and sizes were read: of corrupt files, empty ones alone are counted, and "
    "duplicates are not searched for.",
    "ends": "Headers and ends of the files were read; --decode also finds damage in the middle of "
    "a file that a decoder notices.",
    "pixels": "Every file was decoded. Damage that a decoder does not notice, such as changed "
    "pixels in a JPEG, is not found.",
}


def show(check: DataCheck, depth: Depth, console: Console) -> None:
    """Print a check, readable at 100 columns."""
    console.print(_table(check))
    console.print(_DEPTHS[depth])
    for source in check.sources:
        if source.found == 0 and source.data_set is not None:
            runs = " and ".join(source.needed_by)
            needed = f"needed by: {runs}" if runs else "no run is trained or validated on it"
            title = f"{source.name} is missing ({needed})"
            _show_list(title, [source.data_set.advice(source.place)], console)
    incomplete = [
        f"{one.name}: {'; '.join(one.incomplete)}" for one in check.sources if one.incomplete
    ]
    _show_list("Incomplete, perhaps half extracted:", incomplete, console)
    rows = check.unreadable
    more = f", the first {LISTED}; --out FILE writes all" if len(rows) > LISTED else ""
    listed = [f"{path}: {reason}" for path, reason in rows[["path", "reason"]].head(LISTED).values]
    _show_list(f"{len(rows):,} files cannot be read and are left out{more}:", listed, console)
    notes = [f"{source.name}: {note}" for source in check.sources for note in source.notes]
    _show_list("Notes:", [*notes, *check.notes], console)
    console.print()
    for run, obstacles in check.obstacles.items():
        verdict = f"[red]cannot run[/]: {escape('; '.join(obstacles))}"
        if not obstacles:
            verdict = "[green]can run[/]" + escape(_reservation(check, run))
        console.print(f"[bold]{escape(run)}[/]: {verdict}")


def _table(check: DataCheck) -> Table:
    numbers = ("found", "expected", "missing", "size", "corrupt", "duplicates")
    table = plain_table("data set", *numbers, "licence", numbers=numbers)
    table.columns[0].no_wrap = table.columns[-1].no_wrap = False
    for source in check.sources:
        table.add_row(
            escape(source.name),
            f"{source.found:,}",
            _number(source.expected, "not stated" if source.data_set else "-"),
            _number(source.expected and max(0, source.expected - source.found)),
            decimal(source.bytes),
            f"{source.corrupt:,}",
            _number(source.duplicates),
            escape(source.data_set.licence.text if source.data_set else "-"),
        )
    return table


def _number(value: int | None, otherwise: str = "-") -> str:
    return otherwise if value is None else f"{value:,}"


def _show_list(title: str, lines: Sequence[str], console: Console) -> None:
    if lines:
        console.print(f"\n[bold]{escape(title)}[/]")
    for line in lines:
        console.print(Padding(escape(line), (0, 0, 0, 2), expand=False))


def _reservation(check: DataCheck, run: str) -> str:
    """Return which of a run's data sets are incomplete, as text."""
    partial = [
        f"{source.name} ({source.found:,} of {source.expected:,})"
        for source in check.sources
        if run in source.needed_by and source.incomplete
    ]
    return f", but on less than is published: {', '.join(partial)}" if partial else ""
