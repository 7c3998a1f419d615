"""The command line: train, score, submit, run the chapters, build the book."""

import io
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import layerfusion
from layerfusion.cli.ablation import ablation
from layerfusion.cli.calibrate import calibrate
from layerfusion.cli.content import content
from layerfusion.cli.data import data_app
from layerfusion.cli.demo import demo_app
from layerfusion.cli.inspect import inspect
from layerfusion.cli.model import weights_app
from layerfusion.cli.options import (
    Commands,
    DataRootOption,
    ProfileOption,
    QuietOption,
    RunName,
    SeedOption,
    SetOption,
    VerboseOption,
    replaced,
)
from layerfusion.cli.outputs import check_output
from layerfusion.cli.release import export
from layerfusion.cli.rivals import rivals
from layerfusion.cli.robustness import robustness
from layerfusion.cli.serve import serve
from layerfusion.cli.study import study
from layerfusion.cli.task import submission_app, submit
from layerfusion.errors import SaidElsewhereError, UserError
from layerfusion.events import on_screen, one_line
from layerfusion.parallel.launcher import launched
from layerfusion.paths import with_home

if TYPE_CHECKING:
    import pandas as pd

    from layerfusion.progress import Reporter

app = Commands(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Layer-wise CLIP feature fusion for synthetic-image detection (MediaEval 2026, Task A).",
)
chapters_app = Commands(no_args_is_help=True, help="Execute the book's chapters.")
app.add_typer(chapters_app, name="chapters")
app.add_typer(data_app, name="data")
app.add_typer(demo_app, name="demo")
app.add_typer(submission_app, name="submission")
app.add_typer(weights_app, name="weights")


# What several processes, as torchrun and srun start them, do together.
SHARED_COMMANDS = ("train", "score")


def _say_version(asked: bool) -> None:
    if asked:
        print(f"layerfusion {layerfusion.__version__}")
        raise typer.Exit


@app.callback()
def _several_processes(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say it and exit."),
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
    run: Annotated[RunName, typer.Option(help="Which of the paper's runs.")],
    profile: ProfileOption = "demo",
    data_root: DataRootOption = None,
    seed: SeedOption = 1337,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train anew, whatever is there.")] = False,
    settings: SetOption = None,
) -> None:
    """Train a detector, choose its threshold and report it.

    A finished run of the same settings, data and code is found again, not trained twice. What a
    run leaves behind (record, predictions, detector) lies in one folder, named at the end.

    SIGTERM stops it after the step under way, saved; `--resume` goes on, on this machine or on one
    that the runs folder was copied to. Started by torchrun or srun, one process a GPU, it is one
    training, with the same images in every batch.

    Example: `layerfusion train --profile folder --data-root photos --run open`

    Example: `torchrun --nproc-per-node 4 -m -- layerfusion train --profile paper -d DIR --run open`
    """
    from layerfusion.figures.tables import headline
    from layerfusion.parallel.processes import join_processes
    from layerfusion.paths import shown
    from layerfusion.progress import Reporter
    from layerfusion.runs.experiment import Experiment

    if resume and fresh:
        raise UserError("--resume goes on with a run and --fresh begins anew: give one of them")
    reporter = Reporter()
    experiment = Experiment.open(
        run.value,
        profile=profile,
        seed=seed,
        data_root=data_root,
        overrides=replaced(settings),
        reporter=reporter,
    )
    for warning in join_processes().only_first(experiment.warnings):
        reporter.say(f"note: {warning}")
    finished = experiment.obtain(fresh=fresh, resume=resume, reporter=reporter)
    if launched().rank > 0:
        return
    for name, value in headline(finished.record).items():
        print(f"{name:<10}{value:.4f}" if value >= 1e-3 else f"{name:<10}{value:.4g}")
    print(f"{'record':<10}{shown(finished.directory)}/record.json")


@app.command()
def score(
    paths: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|demo",
            help="Folder of a detector, or the toy. [default: the package's, of photographs]",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV to write. [default: the screen]")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Encoder weights, if they lie elsewhere than in training.")
    ] = None,
    prefix_cache: Annotated[
        bool,
        typer.Option("--prefix-cache", help="Keep what the frozen blocks give, for the next time."),
    ] = False,
) -> None:
    """Score images: CSV with image_id, prob, label, threshold and error.

    *prob* is the detector's synthetic-image probability. It is not calibrated: read it against
    *threshold*, never against 0.5. *label* is 1 where prob >= threshold. A file that cannot be
    read is a row with its reason in *error*.

    Without `--detector` the package's detector of photographs is used, a head on CLIP ViT-B/16,
    whose weights `layerfusion weights get clip-vit-b-16-int8` puts on this machine once.
    `--detector demo` is a toy that needs no weights: it has only ever seen pictures made by a
    program, and its scores mean nothing for real photographs. Any other detector is named by its
    folder, such as `detector` of a finished run.

    With `--prefix-cache` images that were scored once are scored again in a fraction of the time:
    what the encoder's frozen blocks give for them lies below `~/.cache/layerfusion`
    (`LAYERFUSION_CACHE`), in 20 GB at most (`LAYERFUSION_CACHE_GB`).
    """
    from layerfusion.scoring.inputs import check_paths, find_images

    # What a person mistypes is said before seconds go by in loading what computes.
    check_output(out, "--out")
    check_paths(paths)

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
    _say_what_was_scored(table, passed_over, out, reporter)


def _say_what_was_scored(
    table: "pd.DataFrame", passed_over: int, out: Path | None, reporter: "Reporter"
) -> None:
    for image_id, reason in table.loc[table["error"].notna(), ["image_id", "error"]].values:
        reporter.say(f"not scored: {image_id}: {reason}")
    scored = int(table["error"].isna().sum())
    also = f"; {passed_over} other files passed over" if passed_over else ""
    reporter.say(f"{scored} of {len(table)} images scored{also}" + (f"; {out}" if out else ""))


app.command()(inspect)
app.command()(calibrate)
app.command()(serve)
app.command()(submit)
app.command()(export)
app.command()(study)
app.command()(ablation)
app.command()(rivals)
app.command()(content)
app.command()(robustness)


@chapters_app.command("run")
def chapters_run(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="As 03 or 03_open_run.")
    ] = None,
    profile: ProfileOption = "demo",
    data_root: DataRootOption = None,
    seed: SeedOption = 1337,
    publish: Annotated[
        bool, typer.Option("--publish", help="Also replace the committed ones in runs/reference.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Execute also what has not changed.")
    ] = False,
    settings: SetOption = None,
) -> None:
    """Execute chapters through papermill, all of them unless named.

    The executed notebooks go to `runs/<profile>/chapters`. One that fails replaces nothing; one
    whose script, parameters, images and code are those of its last execution is not repeated.
    """
    from layerfusion.chapters.execution import run_chapters
    from layerfusion.paths import shown

    parameters = _chapter_parameters(data_root, seed, settings)
    executed = run_chapters(
        names or [], profile=profile, parameters=parameters, publish=publish, again=again
    )
    for path in executed.notebooks:
        print(shown(path))
    executed.check()


@app.command()
def book(
    profile: ProfileOption = "demo",
    data_root: DataRootOption = None,
    seed: SeedOption = 1337,
    settings: SetOption = None,
) -> None:
    """Execute all chapters on a profile and build the book from them.

    Of a chapter that fails the book shows the last good execution; the command then ends with its
    error.
    """
    from layerfusion.chapters.execution import build_book, run_chapters
    from layerfusion.paths import shown

    parameters = _chapter_parameters(data_root, seed, settings)
    executed = run_chapters([], profile=profile, parameters=parameters)
    print(f"open {shown(build_book(profile, executed))}")
    executed.check()


def _chapter_parameters(
    data_root: Path | None, seed: int, settings: list[str] | None
) -> dict[str, Any]:
    """Return the parameters that differ from the chapters' own."""
    given: dict[str, Any] = {}
    if data_root is not None:
        given["data_root"] = str(data_root.resolve())
    if seed != 1337:
        given["seed"] = seed
    if settings:
        given["settings"] = replaced(settings)
    return given


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit status 2.

    Of several processes one says it, for all of them end.
    """
    sys.argv[1:] = [with_home(word) for word in sys.argv[1:]]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that a terminal lacks letters for
            stream.reconfigure(errors="backslashreplace")
    try:
        with on_screen(), _together():
            app()
    except UserError as error:
        if not isinstance(error, SaidElsewhereError):
            from rich.console import Console  # on the way to a mistake only

            console = Console(stderr=True, highlight=False)
            console.print(one_line(f"error: {error}"), markup=False, soft_wrap=True)
        sys.exit(error.status)


def _together() -> AbstractContextManager[None]:
    if launched().size == 1:
        return nullcontext()
    from layerfusion.parallel.processes import join_processes

    return join_processes().together()
