"""The command line's `layerfusion submit` and `layerfusion submission`."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layerfusion.cli.detector import say_unscored
from layerfusion.cli.options import Commands, RunChoice
from layerfusion.cli.outputs import check_output, output_option, print_lines, print_values
from layerfusion.errors import UserError
from layerfusion.files import file_sha256
from layerfusion.progress import Reporter

if TYPE_CHECKING:
    from layerfusion.model.detector import Detector
    from layerfusion.settings import LoaderSettings

submission_app = Commands(help="The files that the task wants.")

ImagesOption = Annotated[
    Path, typer.Option("--images", help="Folder of the test images, all of them.")
]


def submit(
    choice: RunChoice,
    images: ImagesOption,
    team: Annotated[str, typer.Option(help="The team's name: letters, digits, - and _.")],
    out: Annotated[
        Path, output_option("Folder to write TEAM_RUN.csv to.", kind="folder", metavar="FOLDER")
    ],
    detector: Annotated[
        Path | None,
        typer.Option(help="Folder 'detector' of a run, instead of the settings that lead to it."),
    ] = None,
    unreadable_as: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Probability of images that cannot be read."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Score the task's test images with a finished run and write the file to submit.

    The run is found by its settings, as `layerfusion train` finds it again; nothing is trained. The
    file has a row for every image of the folder: `image_id,prob,label,threshold`. It is held
    against the task's rules, and against the other run's file if that lies beside it.

    Example: `layerfusion submit --run open --profile folder --data-root photos --images
    photos/test --team ours --out .`
    """
    from layerfusion.apps.task.check import (
        find_test_images,
        score_test_images,
        submission_table,
        with_every_image,
    )
    from layerfusion.model.prefix_cache import open_prefix_cache
    from layerfusion.scoring.detectors import detector_folder
    from layerfusion.scoring.files import write_scores

    if detector and choice != RunChoice(run=choice.run):
        raise UserError("--detector names a detector and settings lead to one: give one of them")
    path, reporter = _place(out, team, choice.run, force), Reporter()
    if detector is not None:
        detector_folder(detector)
    found, passed_over = find_test_images(images)
    loaded, precision, loader = (
        _given(choice.run, detector) if detector is not None else _finished(choice, reporter)
    )
    if loaded.notice:
        reporter.warn(f"{loaded.notice}; do not submit them")
    loaded.prefix_cache = open_prefix_cache(loader, reporter.say)
    with reporter.bar("scoring", len(found)) as bar:
        scored = score_test_images(loaded, found, precision=precision, loader=loader, progress=bar)
    table = submission_table(with_every_image(scored, unreadable_as), scored["threshold"].iloc[0])
    say_unscored(scored, reporter, f"; its prob is {unreadable_as}")
    if passed_over:
        reporter.say(f"note: {passed_over} other files in {images} passed over")
    write_scores(table, path)
    print_values(
        {
            "file": path,
            "images": f"{len(table):,}",
            "synthetic": f"{table['label'].sum():,} (label 1)",
            "threshold": float(table["threshold"].iloc[0]),
            "sha256": file_sha256(path),
        }
    )
    _check(path, found, None)


@submission_app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The file to submit.")],
    images: ImagesOption,
    against: Annotated[
        Path | None,
        typer.Option(help="The other run's file. [default: the team's, if it lies beside FILE]"),
    ] = None,
) -> None:
    """Hold a file, whoever made it, against the task's rules; all mistakes at once.

    Exit status 0 if there is none, 1 if there are some, 2 if it cannot be checked.

    Example: `layerfusion submission check ours_open.csv --images test`
    """
    from layerfusion.apps.task.check import find_test_images

    found, _ = find_test_images(images)
    _check(file, found, against)


def _place(out: Path, team: str, run: str, force: bool) -> Path:
    """Return where the file will lie, before anything is scored for it."""
    from layerfusion.apps.task.check import submission_name

    path = out / submission_name(team, run)
    check_output(path, "--out")
    if path.exists() and not force:
        raise UserError(f"{path} is there already; replace it with --force or name another --out")
    return path


def _finished(choice: RunChoice, reporter: Reporter) -> tuple["Detector", str, "LoaderSettings"]:
    """Return the detector of the finished run of these settings, its precision and its loader."""
    experiment = choice.open(reporter)
    finished, chosen = choice.finished(experiment), experiment.profile
    return finished.detector(), chosen.training.precision, chosen.loader


def _given(run: str, folder: Path) -> tuple["Detector", str, "LoaderSettings"]:
    """Return the detector of a folder, with precision and loader of its run.

    Elsewhere than in its run's folder nothing tells these, and it scores as `layerfusion score`.
    """
    from layerfusion.apps.task.check import record_beside
    from layerfusion.model.detector import Detector
    from layerfusion.settings import LoaderSettings

    record = record_beside(folder)
    if record is None:
        return Detector.load(folder), "fp32", LoaderSettings()
    if record.run != run:
        raise UserError(
            f"the detector in {folder} is of the run '{record.run}'; give --run {record.run}"
        )
    loader = LoaderSettings.model_validate(record.settings["loader"])
    return Detector.load(folder), record.settings["training"]["precision"], loader


def _check(path: Path, image_ids: Collection[str], against: Path | None) -> None:
    """Print what is wrong with a file, or that nothing is; leave with status 1 if something is."""
    from layerfusion.apps.task.check import check_submission, other_run
    from layerfusion.paper import numbers as paper

    other = against or other_run(path)
    problems = check_submission(path, image_ids, other)
    for problem in problems:
        print_lines(f"problem   {problem}")
    if problems:
        raise typer.Exit(1)
    compared = f"; its probabilities are not those of {other.name}" if other else ""
    print(f"checked   no mistake: one row for each of {len(image_ids):,} test images{compared}")
    official = sum(paper.IMAGES["official"])
    if len(image_ids) != official:
        print(f"note      the task's test set has {official:,} images; is this folder all of it?")
