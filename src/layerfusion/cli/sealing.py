"""The command line's `layerfusion seal` and `layerfusion unseal`."""

from pathlib import Path
from typing import Annotated

import typer

from layerfusion.cli.outputs import print_lines
from layerfusion.paths import shown

FolderArgument = Annotated[
    Path, typer.Argument(help="A study's folder, or one with CSV files of `layerfusion score`.")
]


def seal(
    folder: FolderArgument,
    plan: Annotated[
        Path, typer.Option(help="Text: what will be judged, by which rules, on which images.")
    ],
) -> None:
    """Write the hashes of predictions, detectors' thresholds and a plan, before labels are read.

    Commit or publish `seal.json`: it shows that nothing was chosen on the labels that
    `layerfusion unseal` lets in later.

    Example: `mkdir sealed`, `layerfusion score test --out sealed/scores.csv`, then
    `layerfusion seal sealed --plan plan.md`
    """
    from layerfusion.experiments import sealing

    made = sealing.seal(folder, plan)
    print(f"sealed {len(made.files)} files at {made.at}: {shown(folder / sealing.SEAL)}")


def unseal(
    folder: FolderArgument,
    labels: Annotated[
        Path,
        typer.Option(help="CSV: image_id,label and, if known, source. Others stay unlabelled."),
    ],
) -> None:
    """Check that nothing has changed since `layerfusion seal`, let labels in, and judge.

    Every opening is recorded in `seal.json`; the first is the one that counts.

    Example: `layerfusion unseal sealed --labels labels.csv`
    """
    from layerfusion.experiments import sealing
    from layerfusion.experiments.record import RECORD, read_study
    from layerfusion.pages.figures.answers import detectors_table
    from layerfusion.pages.figures.effects import claims_text, metrics_table

    opened = sealing.unseal(folder, labels)
    print(f"opening {len(opened.openings)}, {opened.openings[-1].images} labels let in")
    if (folder / RECORD).is_file():
        study = read_study(folder)
        print_lines(claims_text(study))
        if study.record.name == "detectors":
            print_lines(detectors_table(study).to_string())
        else:
            print_lines(metrics_table(study).to_string(index=False, float_format="{:.4f}".format))
    else:
        table = sealing.opened_scores(folder)
        print_lines(table.to_string(float_format="{:.4f}".format))
