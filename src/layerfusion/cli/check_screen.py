"""A check of the data as a person reads it: a table, what to get, what is damaged, the verdict."""

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from layerfusion.data.check import DataCheck, SourceCheck
from layerfusion.data.integrity import Depth

LISTED = 20  # unreadable files on the screen; a CSV holds all

_DEPTHS: dict[Depth, str] = {
    "names": "Only names and sizes were looked at: corrupt are empty files alone, and equal files "
    "were not looked for.",
    "ends": "Headers and ends of the files were read; of damage in the middle of one, what a "
    "decoder notices is found with --decode.",
    "pixels": "Every file was decoded. Damage that a decoder does not notice, such as changed "
    "pixels in a JPEG, is not found by that.",
}


def show(check: DataCheck, depth: Depth, console: Console) -> None:
    """Print a check: readable at 100 columns."""
    console.print(_table(check))
    console.print(_DEPTHS[depth])
    for source in check.sources:
        if source.found == 0:
            _show_missing(source, console)
    _show_sentences("Incomplete, perhaps half extracted:", _incomplete(check), console)
    _show_unreadable(check, console)
    _show_sentences("Notes:", _notes(check), console)
    console.print()
    for run, obstacles in check.obstacles.items():
        verdict = f"[red]cannot run[/]: {escape('; '.join(obstacles))}"
        if not obstacles:
            verdict = "[green]can run[/]" + escape(_reservation(check, run))
        console.print(f"[bold]{escape(run)}[/]: {verdict}")


def _table(check: DataCheck) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("data set")
    for name in ("found", "expected", "missing", "size", "corrupt", "duplicates"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("licence")
    for source in check.sources:
        table.add_row(
            escape(source.name),
            f"{source.found:,}",
            _number(source.expected, "not stated" if source.data_set else "-"),
            _number(source.missing, "-"),
            decimal(source.bytes),
            f"{source.corrupt:,}",
            _number(source.duplicates, "-"),
            escape(source.data_set.licence.text if source.data_set else "-"),
        )
    return table


def _number(value: int | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:,}"


def _show_missing(source: SourceCheck, console: Console) -> None:
    data_set = source.data_set
    if data_set is None:
        return
    runs = " and ".join(source.needed_by)
    needed = f"needed by: {runs}" if runs else "no run is trained or validated on it"
    console.print(f"\n[bold]{escape(data_set.name)} is missing[/] ({escape(needed)})")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in (
        ("what", data_set.images.text),
        ("in the paper", data_set.in_the_paper.text),
        ("size", data_set.size.text),
        ("offered at", data_set.published.text),
        ("licence", data_set.licence.text),
        ("put it at", str(source.place)),
        ("layout", data_set.layout.text),
    ):
        grid.add_row(name, escape(text))
    console.print(Padding(grid, (0, 0, 0, 2), expand=False))


def _incomplete(check: DataCheck) -> Iterator[str]:
    for source in check.sources:
        if source.incomplete:
            yield f"{source.name}: {'; '.join(source.incomplete)}"


def _notes(check: DataCheck) -> Iterator[str]:
    for source in check.sources:
        for note in source.notes:
            yield f"{source.name}: {note}"
    yield from check.notes


def _show_sentences(title: str, sentences: Iterator[str], console: Console) -> None:
    for number, sentence in enumerate(sentences):
        if number == 0:
            console.print(f"\n[bold]{title}[/]")
        console.print(Padding(escape(sentence), (0, 0, 0, 2), expand=False))


def _show_unreadable(check: DataCheck, console: Console) -> None:
    rows = check.unreadable
    if rows.empty:
        return
    more = f", the first {LISTED}; --out FILE writes all" if len(rows) > LISTED else ""
    console.print(f"\n[bold]{len(rows):,} files cannot be read and are left out[/]{more}:")
    for path, reason in rows[["path", "reason"]].head(LISTED).itertuples(index=False):
        console.print(Padding(escape(f"{path}: {reason}"), (0, 0, 0, 2), expand=False))


def _reservation(check: DataCheck, run: str) -> str:
    """Say which of the sets that a run needs are there in part."""
    partial = [
        f"{source.name} ({source.found:,} of {source.expected:,})"
        for source in check.sources
        if run in source.needed_by and source.incomplete
    ]
    return f", but on less than is published: {', '.join(partial)}" if partial else ""
