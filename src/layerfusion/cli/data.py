"""The command line's `layerfusion data`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layerfusion.cli.options import Commands, DataRootOption, ProfileOption, SetOption, replaced
from layerfusion.cli.outputs import check_output
from layerfusion.errors import UserError
from layerfusion.files import in_place_of

if TYPE_CHECKING:
    from layerfusion.data.integrity import Depth
    from layerfusion.data.manifest import Manifest
    from layerfusion.progress import Reporter
    from layerfusion.settings import Profile

data_app = Commands(no_args_is_help=True, help="The images: what is there and what is missing.")

LISTED = 20  # skipped files that are named one by one
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
    The exit status is 0 if every run of the profile can run on as many images as its selection
    asks for, else 1.
    """
    from rich.console import Console

    from layerfusion.cli.check_screen import show
    from layerfusion.data.check import check_data
    from layerfusion.settings import load_profile

    if quick and decode:
        raise UserError("--quick reads no file and --decode every one: give one of them")
    check_output(out, "--out")
    depth: Depth = "names" if quick else "pixels" if decode else "ends"
    chosen = load_profile(profile, replaced(settings))
    root = data_root.expanduser() if data_root else None
    found = check_data(chosen, root, depth=depth)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = NARROWEST
    show(found, depth, console)
    if out is not None:
        with in_place_of(out) as partial:
            found.unreadable.to_csv(partial, index=False)
    if any(found.obstacles.values()):
        raise typer.Exit(1)


@data_app.command()
def manifest(
    profile: ProfileOption = "demo",
    data_root: DataRootOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Parquet file. [default: runs/<profile>/manifest.parquet]")
    ] = None,
    no_hash: Annotated[
        bool, typer.Option("--no-hash", help="Read no sha256: equal files are not found.")
    ] = False,
    no_decode: Annotated[
        bool, typer.Option("--no-decode", help="Read no pixels: damage inside is not found.")
    ] = False,
    settings: SetOption = None,
) -> None:
    """Look at every image of a profile and list them, a row an image.

    Stopped, it goes on where it was when called again; later only new and changed files are read,
    by this command and by training. With --no-decode most truncated files are found all the same.

    Example: `layerfusion data manifest --profile paper --data-root /data`
    """
    from layerfusion.data.opening import open_data
    from layerfusion.paths import runs_root
    from layerfusion.progress import Reporter
    from layerfusion.settings import load_profile

    check_output(out, "--out", makes_folder=True)
    overrides = replaced(settings)
    left_out = {"data.hash_files": no_hash, "data.decode_files": no_decode}
    overrides |= {setting: False for setting, given in left_out.items() if given}
    reporter, chosen = Reporter(), load_profile(profile, overrides)
    cache = runs_root() / chosen.name
    with reporter.bar("reading images", 0) as bar:
        found = open_data(
            chosen.data,
            data_root=data_root.expanduser() if data_root else None,
            cache=cache,
            progress=bar,
        )
    file = out or cache / "manifest.parquet"
    found.save(file)
    _describe(found, chosen, reporter)
    print(f"manifest {file}")


@data_app.command()
def card(
    data_root: Annotated[
        Path, typer.Option("--data-root", "-d", help="Folder of the images and a manifest.csv.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the card is written.")],
    name: Annotated[
        str | None, typer.Option(help="Of the set. [default: that of its folder]")
    ] = None,
    creator: Annotated[str | None, typer.Option(help="Who made the set.")] = None,
    published: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="[default: today]")
    ] = None,
) -> None:
    """Say what a set of images is made of, without an image: sources, licences, hashes.

    The set's manifest.csv says it: path, label, split, source, generator, platform, style, width,
    height, sha256, origin and licence of each labelled image. Written are sources.csv,
    images.parquet and croissant.json, which describes both in Croissant 1.1.
    """
    from layerfusion.data.card import make_card, write_card

    root = data_root.expanduser()
    made = make_card(root)
    day = (published or datetime.now(UTC)).date()
    called = name or root.resolve().name
    write_card(made, out, name=called, published=day, creator=creator)
    print(
        f"{len(made.sources)} sources, {len(made.images):,} labelled images, "
        f"{made.unlabelled:,} test images without a label"
    )
    print(f"card {out}")


def _describe(found: "Manifest", profile: "Profile", reporter: "Reporter") -> None:
    """Print what was found, what was skipped, what runs would use and what to beware of."""
    from layerfusion.data.selection import select_training

    print(_counts(found))
    for path, reason in found.skipped.head(LISTED).itertuples(index=False):
        print(f"skipped {path}: {reason}")
    if len(found.skipped) > LISTED:
        print(f"skipped {len(found.skipped) - LISTED:,} more")
    print(f"{len(found.rows):,} images, {len(found.skipped):,} files skipped")
    notes = found.warnings()
    for name, run in profile.runs.items():
        rows = found.select(split="train", sources=run.train_sources).rows
        selection = select_training(rows, profile.data.selection, name)
        real, synthetic = ((selection.rows["label"] == label).sum() for label in (0, 1))
        print(f"{name} run: {real:,} real and {synthetic:,} synthetic training images")
        missing = [source for source in run.train_sources if source not in set(rows["source"])]
        notes += [f"there are no training images of source '{source}'" for source in missing]
        notes += selection.shortfalls
    for note in dict.fromkeys(notes):
        reporter.say(f"note: {note}")


def _counts(found: "Manifest") -> str:
    """Return the numbers of images by split, source and class as aligned text."""
    from layerfusion.data.manifest import CLASSES

    table = found.summary()
    table["label"] = table["label"].map(CLASSES).astype("str").fillna("unlabelled")
    table["images"] = table["images"].map("{:,}".format)
    return str(table.rename(columns={"label": "class"}).to_string(index=False))
