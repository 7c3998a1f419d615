"""The command line's `layerfusion content`: what validation images show, in groups."""

from typing import Annotated

import typer

from layerfusion.cli.options import (
    DataRootOption,
    ProfileOption,
    PublishOption,
    SetOption,
    replaced,
)
from layerfusion.cli.study import publish_files


def content(
    profile: ProfileOption = "photographs",
    data_root: DataRootOption = None,
    groups: Annotated[int, typer.Option(min=2, max=64, help="How many.")] = 8,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the grouping.")] = 0,
    names: Annotated[
        str | None,
        typer.Option(metavar="NAME;...", help="Of the groups, after a look at the sheet."),
    ] = None,
    publish: PublishOption = False,
    settings: SetOption = None,
) -> None:
    """Group validation images by what the frozen encoder sees in them, and draw a sheet of them.

    Groups know neither labels nor scores. Look at the sheet, name its rows, and give the command
    again with the names. What is published holds no image: groups, names, and the quality that each
    JPEG was written with.

    Example: `layerfusion content -p photographs -d DIR --groups 8`
    """
    from layerfusion.figures.galleries import content_sheet
    from layerfusion.paths import runs_root, shown
    from layerfusion.progress import Reporter
    from layerfusion.rivals.features import FrozenEncoder
    from layerfusion.runs.experiment import Experiment
    from layerfusion.studies.content import finished_content, look_at_content
    from layerfusion.studies.content import publish as publish_content

    reporter = Reporter()
    opened = Experiment.open(
        "open",
        profile=profile,
        data_root=data_root,
        overrides=replaced(settings),
        reporter=reporter,
    )
    encoder = FrozenEncoder(opened.profile, reporter)
    embedding = encoder.evaluation_features(opened.validation).embedding
    table = look_at_content(opened.validation, embedding, groups=groups, seed=seed)
    asked = "".join(f" --set {one}" for one in settings or [])
    asked += f" --groups {groups} --seed {seed}" + (f' --names "{names}"' if names else "")
    finished = finished_content(
        table,
        profile=opened.profile.name,
        command=f"layerfusion content -p {opened.profile.name} -d DIR{asked}",
        encoder=opened.profile.encoder.model,
        names=names.split(";") if names else None,
        seed=seed,
    )
    sheet = runs_root() / opened.profile.name / "content.jpg"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    words = dict(enumerate(finished.record.names, start=1))
    content_sheet(opened.validation.root, table, words).savefig(sheet, bbox_inches="tight")
    counts = table.assign(group=table["group"].map(words)).value_counts(["group", "label"])
    print(counts.unstack(fill_value=0).rename(columns={0: "real", 1: "synthetic"}).to_string())
    print(f"sheet: {shown(sheet)}")
    if publish:
        publish_files(opened.profile.name, lambda folder: publish_content(finished, folder))
