"""The command line: train, score, submit, run the chapters, build the book."""

import io
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import layerfusion
from layerfusion.cli.calibrate import calibrate
from layerfusion.cli.choosing import RunChoice
from layerfusion.cli.data import data_app
from layerfusion.cli.inspect import inspect
from layerfusion.cli.model import weights_app
from layerfusion.cli.options import (
    Commands,
    DetectorOption,
    PublishOption,
    QuietOption,
    SeedChoice,
    VerboseOption,
)
from layerfusion.cli.outputs import output_option
from layerfusion.cli.release import export
from layerfusion.cli.serve import serve
from layerfusion.cli.study import study_app
from layerfusion.cli.task import submission_app, submit
from layerfusion.errors import ReportedElsewhereError, UserError
from layerfusion.events import on_screen, one_line
from layerfusion.parallel.launcher import launched
from layerfusion.paths import with_home

if TYPE_CHECKING:
    import pandas as pd

    from layerfusion.progress import Reporter

app = Commands(
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Layer-wise CLIP feature fusion for synthetic-image detection (MediaEval 2026, Task A).",
)
chapters_app = Commands(help="Execute the book's chapters.")
app.add_typer(chapters_app, name="chapters")
app.add_typer(data_app, name="data")
app.add_typer(study_app, name="study")
app.add_typer(submission_app, name="submission")
app.add_typer(weights_app, name="weights")


# Commands that torchrun and srun may start as several processes.
SHARED_COMMANDS = ("train", "score")


def _show_version(asked: bool) -> None:
    if asked:
        print(f"layerfusion {layerfusion.__version__}")
        raise typer.Exit


@app.callback()
def _several_processes(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    launch = launched()
    if launch.size > 1 and context.invoked_subcommand not in SHARED_COMMANDS:
        raise UserError(
            f"{launch.by} started {launch.size} processes, which can share "
            f"{' and '.join(SHARED_COMMANDS)} only; run this command without it"
        )


@app.command()
def train(
    choice: RunChoice,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Retrain, even if a finished run exists.")
    ] = False,
) -> None:
    """Train a detector, choose its threshold and report it.

    A finished run of the same settings, data and recipe is loaded instead of trained again. Its
    record, predictions and detector are in one folder, whose path is printed at the end.

    SIGTERM stops training after the current step and saves it; `--resume` continues, on this
    machine or on one that the runs folder was copied to. Started by torchrun or srun, one process
    per GPU, all processes train one detector, with the same images in every batch.

    Example: `layerfusion train --profile folder --data-root photos --run open`

    Example: `torchrun --nproc-per-node 4 -m -- layerfusion train --profile paper -d DIR --run open`
    """
    from layerfusion.figures.tables import headline
    from layerfusion.parallel.processes import join_processes
    from layerfusion.progress import Reporter

    if resume and fresh:
        raise UserError("--resume continues a run and --fresh restarts it: give one of them")
    reporter = Reporter()
    experiment = choice.open(reporter)
    for warning in join_processes().only_first(experiment.warnings):
        reporter.say(f"note: {warning}")
    finished = experiment.obtain(fresh=fresh, resume=resume, reporter=reporter)
    if launched().rank > 0:
        return
    print(headline(finished))


@app.command()
def score(
    paths: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    detector: DetectorOption = None,
    out: Annotated[
        Path | None, output_option("CSV file to write. [default: standard output]")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Encoder weights, if not where training found them.")
    ] = None,
    prefix_cache: Annotated[
        bool, typer.Option("--prefix-cache", help="Cache frozen features for the next call.")
    ] = False,
) -> None:
    """Score images: CSV with image_id, logit, probability, predicted, threshold and error.

    *logit* is the detector's output and *probability* its sigmoid. It is not calibrated: compare it
    with *threshold*, never with 0.5. *predicted* is 1, synthetic, where probability >= threshold,
    else 0, real. A file that cannot be read is a row with its reason in *error*.

    The default detector is the package's own, of photographs: a head on CLIP ViT-B/16, whose
    weights `layerfusion weights get clip-vit-b-16-int8` downloads once. `--detector demo` is a toy
    that needs no weights: it was trained on rendered pictures alone, and its scores mean nothing
    for real photographs. Any other detector is given by its folder, such as `detector` of a
    finished run.

    With `--prefix-cache` the encoder's frozen features are cached in `~/.cache/layerfusion`
    (`LAYERFUSION_CACHE`), in 20 GB at most (`LAYERFUSION_CACHE_GB`), and the same images are
    scored again in a fraction of the time.
    """
    from layerfusion.scoring.inputs import check_paths, find_images

    check_paths(paths)  # before seconds go by in loading torch

    from layerfusion.model.detector import Detector
    from layerfusion.model.prefix_cache import open_prefix_cache
    from layerfusion.parallel.processes import join_processes, open_fabric
    from layerfusion.progress import Reporter
    from layerfusion.scoring.files import score_images, write_scores
    from layerfusion.scoring.shipped import detector_folder
    from layerfusion.settings import LoaderSettings

    reporter, folder = Reporter(), detector_folder(detector, weights=weights)
    images, passed_over = find_images(paths)
    loaded = Detector.load(folder, weights=weights)
    if loaded.notice:
        reporter.warn(loaded.notice)
    loader = LoaderSettings(prefix_cache=prefix_cache)
    loaded.prefix_cache = open_prefix_cache(loader, reporter.say)
    device = open_fabric("fp32").device
    with reporter.bar("scoring", len(images)) as bar:
        table = score_images(
            loaded,
            images,
            loader=loader,
            device=device,
            progress=bar,
            processes=join_processes(),
        )
    if launched().rank > 0:
        return
    if out is None:
        table.to_csv(sys.stdout, index=False)
    else:
        write_scores(table, out)
    _report_scored(table, passed_over, out, reporter)


def _report_scored(
    table: "pd.DataFrame", passed_over: int, out: Path | None, reporter: "Reporter"
) -> None:
    for image_id, reason in table.loc[table["error"].notna(), ["image_id", "error"]].values:
        reporter.say(f"not scored: {image_id}: {reason}")
    scored = int(table["error"].isna().sum())
    also = f"; {passed_over} other files passed over" if passed_over else ""
    reporter.say(f"{scored} of {len(table)} images scored{also}" + (f"; {out}" if out else ""))


for command in (inspect, calibrate, serve, submit, export):
    app.command()(command)


@chapters_app.command("run")
def chapters_run(
    choice: SeedChoice,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Chapter, as 03 or 03_open_run.")
    ] = None,
    publish: PublishOption = False,
    again: Annotated[bool, typer.Option("--again", help="Execute unchanged chapters too.")] = False,
) -> None:
    """Execute chapters with papermill, all of them unless named.

    The executed notebooks go to `runs/<profile>/chapters`. A chapter that fails replaces nothing;
    one with the script, parameters, images and code of its last execution is skipped.
    """
    from layerfusion.chapters.execution import run_chapters
    from layerfusion.paths import shown

    executed = run_chapters(
        names or [],
        profile=choice.profile,
        parameters=_chapter_parameters(choice),
        publish=publish,
        again=again,
    )
    for path in executed.notebooks:
        print(shown(path))
    executed.check()


@app.command()
def book(choice: SeedChoice) -> None:
    """Execute all chapters on a profile and build the book from them.

    If a chapter fails, the book shows its last good execution and the command ends with the error.
    """
    from layerfusion.chapters.execution import build_book, run_chapters
    from layerfusion.paths import shown

    parameters = _chapter_parameters(choice)
    executed = run_chapters([], profile=choice.profile, parameters=parameters)
    print(f"open {shown(build_book(choice.profile, executed))}")
    executed.check()


def _chapter_parameters(choice: SeedChoice) -> dict[str, Any]:
    """Return the parameters that differ from the chapters' defaults."""
    given: dict[str, Any] = {}
    if choice.data_root is not None:
        given["data_root"] = str(choice.data_root.resolve())
    if choice.seed != 1337:
        given["seed"] = choice.seed
    if choice.settings:
        given["settings"] = choice.overrides
    return given


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit status 2.

    Of several processes one prints it, and all of them end.
    """
    sys.argv[1:] = [with_home(word) for word in sys.argv[1:]]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may not fit the encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        with on_screen(), _together():
            app()
    except UserError as error:
        if not isinstance(error, ReportedElsewhereError):
            from rich.console import Console  # slow to import

            console = Console(stderr=True, highlight=False)
            console.print(one_line(f"error: {error}"), markup=False, soft_wrap=True)
        sys.exit(error.status)


def _together() -> AbstractContextManager[None]:
    if launched().size == 1:
        return nullcontext()
    from layerfusion.parallel.processes import join_processes

    return join_processes().together()
