"""Executing chapters through papermill, keeping what came to its end, building the book of it."""

import datetime
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import nbformat

from layerfusion.arithmetic import recording
from layerfusion.data.opening import open_data
from layerfusion.errors import UserError
from layerfusion.files import CHECKSUMS, alone, file_sha256, write_checksums
from layerfusion.model.weights import weights_file
from layerfusion.pages.chapters.parameters import PUBLISHING, chapter_paths
from layerfusion.pages.chapters.source import with_stable_ids
from layerfusion.paths import project_root, reference_folder, runs_root, shown
from layerfusion.progress import Reporter, Verbosity, verbosity
from layerfusion.provenance import (
    code_sha256,
    library_versions,
    processor,
    unchanged_commit,
)
from layerfusion.runs.record import RunPlace, read_record
from layerfusion.settings import WorldSource, digest, load_profile

# Chapters by number. Those made of the committed records of the profile `photographs`, whatever
# profile they are executed on; their pages name it.
RECORDED = ("08", "09", "10", "11", "13", "14", "15")

# About the demo itself and what is committed: with any other profile the book shows those of demo.
DEMO_CHAPTERS = ("07", "12", *RECORDED)

# They train both runs, or read them once they are trained: one after the other.
TRAINING = ("02", "03", "04", "05", "06", "07")

# What a notebook says of its origin.
Origin = dict[str, str | int | None]

ORIGIN = "layerfusion"  # in a notebook's metadata: when, where, of what, from which script


@dataclass
class Executed:
    """What became of chapters: notebooks that came to their end, and why others did not."""

    notebooks: list[Path]
    failures: dict[str, str]  # by chapter, in their order

    def check(self) -> None:
        """Raise a UserError that names every chapter that failed; what was there before it is left.

        Raises
        ------
        UserError
            If there is one.
        """
        if self.failures:
            raise UserError("; ".join(f"chapter {n} failed: {r}" for n, r in self.failures.items()))


def run_chapters(
    names: list[str],
    *,
    profile: str = "demo",
    parameters: Mapping[str, Any],
    publish: bool = False,
    again: bool = False,
) -> Executed:
    """Execute chapters through papermill and keep each one that came to its end.

    One whose script, parameters, images, code and libraries are those of its last execution is kept
    as it is.

    Parameters
    ----------
    names
        Chapters by name, number or file name; if empty, all that the profile can be run on.
    profile
        The profile to run them on.
    parameters
        Further parameters, such as seed and data_root.
    publish
        Execute all of them and, if none fails, replace the committed notebooks, tables and records
        in ``runs/reference``.
    again
        Execute also what has not changed.

    Returns
    -------
    Executed
        Of notebooks in ``runs/<profile>/chapters``. One that fails replaces nothing; the chapters
        after it are executed nevertheless.

    Raises
    ------
    UserError
        If a name is unknown, or the profile or its images cannot be read.
    """
    folder = runs_root() / Path(profile).stem / "chapters"
    _resolve(names)  # what is mistyped leaves no folder behind
    load_profile(profile, parameters.get("settings"))
    busy = f"another process is executing the chapters in {shown(folder)}; wait for it"
    with alone(folder, busy):
        return _run(folder, names, profile, parameters, publish=publish, again=again)


def _run(
    folder: Path,
    names: list[str],
    profile: str,
    parameters: Mapping[str, Any],
    *,
    publish: bool,
    again: bool,
) -> Executed:
    staged = folder / "staged"
    chosen = _resolve(names) or _chapters_of(profile)
    common = _common_key(profile, parameters) if chosen else {}
    commit = unchanged_commit()  # now: files may be edited while chapters run
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    origins = {}
    for name in chosen:
        kept, origin = folder / f"{name}.ipynb", _origin(name, profile, common, commit)
        if not (publish or again) and _is_current(kept, origin):
            Reporter().say(f"{name}: nothing has changed since it was executed")
        else:
            origins[name] = origin
    execute = partial(_execute_each, staged, {"profile": profile, **parameters}, publish)
    failures = _side_by_side(execute, origins)
    done = Executed(
        [folder / f"{name}.ipynb" for name in chosen if name not in failures],
        {name: failures[name] for name in chosen if name in failures},
    )
    if not done.failures:  # else `staged` holds the failed notebooks, for whoever looks for why
        if publish:
            _publish(done.notebooks, staged, reference_folder(Path(profile).stem))
        shutil.rmtree(staged)
    return done


def build_book(profile: str, executed: Executed) -> Path:
    """Build the site from executed chapters; return its front page.

    Where a chapter failed, its last good notebook is shown, which says when it was executed. The
    committed book is not touched: its sources are copied beside the profile's runs.

    Raises
    ------
    UserError
        If a chapter failed that never came to its end before, or jupyter-book fails; its own
        messages have been shown by then.
    """
    stage = runs_root() / Path(profile).stem / "book"
    with alone(stage, f"another process is building the book in {shown(stage)}; wait for it"):
        return _build(stage, profile, executed)


def _build(stage: Path, profile: str, executed: Executed) -> Path:
    ignore = shutil.ignore_patterns("_build", "*.ipynb", ".ipynb_checkpoints")
    shutil.copytree(project_root() / "book", stage, ignore=ignore, dirs_exist_ok=True)
    pages = {notebook.name: notebook for notebook in executed.notebooks}
    for name in executed.failures:
        pages[f"{name}.ipynb"] = _last_good(name, profile)
    for name in chapter_paths():
        if name.startswith(DEMO_CHAPTERS):
            pages.setdefault(f"{name}.ipynb", reference_folder("demo") / f"{name}.ipynb")
    tables = stage / "tables"
    shutil.rmtree(tables, ignore_errors=True)
    tables.mkdir()
    for name, notebook in pages.items():
        shutil.copyfile(notebook, stage / name)
        for table in notebook.parent.glob(f"tables/{notebook.stem}-*.csv"):
            shutil.copyfile(table, tables / table.name)
    program = Path(sys.executable).with_name("jupyter-book")
    quiet = ["--quiet"] if verbosity() is Verbosity.quiet else []
    if subprocess.run([program, "build", *quiet, stage], check=False).returncode:
        raise UserError(f"jupyter-book could not build {stage}; its messages are above")
    return stage / "_build" / "html" / "index.html"


def _publish(notebooks: list[Path], staged: Path, reference: Path) -> None:
    reference.mkdir(parents=True, exist_ok=True)
    for path in notebooks:
        shutil.copyfile(path, reference / path.name)
    for record in map(read_record, staged.glob("*.json")):
        place = RunPlace(runs_root(), record.profile, record.run, record.seed, record.key)
        run = place.read()
        assert run is not None, "its chapter has just read it"
        run.publish(reference)
    tables = reference / "tables"
    tables.mkdir(exist_ok=True)
    for chapter in (path.stem for path in notebooks):
        for former in tables.glob(f"{chapter}-*.csv"):
            former.unlink()
        for table in (staged / "tables").glob(f"{chapter}-*.csv"):
            shutil.copyfile(table, tables / table.name)
    write_checksums(reference)


def _last_good(name: str, profile: str) -> Path:
    """Return the notebook of a chapter's last execution that came to its end."""
    file = f"{name}.ipynb"
    places = [runs_root() / Path(profile).stem / "chapters" / file]
    if profile == "demo":
        places.append(reference_folder(profile) / file)
    for path in places:
        if path.is_file():
            return path
    raise UserError(f"chapter {name} failed and never came to its end before: no book can be built")


def _common_key(profile: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the outputs of all chapters depend on, but for their own scripts."""
    settings = load_profile(profile, parameters.get("settings"))
    images = None  # a world is made by the code
    if not all(isinstance(source, WorldSource) for source in settings.data.sources):
        root = parameters.get("data_root")
        with Reporter().bar("reading images", 0) as bar:
            images = open_data(
                settings.data,
                data_root=Path(root) if root else None,
                cache=runs_root() / settings.name,
                progress=bar,
            ).digest()
    committed = reference_folder(settings.name) / CHECKSUMS
    weights = weights_file(settings.encoder)
    return {
        "profile": settings.model_dump(mode="json"),
        "parameters": dict(parameters),
        "images": images,
        "weights": file_sha256(weights) if weights else None,
        "code": code_sha256(),
        "libraries": library_versions(),
        "committed": file_sha256(committed) if committed.is_file() else None,
    }


def _origin(name: str, profile: str, common: Mapping[str, Any], commit: str | None) -> Origin:
    """Return what a notebook is to say of its origin."""
    source = file_sha256(chapter_paths()[name])
    return {
        "recorded": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit,
        "profile": "photographs" if name.startswith(RECORDED) else Path(profile).stem,
        "source_sha256": source,
        "key": digest({**common, "script": source}),
    }


def _is_current(notebook: Path, origin: Origin) -> bool:
    if not notebook.is_file():
        return False
    recorded = nbformat.read(notebook, as_version=4).metadata.get(ORIGIN, {})
    return bool(recorded.get("key") == origin["key"])


def _side_by_side(
    execute: Callable[[Mapping[str, Origin]], dict[str, str]], origins: Mapping[str, Origin]
) -> dict[str, str]:
    """Execute chapters by name, in two processes where that can be; return why any failed.

    The first is executed alone, for it makes the profile's images. Then those that train, one
    after the other, and beside them those that do not: importing and drawing take one processor.
    """
    names = list(origins)
    training = {name: origins[name] for name in names[1:] if name.startswith(TRAINING)}
    others = {name: origins[name] for name in names[1:] if not name.startswith(TRAINING)}
    failures = execute({name: origins[name] for name in names[:1]})
    if not training or not others:
        return failures | execute(training | others)
    # A process of its own, not a thread: papermill listens to Ctrl-C in a main thread alone.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as beside:
        found = beside.submit(execute, others)
        return failures | execute(training) | found.result()


def _execute_each(
    staged: Path, parameters: Mapping[str, Any], publish: bool, origins: Mapping[str, Origin]
) -> dict[str, str]:
    """Execute chapters in order, keep those that come to their end; return why others did not."""
    failures = {}
    for name, origin in origins.items():
        if reason := _execute(name, staged, parameters, origin, publish):
            failures[name] = reason
        else:
            (staged / f"{name}.ipynb").replace(staged.parent / f"{name}.ipynb")
    return failures


def _execute(
    name: str,
    folder: Path,
    parameters: Mapping[str, Any],
    origin: Origin,
    publish: bool,
) -> str | None:
    """Execute a chapter into a folder; return why it failed, None if it came to its end."""
    import papermill  # here, for it is slow to import and most commands do not need it
    from papermill.exceptions import PapermillExecutionError

    source, output = chapter_paths()[name], folder / f"{name}.ipynb"
    alone = parent_process() is None  # two bars would overwrite each other
    defaults = parameters == {"profile": "demo"}  # then the page shows no injected cell
    started = time.monotonic()
    os.environ.pop(PUBLISHING, None)
    if publish:
        os.environ[PUBLISHING] = str(folder)
    try:
        with recording() if publish else nullcontext():
            papermill.execute_notebook(
                str(source),
                str(output),
                parameters={} if defaults else dict(parameters),
                progress_bar=alone and sys.stderr.isatty() and verbosity() is not Verbosity.quiet,
            )
    except PapermillExecutionError as error:
        return f"{error.evalue or error.ename} (the failed notebook is {output})"
    finally:
        os.environ.pop(PUBLISHING, None)
    notebook = nbformat.read(output, as_version=4)
    # What differs between two executions of the same chapter is left out: times, paths, ids.
    for part in (notebook, *notebook.cells):
        part.metadata.pop("papermill", None)
        part.metadata.pop("execution", None)
    seconds = round(time.monotonic() - started)
    notebook.metadata[ORIGIN] = origin | {"seconds": seconds, "processor": processor()["name"]}
    nbformat.write(with_stable_ids(notebook, name), output)
    return None


def _resolve(names: list[str]) -> list[str]:
    chapters, resolved = chapter_paths(), []
    for name in map(Path, names):
        matches = [chapter for chapter in chapters if name.stem in (chapter, chapter[:2])]
        if not matches:
            raise UserError(f"there is no chapter '{name}'; the book has {', '.join(chapters)}")
        resolved += matches
    return resolved


def _chapters_of(profile: str) -> list[str]:
    every = chapter_paths()
    return [name for name in every if profile == "demo" or not name.startswith(DEMO_CHAPTERS)]
