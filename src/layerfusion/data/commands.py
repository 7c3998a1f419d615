"""The command line's `layerfusion data`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layerfusion.errors import UserError
from layerfusion.options import DataRootOption, ProfileOption, SetOption
from layerfusion.settings import load_profile, parse_override

if TYPE_CHECKING:
    from layerfusion.data.integrity import Depth

data_app = typer.Typer(no_args_is_help=True, help="The images: what is there and what is missing.")

NARROWEST = 100  # columns of a page, where no terminal says how many it has


@data_app.command()
def check(
    profile: ProfileOption = "paper",
    data_root: DataRootOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="Look at names and sizes only.")] = False,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode every image: slow, finds every damage.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV of all files that cannot be read.")
    ] = None,
    settings: SetOption = None,
) -> None:
    """Check which data sets of a profile are there and whole, and which runs can run.

    For what is missing: what it is, how big, where its publisher offers it and where to put it.
    The exit status is 0 if every run of the profile can run, else 1.
    """
    from rich.console import Console

    from layerfusion.data.check import check_data
    from layerfusion.data.check_screen import show

    if quick and decode:
        raise UserError("--quick reads no file and --decode every one: give one of them")
    if out is not None and not out.absolute().parent.is_dir():
        raise UserError(f"the folder of --out {out} does not exist; make it first")
    depth: Depth = "names" if quick else "pixels" if decode else "ends"
    chosen = load_profile(profile, dict(parse_override(text) for text in settings or []))
    root = data_root.expanduser() if data_root else None
    found = check_data(chosen, root, depth=depth)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = NARROWEST
    show(found, depth, console)
    if out is not None:
        partial = out.with_name(f".{out.name}.partial")
        found.unreadable.to_csv(partial, index=False)
        partial.replace(out)
    if any(found.obstacles.values()):
        raise typer.Exit(1)
