"""The command line's `layerfusion demo`."""

from pathlib import Path
from typing import Annotated

import typer

from layerfusion.cli.options import (
    Commands,
    DataRootOption,
    ProfileOption,
    PublishOption,
    SetOption,
)
from layerfusion.cli.study import (
    FirstSeedOption,
    HeadsOption,
    SeedsOption,
    run_study,
)

demo_app = Commands(help="What the demo shows, and what it is made of.")


@demo_app.command()
def study(
    profile: ProfileOption = "demo",
    data_root: DataRootOption = None,
    seeds: SeedsOption = 5,
    first_seed: FirstSeedOption = 1337,
    heads: HeadsOption = "all,last",
    publish: PublishOption = False,
    settings: SetOption = None,
) -> None:
    """Hold the paper's claims against several seeds of the demo: `layerfusion study`, as recorded.

    Every seed trains four detectors: constrained and open, each with all blocks and with the last
    block alone. Stopped, it goes on where it was when called again; finished, it is found again.
    """
    run_study(profile, data_root, seeds, first_seed, heads, publish, settings)


@demo_app.command()
def processors(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="All of them unless named.")
    ] = None,
    publish: PublishOption = False,
    here: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Train the demo as other processors would, and broken, to know how far its numbers move.

    Every variant trains both runs in a process of its own. Stopped, it goes on where it was when
    called again. The committed table is what chapters take their tolerances from.
    """
    from layerfusion.progress import Reporter
    from layerfusion.studies.processors import measure_here, obtain_processors

    if here is not None:
        (name,) = names or []
        return measure_here(name, here, Reporter())
    table = obtain_processors(names or [], Reporter())
    print(table.round(4).to_string(index=False))
    if publish:
        # These need what the book needs.
        from layerfusion.analysis.recorded import SPREAD
        from layerfusion.chapters.execution import write_checksums
        from layerfusion.paths import reference_folder

        folder = reference_folder("demo")
        table.to_csv(folder / SPREAD, index=False)
        write_checksums(folder)
    return None
