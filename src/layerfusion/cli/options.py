"""Options that several commands share, each declared once, alone or in groups of them."""

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from layerfusion.cli.outputs import output_option
from layerfusion.errors import InterruptedFromKeyboardError, UserError
from layerfusion.progress import VARIABLE, Reporter, Verbosity

if TYPE_CHECKING:
    from layerfusion.runs.experiment import Experiment
    from layerfusion.runs.record import Run


# Folders of a machine, and what lies below them; not the slash in a name such as model/tag.
_FOLDERS = re.compile(r"(?<![\w.])(?:~|\.{1,2})?/[^\s'\",\]}]*/")


UNREAD = "standard output was closed before all was written to it"


ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile", "-p", help="demo, folder, paper, photographs, or the path of a YAML file."
    ),
]
DataRootOption = Annotated[
    Path | None, typer.Option("--data-root", "-d", help="Folder that holds the data sets.")
]
RunOption = Annotated[
    str, typer.Option(help="Run of the profile: constrained, open (the paper's), or another.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of every random draw.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Replace a setting: training.epochs=1."),
]
DetectorOption = Annotated[
    str | None,
    typer.Option(
        "--detector",
        metavar="DIR|NAME",
        help="Folder of a detector, or one of the package's: photographs, photographs-paper, "
        "photographs-2026-11, or the toy demo. [default: photographs]",
    ),
]
ReferenceDetectorOption = Annotated[
    str | None,
    typer.Option(
        "--detector",
        metavar="DIR",
        help="Folder of a detector. [default: the package's, of photographs]",
    ),
]
NewFolderOption = Annotated[
    Path,
    output_option("Folder to create; it must not exist.", kind="new folder", metavar="FOLDER"),
]
ReportOption = Annotated[
    Path | None, output_option("Also write an HTML report.", metavar="FILE.html")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
PublishOption = Annotated[
    bool, typer.Option("--publish", help="Also replace the committed files in runs/reference.")
]


@dataclass(frozen=True, kw_only=True)
class DataChoice:
    """Options that say which images and settings a command works on."""

    profile: ProfileOption = "demo"
    data_root: DataRootOption = None
    settings: SetOption = None

    @property
    def overrides(self) -> dict[str, Any]:
        """The settings that `--set` replaces, by dotted name; a UserError if one is malformed."""
        from layerfusion.settings import parse_override  # pydantic is slow to import

        return dict(parse_override(text) for text in self.settings or [])

    def open_run(self, run: str, reporter: Reporter, **named: int) -> "Experiment":
        """Open a run's experiment; raises what `Experiment.open` does."""
        from layerfusion.runs.experiment import Experiment

        return Experiment.open(
            run,
            profile=self.profile,
            data_root=self.data_root,
            overrides=self.overrides,
            reporter=reporter,
            **named,
        )


@dataclass(frozen=True, kw_only=True)
class SeedChoice(DataChoice):
    """The same with a seed."""

    seed: SeedOption = 1337


@dataclass(frozen=True, kw_only=True)
class RunChoice(SeedChoice):
    """Options that name a run, as `layerfusion train` takes them."""

    run: RunOption

    def open(self, reporter: Reporter) -> "Experiment":
        """Open the experiment; raises what `Experiment.open` does."""
        return self.open_run(self.run, reporter, seed=self.seed)

    def finished(self, experiment: "Experiment") -> "Run":
        """Return the finished run of an experiment that `open` returned.

        Raises
        ------
        UserError
            If there is none; it says how to train it.
        """
        run = experiment.place.read()
        if run is None:
            words = ["layerfusion", "train", *self._options(self.profile, self.data_root)]
            raise UserError(
                "there is no finished run of these settings, images and code on this machine; make "
                f"it with: {shlex.join(words)}"
            )
        return run

    def command(self, name: str, *further: str) -> str:
        """Return a command on this run for other people to read: no folder of this machine."""
        data_root = None if self.data_root is None else Path("DIR")
        options = self._options(Path(self.profile).name, data_root)
        words = [_FOLDERS.sub("", word) for word in options]
        return shlex.join(["layerfusion", name, *words, *further])

    def _options(self, profile: str, data_root: Path | None) -> list[str]:
        words = ["--run", self.run, "--profile", profile]
        words += [] if data_root is None else ["--data-root", str(data_root)]
        words += ["--seed", str(self.seed)]
        return words + [word for text in self.settings or [] for word in ("--set", text)]


def _verbosity_option(wanted: Verbosity, help: str) -> Any:
    """Return the option that chooses how much is written on the screen."""

    def choose(context: typer.Context, given: bool) -> None:
        if not given:
            return
        # Contexts of a command and of the groups around it share this dictionary.
        if context.meta.setdefault(VARIABLE, wanted) is not wanted:
            raise UserError("--quiet and --verbose exclude each other: give one of them")
        os.environ[VARIABLE] = wanted

    return typer.Option(f"--{wanted}", f"-{wanted[0]}", callback=choose, is_eager=True, help=help)


QuietOption = Annotated[bool, _verbosity_option(Verbosity.quiet, "Write results and errors only.")]
VerboseOption = Annotated[
    bool,
    _verbosity_option(
        Verbosity.verbose, "Write every step, its time, and the warnings of libraries."
    ),
]


class Commands(typer.Typer):
    """Commands whose parameters may be groups of options: dataclasses with an option a field.

    All take ``--quiet`` and ``--verbose``, behind their names and in front of them, for people
    write such options at either place.
    """

    def __init__(self, **named: Any) -> None:
        super().__init__(callback=_in_front, no_args_is_help=True, **named)

    def command(self, name: str | None = None, **named: Any) -> Callable[[Any], Any]:
        """Return the decorator that makes a command of a function."""
        register = super().command(name, **named)

        def registered(function: Callable[..., None]) -> Callable[..., None]:
            register(_with_options(function))
            return function

        return registered


def _in_front(quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
    """Take what stands between a group's name and a command's."""


def _with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command's function with every option as a parameter of its own."""
    own = signature(function).parameters
    groups: dict[str, Any] = {
        name: p.annotation for name, p in own.items() if is_dataclass(p.annotation)
    }

    @wraps(function)
    def command(quiet: bool, verbose: bool, **given: Any) -> None:
        for name, group in groups.items():
            options = {field.name: given.pop(field.name) for field in fields(group)}
            given[name] = group(**options)
        try:
            function(**given)
        except BrokenPipeError:  # of which typer would say nothing, as of Ctrl-C
            raise UserError(UNREAD) from None
        except KeyboardInterrupt:
            more = ", with --resume" if "resume" in given else ""
            raise InterruptedFromKeyboardError(
                "stopped from the keyboard: what was finished is kept, and nothing more is "
                f"written; to go on, give the same command{more}"
            ) from None

    parameters: list[Parameter] = []
    for name, parameter in (own | signature(_in_front).parameters).items():
        members = signature(groups[name]).parameters if name in groups else {name: parameter}
        parameters += [one.replace(kind=Parameter.KEYWORD_ONLY) for one in members.values()]
    parameters.sort(key=lambda parameter: parameter.default is not Parameter.empty)
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command
