"""Chapters: the user's literal commands, parameters, and what is committed."""

import ast
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from papermill import execute_notebook

from conftest import TINY
from layerfusion.errors import UserError
from layerfusion.pages.chapters import parameters
from layerfusion.pages.chapters.source import read_chapter
from layerfusion.paths import PACKAGE, reference_folder
from networks import close_network

ROOT = PACKAGE.parents[1]
CHAPTERS = sorted((ROOT / "book").glob("[0-9][0-9]_*.py"))
GOOD = {"profile": "demo", "seed": 1, "data_root": None, "fresh": False, "settings": {}}


# A world of a few pictures, seen once: all that the demo does, in seconds.
TINY_WORLD = (
    "{settings: {training.epochs: 1, "
    "'data.sources': [{kind: world, train_per_class: 8, evaluation_per_class: 8}]}}"
)


def papermill(*arguments, **environment):
    command = [Path(sys.executable).with_name("papermill"), *map(str, arguments)]
    # ipykernel looks at this variable and then captures less than it does for a person.
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    env |= environment
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def outputs_text(notebook):
    texts = []
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        texts += [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]
    return "\n".join(texts)


def test_papermill_runs_a_chapter(photos, tmp_path):
    settings = json.dumps({"settings": TINY | {"training.epochs": 1}})
    out = tmp_path / "out.ipynb"
    given = ["-p", "seed", 7, "-p", "data_root", os.path.relpath(photos, ROOT), "-y", settings]
    done = papermill("book/03_open_run.py", out, *given)
    assert done.returncode == 0, done.stderr
    text = outputs_text(nbformat.read(out, as_version=4))
    for name in ("F1", "AUC", "threshold", "record"):
        assert name in text
    assert "open-seed7-" in text
    assert "images/s" not in text and "training in" not in text
    assert "training in" in done.stderr  # the terminal is told what the page is not


@pytest.mark.filterwarnings("ignore:The specified file")  # papermill, of .py
@pytest.mark.parametrize("where", ["inside book", "absolute", "relative"])
def test_papermill_finds_a_chapter_however_its_path_is_written(where, tmp_path, monkeypatch):
    cwd, path = {
        "inside book": (ROOT / "book", "03_open_run.py"),
        "absolute": (tmp_path, ROOT / "book" / "03_open_run.py"),
        "relative": (ROOT / "tests", "../book/03_open_run.py"),
    }[where]
    out = tmp_path / "out.ipynb"
    monkeypatch.chdir(cwd)
    execute_notebook(path, out, {"seed": 7}, prepare_only=True, progress_bar=False)
    cells = nbformat.read(out, as_version=4).cells
    (injected,) = [c for c in cells if "injected-parameters" in c.metadata.tags]
    assert "seed = 7" in injected.source
    assert len(cells) == len(read_chapter(ROOT / "book" / "03_open_run.py").cells) + 1


def test_the_demo_calls_no_network(tmp_path):
    attempts, out = close_network(tmp_path), tmp_path / "out.ipynb"
    given = ["book/03_open_run.py", out, "-p", "seed", 1337, "-y", TINY_WORLD]
    done = papermill(*given, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert not attempts.exists(), attempts.read_text()
    command = [sys.executable, "-c", "import socket; socket.getaddrinfo('localhost', 80)"]
    checked = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, check=False
    )
    assert b"the network is closed" in checked.stderr and attempts.exists()


def test_an_unknown_parameter_is_an_error_that_names_the_known_ones(tmp_path):
    out = tmp_path / "out.ipynb"
    done = papermill("book/02_constrained_run.py", out, "-p", "sede", 7)
    assert done.returncode != 0
    assert "there is no parameter 'sede'" in done.stderr and "data_root" in done.stderr
    cell = next(c for c in nbformat.read(out, as_version=4).cells if "open_chapter" in c.source)
    (error,) = [o for o in cell.outputs if o.output_type == "error"]
    assert len(error.traceback) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": "1337"}, "'seed' is '1337'; it must be of type int"),
        ({"seed": True}, "'seed' is True"),
        ({"fresh": "yes"}, "must be of type bool"),
        ({"data_root": 3}, "must be of type str or None"),
        ({"settings": {"training.epoch": 1}}, "no such setting"),
    ],
)
def test_a_parameter_of_the_wrong_type_is_named(change, words):
    with pytest.raises(UserError) as caught:
        parameters.open_chapter("open", GOOD | change)
    assert words in str(caught.value)


def test_what_a_kernel_adds_to_the_namespace_is_no_parameter(photos):
    kernel = {"In": [""], "Out": {}, "_": "", "__name__": "__main__", "get_ipython": print}
    settings = {"data.sources": [{"kind": "folder"}]}
    given = GOOD | {"data_root": str(photos), "settings": settings}
    assert parameters.open_chapter("open", given | kernel).seed == 1


def test_cell_ids_depend_on_the_chapter_alone():
    first, second = (read_chapter(CHAPTERS[0]) for _ in range(2))
    assert [cell.id for cell in first.cells] == [cell.id for cell in second.cells]
    assert first.cells[0].id == f"{CHAPTERS[0].stem.replace('_', '-')}-000"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_tells_and_the_package_computes(path):
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert all(node.end_lineno - node.lineno < 10 for node in functions)
    cells = read_chapter(path).cells
    tagged = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    names = [node.targets[0].id for node in ast.parse(tagged[0].source).body]
    assert names == list(parameters.PARAMETERS)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_committed_notebook_is_its_chapter_executed_to_the_end(path):
    recorded = nbformat.read(reference_folder("demo") / f"{path.stem}.ipynb", as_version=4)
    nbformat.validate(recorded)
    source = read_chapter(path)
    assert [c.source for c in recorded.cells] == [c.source for c in source.cells]
    assert [c.id for c in recorded.cells] == [c.id for c in source.cells]
    code = [cell for cell in recorded.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert str(ROOT) not in json.dumps(recorded)
    origin = recorded.metadata["layerfusion"]
    assert origin["source_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
