"""Executing chapters through papermill, keeping what came to its end, building the book of it."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from layerfusion.chapter_source import with_stable_ids
from layerfusion.errors import UserError
from layerfusion.experiment import Experiment
from layerfusion.paths import project_root, runs_root
from layerfusion.runs import RECORD, Run, RunRecord, read_record

PARAMETERS = {
    "profile": (str,),
    "seed": (int,),
    "data_root": (str, type(None)),
    "fresh": (bool,),
    "settings": (dict,),
}

# About the demo itself: with any other profile the book shows the committed one.
DEMO_CHAPTERS = {"07_demo_world"}

# Set while chapters are executed for publication: where their run records are to be laid.
PUBLISHING = "LAYERFUSION_PUBLISHING"

CHECKSUMS = "SHA256SUMS"  # of everything else in a reference folder

# How far a chapter's numbers may lie from the committed ones, for processors round differently. An
# estimate: no second processor was at hand.
TOLERANCE = 0.03


def chapter_paths() -> dict[str, Path]:
    """Return the chapters' scripts by name (``02_constrained_run``), in the book's order."""
    folder = project_root() / "book"
    return {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.py"))}


def reference_folder(profile: str) -> Path:
    """Return where a profile's committed chapters and records lie."""
    return project_root() / "runs" / "reference" / profile


def open_chapter(run: str, namespace: Mapping[str, Any]) -> Experiment:
    """Open the experiment that a chapter's parameters describe.

    Parameters
    ----------
    run
        The run that the chapter is about.
    namespace
        The chapter's ``globals()``, before it defines anything but its parameters: papermill lets
        an unknown parameter pass with a warning, and a misspelt seed must not train for a day.

    Raises
    ------
    UserError
        If a parameter is unknown or of the wrong type, or `Experiment.open` objects.
    """
    plain = (str, int, float, bool, list, dict, tuple, type(None))
    given: dict[str, Any] = {
        name: value
        for name, value in namespace.items()
        if isinstance(value, plain) and not name.startswith("_") and name not in ("In", "Out")
    }
    unknown = given.keys() - PARAMETERS.keys()
    if unknown:
        raise UserError(
            f"there is no parameter '{min(unknown)}'; this chapter knows {', '.join(PARAMETERS)}"
        )
    for name, types in PARAMETERS.items():
        if type(given.get(name)) not in types:
            wanted = " or ".join("None" if t is type(None) else t.__name__ for t in types)
            raise UserError(
                f"parameter '{name}' is {given.get(name)!r}; it must be of type {wanted}"
            )
    return Experiment.open(
        run,
        profile=given["profile"],
        seed=given["seed"],
        data_root=given["data_root"],
        overrides=given["settings"],
    )


def compare_with_reference(run: Run) -> str:
    """Compare a run with the committed record of the same profile, run, seed and settings.

    Returns
    -------
    str
        A sentence for the page: what was compared, or that there is nothing to compare with.

    Raises
    ------
    UserError
        If F1, ROC AUC or average precision differ by more than `TOLERANCE`.
    """
    record = run.record
    name = f"{record.run}-seed{record.seed}.json"
    path = reference_folder(record.profile) / name
    if PUBLISHING in os.environ:  # this run becomes the reference
        path = Path(os.environ[PUBLISHING]) / name
        shutil.copyfile(run.directory / RECORD, path)
    reference = _same_settings(path, record.settings)
    if reference is None:
        return "No record of this profile, seed and settings is committed: nothing to compare with."
    for name, (kind, key) in {
        "F1": ("calibrated", "f1"),
        "ROC AUC": ("ranking", "roc_auc"),
        "average precision": ("ranking", "average_precision"),
    }.items():
        here, there = record.metrics[kind][key], reference.metrics[kind][key]
        if abs(here - there) > TOLERANCE:
            raise UserError(
                f"{name} is {here:.4f} here and {there:.4f} in the committed record "
                f"{path.name}: they differ by more than {TOLERANCE}"
            )
    return f"F1, ROC AUC and average precision agree with the committed record within {TOLERANCE}."


def reference_record(experiment: Experiment) -> RunRecord | None:
    """Return the committed record of an experiment's profile, run, seed and settings, if any."""
    profile = experiment.profile
    path = reference_folder(profile.name) / f"{experiment.run}-seed{experiment.seed}.json"
    return _same_settings(path, profile.model_dump(mode="json"))


def _same_settings(path: Path, settings: dict[str, Any]) -> RunRecord | None:
    record = read_record(path) if path.is_file() else None
    return record if record is not None and record.settings == settings else None


def run_chapters(
    names: list[str], *, profile: str = "demo", parameters: Mapping[str, Any], publish: bool = False
) -> list[Path]:
    """Execute chapters through papermill and keep each one that came to its end.

    Parameters
    ----------
    names
        Chapters by name, number or file name; if empty, all that the profile can be run on.
    profile
        The profile to run them on.
    parameters
        Further parameters, such as seed and data_root.
    publish
        Also replace the committed notebooks and records in ``runs/reference``.

    Returns
    -------
    list of Path
        The executed notebooks, in ``runs/<profile>/chapters``.

    Raises
    ------
    UserError
        If a name is unknown or a chapter fails; what was there before is left as it was.
    """
    folder = runs_root() / Path(profile).stem / "chapters"
    staged = folder / "staged"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    done = []
    for name in _resolve(names) or _chapters_of(profile):
        _execute(name, staged, {"profile": profile, **parameters}, publish)
        (staged / f"{name}.ipynb").replace(folder / f"{name}.ipynb")
        done.append(folder / f"{name}.ipynb")
    if publish:
        reference = reference_folder(Path(profile).stem)
        reference.mkdir(parents=True, exist_ok=True)
        for path in [*done, *staged.glob("*.json")]:
            shutil.copyfile(path, reference / path.name)
        _replace_tables([path.stem for path in done], staged / "tables", reference / "tables")
        write_checksums(reference)
    shutil.rmtree(staged)
    return done


def build_book(profile: str, notebooks: list[Path]) -> Path:
    """Build the site from executed chapters; return its front page.

    The committed book is not touched: its sources are copied beside the profile's runs.

    Raises
    ------
    UserError
        If jupyter-book fails; its own messages have been shown by then.
    """
    stage = runs_root() / Path(profile).stem / "book"
    ignore = shutil.ignore_patterns("_build", "*.ipynb", "[0-9]*.py", ".ipynb_checkpoints")
    shutil.copytree(project_root() / "book", stage, ignore=ignore, dirs_exist_ok=True)
    pages = {notebook.name: notebook for notebook in notebooks}
    for name in DEMO_CHAPTERS & chapter_paths().keys():
        pages.setdefault(f"{name}.ipynb", reference_folder("demo") / f"{name}.ipynb")
    for name, notebook in pages.items():
        shutil.copyfile(notebook, stage / name)
    program = Path(sys.executable).with_name("jupyter-book")
    if subprocess.run([program, "build", stage, "-W", "--keep-going"], check=False).returncode:
        raise UserError(f"jupyter-book could not build {stage}; its messages are above")
    return stage / "_build" / "html" / "index.html"


def _replace_tables(chapters: list[str], staged: Path, reference: Path) -> None:
    reference.mkdir(exist_ok=True)
    for chapter in chapters:
        for former in reference.glob(f"{chapter}-*.csv"):
            former.unlink()
        for table in staged.glob(f"{chapter}-*.csv"):
            shutil.copyfile(table, reference / table.name)


def write_checksums(folder: Path) -> None:
    """Write the sha256 of every file below a folder as ``sha256sum --check`` reads it.

    Tests hold the committed chapters, records and tables against it: a changed digit is found
    wherever it is, also where a re-execution would compare within a tolerance.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS)
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in files
    ]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def _execute(name: str, folder: Path, parameters: Mapping[str, Any], publish: bool) -> None:
    import papermill  # here, for every chapter's kernel imports this module and none needs it
    from papermill.exceptions import PapermillExecutionError

    source, output = chapter_paths()[name], folder / f"{name}.ipynb"
    defaults = parameters == {"profile": "demo"}  # then the page shows no injected cell
    os.environ.pop(PUBLISHING, None)
    if publish:
        os.environ[PUBLISHING] = str(folder)
    try:
        papermill.execute_notebook(
            str(source),
            str(output),
            parameters={} if defaults else dict(parameters),
            progress_bar=sys.stderr.isatty(),
        )
    except PapermillExecutionError as error:
        reason = error.evalue or error.ename
        raise UserError(
            f"chapter {name} failed: {reason} (the failed notebook is {output})"
        ) from None
    finally:
        os.environ.pop(PUBLISHING, None)
    nbformat.write(_clean(nbformat.read(output, as_version=4), name), output)


def _clean(notebook: NotebookNode, name: str) -> NotebookNode:
    """Leave out what differs between two executions of the same chapter: times, paths, ids."""
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
    return with_stable_ids(notebook, name)


def _resolve(names: list[str]) -> list[str]:
    chapters = chapter_paths()
    resolved = []
    for name in names:
        stem = Path(name).stem
        matches = [chapter for chapter in chapters if chapter == stem or chapter[:2] == stem]
        if not matches:
            raise UserError(f"there is no chapter '{name}'; the book has {', '.join(chapters)}")
        resolved += matches
    return resolved


def _chapters_of(profile: str) -> list[str]:
    return [name for name in chapter_paths() if profile == "demo" or name not in DEMO_CHAPTERS]
