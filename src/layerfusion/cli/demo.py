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
from layerfusion.cli.outputs import output_option
from layerfusion.cli.study import (
    FirstSeedOption,
    HeadsOption,
    SeedsOption,
    run_study,
)
from layerfusion.errors import UserError

demo_app = Commands(no_args_is_help=True, help="What the demo shows, and what it is made of.")


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


@demo_app.command()
def train_encoder(
    steps: Annotated[int | None, typer.Option(min=2, help="For a trial, with --out.")] = None,
    out: Annotated[
        Path | None, output_option("File to write. [default: the package's own]")
    ] = None,
) -> None:
    """Train clip-nano on scenes and captions: under an hour on 2 cores.

    Stopped, it goes on where it was when called again. Then its zero-shot accuracy is measured.
    """
    import torch

    from layerfusion.demo.clip_evaluation import evaluate_clip, load_clip
    from layerfusion.demo.clip_training import MODEL, ClipTraining, save_clip, train_clip
    from layerfusion.model.weights import embedded_weights
    from layerfusion.paths import runs_root, shown
    from layerfusion.progress import Reporter

    if steps is not None and out is None:
        raise UserError("a trial would replace the package's own weights; name another with --out")
    settings = ClipTraining() if steps is None else ClipTraining().shortened(steps)
    path = out or embedded_weights(MODEL)
    model = train_clip(
        settings,
        checkpoint=runs_root() / "demo" / "clip-nano.checkpoint",
        device="cuda" if torch.cuda.is_available() else "cpu",
        reporter=Reporter(),
    )
    save_clip(model, path)
    print(evaluate_clip(load_clip(path)).round(4).to_string(index=False))
    print(f"encoder: {shown(path)}")


@demo_app.command()
def train_generator(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="All of them unless named.")
    ] = None,
) -> None:
    """Train the generators of the demo's synthetic pictures anew: minutes each."""
    from layerfusion.demo.generator_training import train_and_save
    from layerfusion.demo.generators import GENERATORS, design_of
    from layerfusion.paths import shown
    from layerfusion.progress import Reporter

    chosen = names or list(GENERATORS)
    for name in chosen:
        design_of(name)  # a wrong name is an error before any other has trained for minutes
    for name in chosen:
        print(f"generator: {shown(train_and_save(name, reporter=Reporter()))}")
