"""The page *Inside* draws the package as it is."""

import ast
import re
import tomllib

import pytest

import layerfusion
from layerfusion.paths import PACKAGE

ROOT = PACKAGE.parents[1]
PAGE = (ROOT / "book" / "inside.md").read_text(encoding="utf-8")
CONTRACT, *_ = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
ROOMS = [name for layer in CONTRACT["layers"] for name in layer.split(" | ")]


def test_the_drawing_is_the_contract():
    (drawing,) = re.findall(r"^```text\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert drawing.splitlines() == CONTRACT["layers"]


def test_every_room_says_on_the_page_what_it_says_itself():
    table = PAGE.split("## Folders")[1].split("\n## ")[0]
    said = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, flags=re.MULTILINE))
    assert list(said) == ROOMS
    for room, sentence in said.items():
        folder = PACKAGE / room / "__init__.py"
        source = folder if folder.is_file() else PACKAGE / f"{room}.py"
        docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8")))
        assert docstring.splitlines()[0] == sentence, room


def test_the_top_of_the_package_can_be_read_at_a_glance():
    modules = [path.name for path in PACKAGE.glob("*.py")]
    assert len(modules) <= 10, modules
    assert {"model", "data", "metrics"} <= {path.name for path in PACKAGE.iterdir()}


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([a-z_/]+(?:/|\.py))`", PAGE))))
def test_what_the_page_names_is_there(path):
    assert (PACKAGE / path).exists() or (ROOT / path).exists()


def test_tests_lie_in_rooms_of_the_package():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert folders - {"book", "tools", "towers", "__pycache__"} <= set(ROOMS)


def test_the_public_names_are_those_of_the_page_of_the_interface():
    page = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
    named = re.findall(r"^\.\. auto(?:function|class):: (\w+)$", page, flags=re.MULTILINE)
    assert sorted(named) == sorted(layerfusion.__all__)
