"""Options that several commands of the command line share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class RunName(StrEnum):
    """The paper's two runs."""

    constrained = "constrained"
    open = "open"


ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile", "-p", help="demo, folder, paper, photographs, or a YAML file's path."
    ),
]
DataRootOption = Annotated[
    Path | None, typer.Option("--data-root", "-d", help="Folder below which the data sets lie.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of every random draw.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Replace a setting: training.epochs=1."),
]


def replaced(settings: list[str] | None) -> dict[str, Any]:
    """Return what `--set` replaces, by dotted name.

    Raises
    ------
    UserError
        If one is not of the form name=value.
    """
    from layerfusion.settings import parse_override  # pydantic takes as long as all of the help

    return dict(parse_override(text) for text in settings or [])
