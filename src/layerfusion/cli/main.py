"""The command line: train, score, submit, run the chapters, build the book."""

import atexit
import io
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

import layerfusion
from layerfusion.cli.data import data_app
from layerfusion.cli.detector import calibrate, export, inspect, score, serve
from layerfusion.cli.failures import check_streams, drop_unwritten, in_one_sentence
from layerfusion.cli.model import weights_app
from layerfusion.cli.options import (
    Commands,
    PublishOption,
    QuietOption,
    RunChoice,
    SeedChoice,
    VerboseOption,
)
from layerfusion.cli.sealing import seal, unseal
from layerfusion.cli.study import study_app
from layerfusion.cli.task import submission_app, submit
from layerfusion.errors import ReportedElsewhereError, UserError
from layerfusion.parallel.launcher import launched
from layerfusion.paths import shown, with_home
from layerfusion.progress import Reporter, on_screen, one_line

if TYPE_CHECKING:
    from layerfusion.pages.chapters.execution import Executed

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
    from layerfusion.pages.figures.tables import headline
    from layerfusion.parallel.processes import join_processes

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


for command in (score, inspect, calibrate, serve, seal, unseal, submit, export):
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
    executed = _execute(choice, names or [], publish=publish, again=again)
    for path in executed.notebooks:
        print(shown(path))
    executed.check()


@app.command()
def book(choice: SeedChoice) -> None:
    """Execute all chapters on a profile and build the book from them.

    If a chapter fails, the book shows its last good execution and the command ends with the error.
    """
    from layerfusion.pages.chapters.execution import build_book

    executed = _execute(choice, [])
    print(f"open {shown(build_book(choice.profile, executed))}")
    executed.check()


def _execute(choice: SeedChoice, names: list[str], **how: bool) -> "Executed":
    """Execute chapters with the parameters that differ from their defaults."""
    from layerfusion.pages.chapters.execution import run_chapters

    given: dict[str, Any] = {}
    if choice.data_root is not None:
        given["data_root"] = str(choice.data_root.resolve())
    if choice.seed != 1337:
        given["seed"] = choice.seed
    if choice.settings:
        given["settings"] = choice.overrides
    return run_chapters(names, profile=choice.profile, parameters=given, **how)


def main() -> None:
    """Run the command line; whatever ends it is one sentence, and exit status 2 if a user can help.

    Of several processes one prints it, and all of them end.
    """
    sys.argv[1:] = [with_home(word) for word in sys.argv[1:]]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may not fit the encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        check_streams()
        if "" in sys.argv[1:]:  # as a path it would be the current folder
            raise UserError("a word of the command is empty, as of a variable that is not set")
        with on_screen(), in_one_sentence(), _together():
            app()
    except UserError as error:
        drop_unwritten()
        if not isinstance(error, ReportedElsewhereError):
            console = Console(stderr=True, highlight=False)
            console.print(one_line(f"error: {error}"), markup=False, soft_wrap=True)
        sys.exit(error.status)
    finally:  # what is done is done: Ctrl-C interrupts no library that tidies up
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def _together() -> AbstractContextManager[None]:
    if launched().size == 1:
        return nullcontext()
    from layerfusion.parallel.processes import join_processes

    return join_processes().together()
