"""The command line's `layerfusion ablation`."""

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

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="weights, blocks, trained, augmentations, activation, data or curve.",
    ),
]
CommandsOption = Annotated[
    bool,
    typer.Option("--commands", help="Print the commands that train the runs, and train nothing."),
]


def ablation(
    name: NameArgument,
    profile: ProfileOption = "demo",
    data_root: DataRootOption = None,
    seeds: SeedsOption = 3,
    first_seed: FirstSeedOption = 1337,
    commands: CommandsOption = False,
    publish: PublishOption = False,
    settings: SetOption = None,
) -> None:
    """Train variants of the method over several seeds and hold them against each other.

    *weights*: learned, equal, one a feature, last block alone. *blocks*: each alone, each left out.
    *trained*: 0, 1, 2 or 4 blocks. *augmentations*: each off in turn. *activation*: QuickGELU or
    GELU. *data*: constrained against open at equal size. *curve*: fewer training images.

    Differences are of ROC AUC on the validation images, paired by seed and image. Stopped, it goes
    on where it was when called again. With `--commands` the trainings can be spread over machines
    that share the runs folder; the command itself then finds them.

    Example: `layerfusion ablation trained -p photographs -d DIR --seeds 3`
    """
    from layerfusion.figures.ablations import shown as shown_table
    from layerfusion.paths import shown
    from layerfusion.progress import Reporter
    from layerfusion.studies.ablation import AblationStudy
    from layerfusion.studies.ablation_record import ablation_table, publish_ablation
    from layerfusion.studies.study import shared_options

    planned = AblationStudy.open(
        name,
        profile=profile,
        first_seed=first_seed,
        seeds=seeds,
        data_root=data_root,
        overrides=replaced(settings),
        reporter=Reporter(),
    )
    if commands:
        options = shared_options(profile, data_root, replaced(settings))
        print("\n".join(planned.training_commands(options)))
        return
    finished = planned.obtain(reporter=Reporter())
    print(shown_table(ablation_table(finished)).to_string())
    print(f"ablation: {shown(finished.directory)}/{name}.json")
    if publish:
        publish_files(finished.record.profile, lambda folder: publish_ablation(finished, folder))
