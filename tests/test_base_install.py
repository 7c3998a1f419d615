"""The base of the package works without the packages of its extras, and says what is missing."""

import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
EXTRAS = ("book", "c2pa", "figures", "onnx", "serve")
NAMES = {"c2pa-python": "c2pa", "ipykernel": "IPython", "jupyter-book": "jupyter_book"}

# Modules that need an extra; all that is imported from `layerfusion.pages.figures` may.
NEED = ("layerfusion.pages.chapters", "layerfusion.apps.evidence.serving",
        "layerfusion.pages.figures", "layerfusion.model.onnx_export")  # fmt: skip

CHILD = """
import sys
from importlib.machinery import PathFinder

blocked, found = sys.argv.pop(1).split(","), PathFinder.find_spec

def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in blocked else found(name, path, target)

PathFinder.find_spec = find_spec
"""
IMPORT_ALL = """
import importlib, pkgutil
import layerfusion

for module in pkgutil.walk_packages(layerfusion.__path__, "layerfusion.", onerror=print):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError:
            print(module.name)
"""
RUN = "from layerfusion.cli.main import main; main()"


def of_extras():
    lines = [line for extra in EXTRAS for line in PROJECT["optional-dependencies"][extra]]
    names = {Requirement(line).name for line in lines} - {"layerfusion"}
    return [NAMES.get(name, name) for name in sorted(names)]


def without_extras(code, *words):
    command = [sys.executable, "-c", CHILD + code, ",".join(of_extras()), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_modules_of_the_base_import_without_extras():
    done = without_extras(IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    failed = done.stdout.split()
    assert failed and all(name.startswith(NEED) for name in failed), failed


def test_commands_of_the_base_run_without_extras():
    done = without_extras(RUN, "score", "--help")
    assert done.returncode == 0 and "Score images" in done.stdout, done.stderr


def test_a_command_that_needs_an_extra_names_it():
    done = without_extras(RUN, "weights", "get", "clip-vit-b-16-int8")
    assert (done.returncode, done.stdout) == (2, "") and "the package onnx" in done.stderr
