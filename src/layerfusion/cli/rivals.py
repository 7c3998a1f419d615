"""The command line's `layerfusion rivals`: published detectors beside the paper's head."""

from typing import Annotated

import typer

from layerfusion.cli.options import (
    DataRootOption,
    ProfileOption,
    PublishOption,
    SetOption,
    replaced,
)
from layerfusion.cli.study import FirstSeedOption, SeedsOption, publish_files

RivalsOption = Annotated[
    str | None,
    typer.Option("--rivals", metavar="NAME,...", help="Which of them. [default: all]"),
]


def rivals(
    profile: ProfileOption = "demo",
    data_root: DataRootOption = None,
    seeds: SeedsOption = 3,
    first_seed: FirstSeedOption = 1337,
    names: RivalsOption = None,
    publish: PublishOption = False,
    settings: SetOption = None,
) -> None:
    """Fit published detectors to what the paper's head learns from, and score the same images.

    Each reads the same frozen encoder's features of the same training images, in both runs and with
    every seed; its threshold is chosen on the validation images, as the head's is. Stopped, it goes
    on where it was when called again; finished, it is found again. With a profile whose loader
    keeps what frozen blocks give, a study of the same images leaves little to compute.

    What is published holds no image: the record, and every prediction.

    Example: `layerfusion rivals -p photographs -d DIR --seeds 3`
    """
    from layerfusion.paths import shown
    from layerfusion.progress import Reporter
    from layerfusion.rivals.contest import Contest
    from layerfusion.rivals.record import publish as publish_rivals
    from layerfusion.rivals.record import rivals_text
    from layerfusion.rivals.registry import RIVALS, rivals_named

    chosen = [word.strip() for word in names.split(",")] if names is not None else list(RIVALS)
    reporter = Reporter()
    contest = Contest.open(
        rivals_named(chosen),
        profile=profile,
        first_seed=first_seed,
        seeds=seeds,
        data_root=data_root,
        overrides=replaced(settings),
        reporter=reporter,
    )
    finished = contest.obtain(reporter=reporter)
    print(rivals_text(finished.record))
    minutes = (finished.record.features.seconds + finished.record.fitting_seconds) / 60
    print(f"rivals: {shown(finished.directory)}/rivals.json, {minutes:.0f} minutes of work")
    if publish:
        publish_files(finished.record.profile, lambda folder: publish_rivals(finished, folder))
