"""The command line's `layerfusion export`."""

from pathlib import Path
from typing import Annotated

import typer

from layerfusion.cli.finding import Choice
from layerfusion.cli.options import (
    DataRootOption,
    ProfileOption,
    RunName,
    SeedOption,
    SetOption,
)
from layerfusion.errors import UserError


def export(
    run: Annotated[RunName, typer.Option(help="Which of the paper's runs.")],
    out: Annotated[Path, typer.Option(help="Folder to make; it must not be there yet.")],
    profile: ProfileOption = "demo",
    data_root: DataRootOption = None,
    seed: SeedOption = 1337,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also keep its scores of the validation images: Parquet."
        ),
    ] = None,
    settings: SetOption = None,
) -> None:
    """Make a small detector to ship of a finished run whose encoder was frozen.

    The run is found by its settings, as `layerfusion train` finds it again; nothing is trained. The
    folder holds the head, rounded to 16 bits, its description, and a model card. The validation
    images are scored again with the rounded head, as they are, as JPEG and laundered, and its
    threshold is chosen again.

    Example: `layerfusion export -p photographs -d photos --run open --out photographs_detector`
    """
    from layerfusion.progress import Reporter
    from layerfusion.release.export import check_shippable
    from layerfusion.release.export import export as export_run
    from layerfusion.release.facts import roc_auc
    from layerfusion.release.folders import check_place
    from layerfusion.scoring.predictions import write_predictions

    check_place(out)
    if predictions is not None and not predictions.absolute().parent.is_dir():
        raise UserError(f"the folder of --predictions {predictions} does not exist; make it first")
    reporter, choice = Reporter(), Choice(run.value, profile, data_root, seed, settings)
    experiment = choice.open(reporter)
    check_shippable(experiment.profile)
    finished = choice.finished(experiment)
    command = choice.command("export", "--out", "FOLDER")
    shipped = export_run(experiment, finished, out, command=command, reporter=reporter)
    facts, former = shipped.facts, finished.record.threshold
    if predictions is not None:
        write_predictions(shipped.predictions(), predictions)
    print(f"{'AUC':<10}{roc_auc(facts.local).estimate:.4f}")
    print(f"{'threshold':<10}{facts.threshold:.4g} (the run's: {former:.4g})")
    print(f"{'bytes':<10}{facts.head_bytes:,}")
    print(f"{'detector':<10}{out}")
