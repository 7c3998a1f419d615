"""The command line's `layerfusion data`."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import markup
from rich.console import Console
from rich.filesize import decimal
from rich.padding import Padding
from rich.table import Table

from layerfusion.cli.options import Commands, DataChoice, ProfileOption
from layerfusion.cli.outputs import output_option, plain_table, print_lines
from layerfusion.files import named_by_user
from layerfusion.paths import runs_root
from layerfusion.progress import Reporter, one_line

if TYPE_CHECKING:
    from layerfusion.data.check import DataCheck
    from layerfusion.data.manifest import Manifest
    from layerfusion.settings import Profile

_READ = (
    "Headers and ends of the files were read; --decode also finds damage in the middle of a file "
    "that a decoder notices."
)
_DECODED = (
    "Every file was decoded. Damage that a decoder does not notice, such as changed pixels in a "
    "JPEG, is not found."
)


def show(check: "DataCheck", console: Console, *, decoded: bool) -> None:
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


def _table(check: "DataCheck") -> Table:
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


def _reservation(check: "DataCheck", run: str) -> str:
    """Return which of a run's data sets are incomplete, as text."""
    partial = [
        f"{source.name} ({source.found:,} of {source.expected:,})"
        for source in check.sources
        if run in source.needed_by and source.incomplete
    ]
    return f", but on less than is published: {', '.join(partial)}" if partial else ""


data_app = Commands(help="Check, list and describe images.")

LISTED = 20  # skipped files that are listed


@dataclass(frozen=True, kw_only=True)
class _PaperChoice(DataChoice):
    profile: ProfileOption = "paper"


@data_app.command()
def check(
    choice: _PaperChoice,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode every image: slow, finds all damage.")
    ] = False,
    out: Annotated[Path | None, output_option("CSV file of all unreadable files.")] = None,
) -> None:
    """Check which data sets of a profile are complete, and which runs can be trained.

    For each missing data set: what it is, its size, where it is published and where to put it. The
    exit status is 0 if every run of the profile has as many images as its selection asks for,
    else 1.
    """
    from layerfusion.cli.outputs import wide_console
    from layerfusion.data.check import check_data
    from layerfusion.data.tables import csv_text
    from layerfusion.settings import load_profile

    chosen = load_profile(choice.profile, choice.overrides)
    found = check_data(chosen, choice.data_root, decode=decode)
    show(found, wide_console(), decoded=decode)
    if out is not None:
        with named_by_user(out, "the unreadable files") as partial:
            partial.write_text(csv_text(found.unreadable), encoding="utf-8", newline="")
    if any(found.obstacles.values()):
        raise typer.Exit(1)


@data_app.command()
def manifest(
    choice: DataChoice,
    out: Annotated[
        Path | None,
        output_option(
            "Parquet file to write. [default: runs/<profile>/manifest.parquet]",
            kind="file in a new folder",
        ),
    ] = None,
) -> None:
    """Scan every image of a profile and write the manifest, one row per image.

    An interrupted scan resumes. Later scans, of this command and of training, read new and changed
    files only. `--set data.hash_files=false` computes no sha256, so that equal files are not found;
    `--set data.decode_files=false` decodes no pixels, and finds most of the truncated files only.

    Example: `layerfusion data manifest --profile paper --data-root /data`
    """
    from layerfusion.data.opening import open_data
    from layerfusion.settings import load_profile

    reporter, chosen = Reporter(), load_profile(choice.profile, choice.overrides)
    cache = runs_root() / chosen.name
    with reporter.bar("reading images", 0) as bar:
        found = open_data(chosen.data, data_root=choice.data_root, cache=cache, progress=bar)
    file = out or cache / "manifest.parquet"
    found.save(file.resolve())  # a link stays, as for `named_by_user`
    _describe(found, chosen, reporter)
    print(f"manifest {file}")


@data_app.command()
def card(
    data_root: Annotated[
        Path, typer.Option("--data-root", "-d", help="Folder of the images and manifest.csv.")
    ],
    out: Annotated[
        Path, output_option("Folder to write the card to.", kind="folder", metavar="FOLDER")
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the data set. [default: name of its folder]")
    ] = None,
    creator: Annotated[str | None, typer.Option(help="Creator of the data set.")] = None,
    published: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Date of publication. [default: today]"),
    ] = None,
) -> None:
    """Write a data card, without images: sources, licences, hashes.

    It is made from the data set's manifest.csv: path, label, split, source, generator, platform,
    style, width, height, sha256, origin and licence of each labelled image. The card is
    sources.csv, images.parquet and croissant.json, which describes both in Croissant 1.1.
    """
    from layerfusion.data.card import make_card, write_card

    made = make_card(data_root)
    day = (published or datetime.now(UTC)).date()
    called = name or data_root.resolve().name
    write_card(made, out, name=called, published=day, creator=creator)
    print(
        f"{len(made.sources)} sources, {len(made.images):,} labelled images, "
        f"{made.unlabelled:,} test images without a label"
    )
    print(f"card {out}")


def _describe(found: "Manifest", profile: "Profile", reporter: Reporter) -> None:
    """Print images by split, skipped files, training images of each run, and warnings."""
    from layerfusion.data.metadata import manifest_warnings
    from layerfusion.data.selection import select_training

    print_lines(_counts(found))
    for path, reason in found.skipped.head(LISTED).itertuples(index=False):
        print_lines(f"skipped {path}: {reason}")
    if len(found.skipped) > LISTED:
        print(f"skipped {len(found.skipped) - LISTED:,} more")
    print(f"{len(found.rows):,} images, {len(found.skipped):,} files skipped")
    notes = manifest_warnings(found)
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
    from layerfusion.metrics.classes import CLASSES

    table = found.summary()
    table["label"] = table["label"].map(CLASSES).astype("str").fillna("unlabelled")
    table["images"] = table["images"].map("{:,}".format)
    return str(table.rename(columns={"label": "class"}).to_string(index=False))
