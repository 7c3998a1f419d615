"""The command line's `layerfusion study`, and its case that the demo has."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from layerfusion.cli.options import (
    DataRootOption,
    ProfileOption,
    PublishOption,
    SetOption,
    replaced,
)
from layerfusion.errors import UserError

if TYPE_CHECKING:
    from layerfusion.settings import Blocks

FEWEST_SEEDS = 5  # below that, the spread between seeds is hardly known

SeedsOption = Annotated[int, typer.Option(min=2, help="How many seeds to train with.")]
FirstSeedOption = Annotated[int, typer.Option(min=0, help="The first of them; the others follow.")]
HeadsOption = Annotated[
    str,
    typer.Option(
        metavar="HEAD,...", help="all: the method; last, mean: the last block, equal weights."
    ),
]


def study(
    profile: ProfileOption = "demo",
    data_root: DataRootOption = None,
    seeds: SeedsOption = 5,
    first_seed: FirstSeedOption = 1337,
    heads: HeadsOption = "all,last,mean",
    publish: PublishOption = False,
    settings: SetOption = None,
) -> None:
    """Train both runs over several seeds and hold the paper's claims against them.

    Every seed trains constrained and open with each head. They are scored on validation images
    (clean, JPEG 85, laundered) and on the test images; where these have no labels, claims about
    them are not measured. Stopped, it goes on where it was when called again; finished, it is found
    again.

    What is published holds no image: the record, the claims, and every prediction, of which all
    other numbers can be made again.

    Example: `layerfusion study -p photographs -d DIR --seeds 3`
    """
    run_study(profile, data_root, seeds, first_seed, heads, publish, settings)


def run_study(
    profile: str,
    data_root: Path | None,
    seeds: int,
    first_seed: int,
    heads: str,
    publish: bool,
    settings: list[str] | None,
) -> None:
    """Find or make a study, print its claims, and publish it if that is asked for.

    Raises
    ------
    UserError
        If there is no such head, or `layerfusion.studies.study.Study` objects.
    """
    from layerfusion.paths import shown
    from layerfusion.progress import Reporter
    from layerfusion.studies.record import claims_text
    from layerfusion.studies.record import publish as publish_study
    from layerfusion.studies.study import Study

    reporter = Reporter()
    if seeds < FEWEST_SEEDS:
        reporter.say(
            f"note: {seeds} seeds say little about other seeds; use {FEWEST_SEEDS} or more"
        )
    planned = Study.open(
        profile=profile,
        first_seed=first_seed,
        seeds=seeds,
        heads=_heads(heads),
        data_root=data_root,
        overrides=replaced(settings),
        reporter=reporter,
    )
    finished = planned.obtain(reporter=reporter)
    print(claims_text(finished.record))
    minutes = finished.record.seconds["total"] / 60
    print(f"study: {shown(finished.directory)}/study.json, {minutes:.0f} minutes of work")
    if publish:
        publish_files(finished.record.profile, lambda folder: publish_study(finished, folder))


def _heads(text: str) -> list["Blocks"]:
    """Return the heads that are named, without blanks and repetitions, in their order."""
    from layerfusion.settings import Blocks

    named = list(dict.fromkeys(word.strip() for word in text.split(",")))
    for name in named:
        if name not in get_args(Blocks):
            raise UserError(
                f"there is no head '{name}'; --heads takes {','.join(get_args(Blocks))}"
            )
    return cast(list[Blocks], named)


def publish_files(profile: str, publish: Callable[[Path], list[Path]]) -> None:
    """Lay files into the profile's folder in runs/reference, say which, renew the checksums."""
    # These need what the book needs.
    from layerfusion.chapters.execution import write_checksums
    from layerfusion.paths import reference_folder, shown

    folder = reference_folder(profile)
    for path in publish(folder):
        print(f"published: {shown(path)}")
    write_checksums(folder)
