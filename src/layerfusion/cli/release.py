"""The command line's `layerfusion export`."""

from pathlib import Path
from typing import Annotated

from layerfusion.cli.options import NewFolderOption, RunChoice
from layerfusion.cli.outputs import output_option, print_values
from layerfusion.files import named_by_user
from layerfusion.progress import Reporter


def export(
    choice: RunChoice,
    out: NewFolderOption,
    predictions: Annotated[
        Path | None,
        output_option("Parquet file to write the scores of the validation images to."),
    ] = None,
) -> None:
    """Make a small detector to ship of a finished run whose encoder was frozen.

    The run is found by its settings, as `layerfusion train` finds it again; nothing is trained. The
    folder holds the head, rounded to 16 bits, its description, and a model card. The validation
    images are scored again with the rounded head, as they are, as JPEG and laundered, and its
    threshold is chosen again.

    Example: `layerfusion export -p photographs -d photos --run open --out photographs_detector`
    """
    from layerfusion.apps.release.export import KEPT, check_shippable
    from layerfusion.apps.release.export import export as export_run

    reporter = Reporter()
    experiment = choice.open(reporter)
    check_shippable(experiment.profile)
    finished = choice.finished(experiment)
    command = choice.command("export", "--out", "FOLDER")
    facts = export_run(experiment, finished, out, command=command, reporter=reporter)
    if predictions is not None:
        with named_by_user(predictions, "the scores") as partial:
            facts.local[KEPT].to_parquet(partial, index=False)
    auc = facts.rates(facts.local)["roc_auc"]
    former = finished.record.threshold
    print_values(
        {
            "AUC": f"{auc.estimate:.4f}",
            "threshold": f"{facts.threshold:.4g} (the run's: {former:.4g})",
            "bytes": f"{facts.head_bytes:,}",
            "detector": out,
        }
    )
