"""Tables on the screen: one style, and 100 columns where no terminal says how many it has."""

from rich import box
from rich.console import Console
from rich.table import Table

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
