"""The command line's `layerfusion study`: detectors made, scored and compared, by question."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layerfusion.cli.options import (
    Commands,
    DataChoice,
    DetectorOption,
    ProfileOption,
    PublishOption,
)
from layerfusion.cli.outputs import output_option, print_lines
from layerfusion.errors import UserError
from layerfusion.files import write_checksums
from layerfusion.paths import reference_folder, runs_root, shown
from layerfusion.progress import Reporter

if TYPE_CHECKING:
    from layerfusion.data.manifest import Manifest
    from layerfusion.experiments.record import FinishedStudy

FEWEST_SEEDS = 5  # below that, the spread between seeds is hardly known

study_app = Commands(
    help="Make detectors over several seeds, score them, and compare: a question each.",
)

SeedsOption = Annotated[int, typer.Option(min=2, max=1000, help="Number of seeds.")]
CommandsOption = Annotated[
    bool,
    typer.Option("--commands", help="Print the commands that train the runs, and train nothing."),
]
SamplingSeedOption = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Sampling seed.")]


@dataclass(frozen=True, kw_only=True)
class StudyChoice(DataChoice):
    """Options of the studies of the catalogue, but for the number of seeds."""

    first_seed: Annotated[int, typer.Option(min=0, help="First seed; the others follow.")] = 1337
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="NAME,...", help="Variants to compare. [default: all]"),
    ] = None
    publish: PublishOption = False


@dataclass(frozen=True, kw_only=True)
class LabelledChoice(DataChoice):
    """Options of the studies of any labelled images."""

    images: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="Folder with real and synthetic below it. [default: the profile's validation "
            "images]",
        ),
    ] = None
    profile: ProfileOption = "photographs"
    publish: PublishOption = False

    def find(self, reporter: Reporter) -> tuple["Manifest", str, str]:
        """Return labelled images, a name for what is made of them, and the options that name them.

        Raises
        ------
        UserError
            If there are none, or too few.
        """
        if self.images is not None:
            from layerfusion.apps.release.own_images import find_own_images

            with reporter.bar("reading images", 0) as bar:
                return find_own_images(self.images, bar).manifest, "folder", "DIR"
        opened = self.open_run("open", reporter)
        name = opened.profile.name
        return opened.validation, name, f"-p {name} -d DIR"


# What the commands of trained and fitted variants say of themselves, by name.
DESCRIPTIONS = {
    "claims": "The paper's claims: both runs, with all blocks, the last alone and their mean.",
    "weights": "Learned weights, equal ones, one a feature, the last block alone.",
    "blocks": "Each block alone, and each left out.",
    "trained": "0, 1, 2 or 4 blocks trained.",
    "augmentations": "Each augmentation off in turn, and all of them.",
    "activation": "QuickGELU or GELU.",
    "data": "Constrained compared with open at equal size, and with all of open.",
    "curve": "Fewer training images.",
    "layers": "The paper's fusion, published detectors and other fusions of the same features.",
}


def _command(name: str, usual: int) -> Callable[..., None]:
    """Return the command of a study of the catalogue."""

    def command(
        options: StudyChoice, seeds: SeedsOption = usual, commands: CommandsOption = False
    ) -> None:
        _run(name, options, seeds, commands)

    command.__doc__ = f"""{DESCRIPTIONS[name]}

    Differences are paired by seed and image. Interrupted, the study resumes when called again;
    finished, it is found again. What another study has made is used. With `--commands` trainings
    can be spread over machines that share the runs folder; the command itself then finds them.

    What is published holds no image: the record, the effects, and every prediction.

    Example: `layerfusion study {name} -p photographs -d DIR --seeds 3`
    """
    return command


for _name in DESCRIPTIONS:
    study_app.command(_name)(_command(_name, 5 if _name == "claims" else 3))


def _run(name: str, options: StudyChoice, seeds: int, commands: bool) -> None:
    from layerfusion.experiments.commands import shared_options
    from layerfusion.experiments.study import Study
    from layerfusion.pages.figures.effects import cells_table, claims_text, variants_table

    reporter, overrides = Reporter(), options.overrides
    if seeds < FEWEST_SEEDS and not commands:
        reporter.say(
            f"note: {seeds} seeds say little about other seeds; use {FEWEST_SEEDS} or more"
        )
    planned = Study.open(
        name,
        profile=options.profile,
        first_seed=options.first_seed,
        seeds=seeds,
        only=None if options.only is None else [word.strip() for word in options.only.split(",")],
        data_root=options.data_root,
        overrides=overrides,
        reporter=reporter,
    )
    if commands:
        shared = shared_options(options.profile, options.data_root, overrides)
        print("\n".join(planned.training_commands(shared)))
        return
    finished = planned.obtain(reporter=reporter)
    if name == "claims":
        print(claims_text(finished))
    else:
        print(cells_table(variants_table(finished)).to_string())
    _end(finished, options.publish)


@study_app.command()
def corruptions(
    options: LabelledChoice,
    number: Annotated[int, typer.Option("--images", min=2, help="Images per class.")] = 100,
    seed: SamplingSeedOption = 1337,
    detector: DetectorOption = None,
) -> None:
    """Score labelled images under compression, scaling, blur, noise and platforms' chains.

    The detector is not trained for it, and its threshold stays. Each image is decoded once and
    scored under all conditions. Interrupted, the study resumes when called again.

    Example: `layerfusion study corruptions mine --images 50`

    Example: `layerfusion study corruptions -p photographs -d DIR`
    """
    from layerfusion.analysis.corruptions import corruption_table
    from layerfusion.experiments.corruptions import corruption_study
    from layerfusion.model.detector import Detector
    from layerfusion.pages.figures.corruptions import shown as shown_table
    from layerfusion.scoring.detectors import detector_folder
    from layerfusion.scoring.files import threshold_of

    reporter = Reporter()
    labelled, name, where = options.find(reporter)
    loaded = Detector.load(detector_folder(detector))
    threshold_of(loaded)  # before anything is scored
    asked = "".join(
        f" --{option} {value}"
        for option, value, usual in (("images", number, 100), ("seed", seed, 1337))
        if value != usual
    )
    asked += " --detector DIR" if detector is not None else ""
    study = corruption_study(
        loaded,
        labelled,
        per_class=number,
        seed=seed,
        profile=name,
        command=f"layerfusion study corruptions {where}{asked}",
    )
    finished = study.obtain(reporter)
    table = corruption_table({on: own["detector"] for on, own in finished.scored.items()})
    print_lines(shown_table(table).set_axis(table.index).to_string())
    _end(finished, options.publish)


@study_app.command()
def detectors(
    options: DataChoice,
    named: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DETECTOR]...", help="Shipped ones by name, or folders."),
    ] = None,
    run: Annotated[
        str, typer.Option(help="Whose training images the baseline is fitted to.")
    ] = "open",
    publish: PublishOption = False,
) -> None:
    """Score a profile's validation and test images with finished detectors, and compare them.

    The first is compared with the others and with what size, bytes and format of the files give.
    Each keeps its threshold. Test images without labels are scored too: `layerfusion seal` the
    study before you read these labels, and `layerfusion unseal` it with them.

    Example: `layerfusion study detectors -p photographs -d DIR photographs photographs-2026-11`
    """
    from layerfusion.experiments.detectors import detector_study
    from layerfusion.model.detector import Detector
    from layerfusion.model.prefix_cache import open_prefix_cache
    from layerfusion.pages.figures.answers import detectors_table
    from layerfusion.pages.figures.effects import claims_text
    from layerfusion.scoring.detectors import detector_folder
    from layerfusion.settings import LoaderSettings

    reporter, folders = Reporter(), named or ["photographs"]
    names = [_called(one) for one in folders]
    if len(set(names)) < len(names):
        raise UserError(
            f"two detectors are called {max(names, key=names.count)}; rename the folder of one"
        )
    found = map(Detector.load, map(detector_folder, folders))
    loaded = dict(zip(names, found, strict=True))
    for one in loaded.values():  # of one encoder mostly: each image passes it once
        one.prefix_cache = open_prefix_cache(LoaderSettings(prefix_cache=True), reporter.say)
    words = " ".join(names)
    study = detector_study(
        loaded,
        options.open_run(run, reporter),
        command=f"layerfusion study detectors -p {Path(options.profile).name} -d DIR --run {run} "
        + words,
    )
    finished = study.obtain(reporter)
    print_lines(detectors_table(finished).to_string())
    print_lines(claims_text(finished))
    _end(finished, publish)


@study_app.command()
def content(
    options: LabelledChoice,
    groups: Annotated[int, typer.Option(min=2, max=64, help="Number of groups.")] = 8,
    seed: SamplingSeedOption = 0,
    names: Annotated[
        str | None,
        typer.Option(metavar="NAME;...", help="Of the groups, after a look at the sheet."),
    ] = None,
) -> None:
    """Group labelled images by what the frozen encoder sees in them, and draw a sheet of them.

    Groups know neither labels nor scores. Look at the sheet, name its rows, and give the command
    again with the names. What is published holds no image: groups, names, and the quality that each
    JPEG was written with.

    Example: `layerfusion study content mine --groups 8`

    Example: `layerfusion study content -p photographs -d DIR`
    """
    from layerfusion.experiments.baselines.features import FrozenEncoder
    from layerfusion.experiments.content import group_content, write_content
    from layerfusion.pages.figures.sheets import content_sheet
    from layerfusion.settings import load_profile

    reporter = Reporter()
    labelled, place, where = options.find(reporter)
    chosen = load_profile(options.profile, options.overrides)
    embedding = FrozenEncoder(chosen, reporter).evaluation_features(labelled).embedding
    asked = "".join(f" --set {one}" for one in options.settings or [])
    asked += f" --groups {groups} --seed {seed}" + (f' --names "{names}"' if names else "")
    finished = group_content(
        labelled,
        embedding,
        groups=groups,
        seed=seed,
        names=names.split(";") if names else None,
        profile=place,
        command=f"layerfusion study content {where}{asked}",
        encoder=chosen.encoder.model,
    )
    table = finished.images
    sheet = runs_root() / place / "content.jpg"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    words = dict(enumerate(finished.record.names, start=1))
    content_sheet(labelled.root, table, words).savefig(sheet, bbox_inches="tight")
    label = labelled.rows["label"].map({0: "real", 1: "synthetic"}).to_numpy()
    counts = table.assign(group=table["group"].map(words), label=label)
    print_lines(counts.value_counts(["group", "label"]).unstack(fill_value=0).to_string())
    print(f"sheet: {shown(sheet)}")
    if options.publish:
        publish_files(place, lambda folder: write_content(finished, folder))


@study_app.command()
def processors(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="All of them unless named.")
    ] = None,
    publish: PublishOption = False,
    here: Annotated[
        Path | None, output_option("Where a process of its own writes.", hidden=True)
    ] = None,
) -> None:
    """Train the demo as other processors would, and broken, to know how far its numbers move.

    Every variant trains both runs in a process of its own. Interrupted, the study resumes when
    called again. The committed table is what chapters take their tolerances from.
    """
    from layerfusion.experiments.processors import (
        measure_here,
        measure_processors,
        write_processors,
    )

    if here is not None:
        (name,) = names or []
        return measure_here(name, here, Reporter())
    table = measure_processors(names or [], Reporter())
    print(table.round(4).to_string(index=False))
    if publish:
        publish_files("demo", lambda folder: [write_processors(table, folder)])
    return None


def _called(detector: str) -> str:
    """Return what a study calls a detector: by its folder, or the run's where it lies in one's."""
    folder = Path(detector)
    return folder.absolute().parent.name if folder.name == "detector" else folder.name


def publish_files(profile: str, publish: Callable[[Path], list[Path]]) -> None:
    """Write files into the profile's folder in runs/reference, name them, renew the checksums."""
    folder = reference_folder(profile)
    folder.mkdir(parents=True, exist_ok=True)
    for path in publish(folder):
        print(f"published: {shown(path)}")
    write_checksums(folder)


def _end(finished: "FinishedStudy", publish: bool) -> None:
    """Say where a study lies and what it cost, and publish it if that is asked for."""
    from layerfusion.experiments.record import publish as publish_study

    minutes = finished.record.seconds["total"] / 60
    print(f"study: {shown(finished.directory)}/study.json, {minutes:.0f} minutes of work")
    if publish:
        publish_files(finished.record.profile, lambda folder: publish_study(finished, folder))
