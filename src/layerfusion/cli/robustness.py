"""The command line's `layerfusion robustness`: one detector under many conditions."""

from typing import Annotated

import typer

from layerfusion.cli.options import DataRootOption, ProfileOption, PublishOption
from layerfusion.cli.study import publish_files


def robustness(
    profile: ProfileOption = "photographs",
    data_root: DataRootOption = None,
    images: Annotated[int, typer.Option(min=2, help="Of each class.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="That draws them.")] = 1337,
    detector: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder of a detector. [default: the package's]"),
    ] = None,
    publish: PublishOption = False,
) -> None:
    """Score validation images under compression, scaling, blur, noise and platforms' chains.

    The detector is not trained for it, and its threshold stays. Each image is decoded once and
    scored under all conditions. Stopped, it goes on where it was when called again.

    Example: `layerfusion robustness -p photographs -d DIR --images 50`
    """
    from layerfusion.analysis.severity import severity_table
    from layerfusion.figures.severity import shown
    from layerfusion.parallel.processes import open_fabric
    from layerfusion.progress import Reporter
    from layerfusion.runs.experiment import Experiment
    from layerfusion.scoring.shipped import detector_folder
    from layerfusion.studies.severity import publish as publish_severity
    from layerfusion.studies.severity import severity_study

    folder, reporter = detector_folder(detector), Reporter()
    opened = Experiment.open("open", profile=profile, data_root=data_root, reporter=reporter)
    asked = "".join(
        f" --{name} {value}"
        for name, value, usual in (("images", images, 100), ("seed", seed, 1337))
        if value != usual
    )
    asked += " --detector DIR" if detector is not None else ""
    finished = severity_study(
        folder,
        opened.validation,
        profile=opened.profile.name,
        per_class=images,
        seed=seed,
        command=f"layerfusion robustness -p {opened.profile.name} -d DIR{asked}",
        device=open_fabric("fp32").device,
        reporter=reporter,
    )
    table = severity_table(finished.predictions, finished.record.threshold)
    print(shown(table, {name: name for name in table.index}).drop(columns="condition").to_string())
    if publish:
        publish_files(opened.profile.name, lambda place: publish_severity(finished, place))
