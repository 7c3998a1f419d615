"""A chapter's page says when it was executed, offers its files, and needs a complete execution."""

import json
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("jupyter_book")

from sphinx.errors import ExtensionError

from layerfusion.pages.chapters.source import read_chapter
from sphinx_sites import build_site

ROOT = Path(__file__).resolve().parents[2]
RECORD = {"recorded": "2026-03-01", "commit": "abc1234", "profile": "demo"}
SCRIPT = """\
# %% [markdown]
# # Small

# %% tags=["parameters"]
seed = 1

# %%
print(seed)
"""


@pytest.fixture(autouse=True)
def _extensions(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))


@pytest.fixture
def book(tmp_path):
    """A book of one executed chapter, whose notebook and table lie elsewhere as in the project."""
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "00_small.py").write_text(SCRIPT)
    tables = tmp_path / "runs" / "tables"
    tables.mkdir(parents=True)
    (tables / "00_small-counts.csv").write_text("images\n3\n")
    (tables / "01_other-counts.csv").write_text("images\n4\n")
    notebook = read_chapter(folder / "00_small.py")
    for count, cell in enumerate(notebook.cells[1:], start=1):
        cell.execution_count = count
    notebook.metadata |= {"layerfusion": RECORD, "language_info": {"name": "python"}}
    nbformat.write(notebook, tmp_path / "runs" / "00_small.ipynb")
    (folder / "00_small.ipynb").symlink_to(Path("..", "runs", "00_small.ipynb"))
    return folder


def change(book, edit):
    """Let a function edit the recorded notebook's JSON."""
    path = book / "00_small.ipynb"
    notebook = json.loads(path.read_text())
    edit(notebook)
    path.write_text(json.dumps(notebook))


def build(book):
    """Build the book; return the chapter's HTML. A warning is an error."""
    settings = {
        "extensions": ["myst_nb", "recorded_chapters"],
        "nb_execution_mode": "off",
        "exclude_patterns": ["_build"],
        # Given, for Sphinx adds suffixes to its default, which the next test would find there.
        "source_suffix": {".ipynb": "myst-nb"},
        "html_theme": "basic",
    }
    html, warnings = build_site(book, "00_small", settings)
    assert not warnings
    return html


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda known: None, "Executed 2026-03-01 (profile demo, commit abc1234)"),
        (lambda known: known.update(commit=None), "Executed 2026-03-01 (profile demo)<"),
        (lambda known: known.clear(), None),
    ],
)
def test_the_foot_says_what_is_known_of_the_execution(edit, said, book):
    change(book, lambda notebook: edit(notebook["metadata"]["layerfusion"]))
    html = build(book)
    assert said in html if said else "Executed" not in html and ">counts.csv<" in html


def test_the_tables_of_the_chapter_are_offered_with_the_profiles_name(book):
    html = build(book)
    assert ">counts.csv (demo)<" in html and "01_other" not in html
    (copied,) = (book / "_build" / "html" / "_downloads").rglob("*.csv")
    assert copied.read_text() == "images\n3\n"
    for name in ("00_small.py", "00_small.ipynb"):
        assert f">{name}<" in html


def test_a_page_whose_script_has_changed_says_so(book):
    assert "has changed since" not in build(book)
    (book / "00_small.py").write_text(SCRIPT.replace("print(seed)", "print(seed + 1)"))
    html = build(book)  # reads the page again, though its notebook is as it was
    assert "last complete execution, of 2026-03-01. Its script has changed since." in html
    assert "seed + 1" not in html


def test_parameters_from_the_command_line_are_no_change(book):
    injected = {
        "cell_type": "code", "id": "injected", "execution_count": 2, "outputs": [],
        "metadata": {"tags": ["injected-parameters"]}, "source": "seed = 2",
    }  # fmt: skip

    def edit(notebook):
        notebook["cells"].insert(2, injected)
        notebook["cells"][3]["execution_count"] = 3

    change(book, edit)
    assert "has changed since" not in build(book)


ERROR = {"output_type": "error", "ename": "UserError", "evalue": "no images", "traceback": []}


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda n: n["cells"][2]["outputs"].append(ERROR), r"an error \(UserError: no images\)"),
        (lambda n: n["cells"][2].update(execution_count=None), "first cell to its last"),
        (lambda n: n["cells"][1].update(execution_count=7), "first cell to its last"),
        (lambda n: n.update(cells=[]), "first cell to its last"),
        (lambda n: n.pop("cells"), "cannot be read"),
        (lambda n: n["cells"][2].pop("source"), "cannot be read"),
    ],
)
def test_an_incomplete_execution_stops_the_build(edit, fault, book):
    change(book, edit)
    with pytest.raises(ExtensionError, match=f"chapter 00_small cannot be shown: .*{fault}"):
        build(book)


@pytest.mark.parametrize("text", ["", "{", "[]", '"a text"', "no notebook"])
def test_what_is_no_notebook_stops_the_build(text, book):
    (book / "00_small.ipynb").write_text(text)
    with pytest.raises(ExtensionError, match=r"chapter 00_small .* cannot be read"):
        build(book)
