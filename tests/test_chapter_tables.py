"""Tables of chapters: kept, published, compared; a changed digit is found."""

import hashlib
import re
from types import SimpleNamespace

import pandas as pd
import pytest

from layerfusion import chapter_tables, chapters
from layerfusion.chapter_tables import ChapterTables, first_difference
from layerfusion.errors import UserError
from layerfusion.execution import CHECKSUMS, write_checksums

TABLE = pd.DataFrame({"run": ["constrained", "open"], "f1": [0.7011, 0.7264], "images": [400, 400]})


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A reference folder with one published table, and a committed record of the same settings."""
    monkeypatch.delenv(chapters.PUBLISHING, raising=False)
    monkeypatch.setattr(chapter_tables, "runs_root", lambda: tmp_path / "runs")
    monkeypatch.setattr(chapter_tables, "reference_folder", lambda profile: tmp_path / "reference")
    monkeypatch.setattr(chapter_tables, "reference_record", lambda experiment: object())
    opened().keep("results", TABLE)
    (tmp_path / "runs/demo/chapters/tables").rename(tmp_path / "tables")
    (tmp_path / "reference").mkdir()
    (tmp_path / "tables").rename(tmp_path / "reference/tables")
    return tmp_path


def opened():
    return ChapterTables("05_small", SimpleNamespace(profile=SimpleNamespace(name="demo")))


def test_a_kept_table_is_returned_and_lies_below_the_runs(place):
    tables = opened()
    assert tables.keep("results", TABLE) is TABLE
    kept = pd.read_csv(place / "runs/demo/chapters/tables/05_small-results.csv", index_col=0)
    pd.testing.assert_frame_equal(kept, TABLE)
    assert tables.compare() == "1 tables agree with the committed ones within 0.03."


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"f1": [0.7011, 0.7264 + 0.11]}, "f1, row 2, is 0.8364 here and 0.7264 there"),
        ({"run": ["constrained", "closed"]}, "run, row 2"),
        ({"f1": [0.7011, None]}, "f1, row 2"),
        ({"recall": [0.5, 0.6]}, "rows or columns are others"),
        ({"images": [400, 300]}, "images, row 2"),
    ],
)
def test_a_table_that_differs_is_an_error_that_says_where(place, change, words):
    tables = opened()
    tables.keep("results", TABLE.assign(**change))
    with pytest.raises(UserError, match=r"05_small-results\.csv differs") as caught:
        tables.compare()
    assert words in str(caught.value)


def test_small_differences_are_those_of_another_processor(place):
    tables = opened()
    tables.keep("results", TABLE.assign(f1=[0.7011 + 0.02, 0.7264], images=[400, 430]))
    assert "agree" in tables.compare()


def test_a_table_that_nobody_committed_is_an_error(place):
    tables = opened()
    tables.keep("others", TABLE)
    with pytest.raises(UserError, match="publish the chapter anew"):
        tables.compare()


def test_without_a_committed_record_there_is_nothing_to_compare_with(place, monkeypatch):
    monkeypatch.setattr(chapter_tables, "reference_record", lambda experiment: None)
    tables = opened()
    tables.keep("results", TABLE * 2)
    assert "No tables" in tables.compare()


def test_published_tables_go_where_the_publication_is_laid_together(place, monkeypatch):
    monkeypatch.setenv(chapters.PUBLISHING, str(place / "staged"))
    tables = opened()
    tables.keep("results", TABLE * 2)
    assert (place / "staged/tables/05_small-results.csv").is_file()
    assert "1 tables agree" in tables.compare()  # the sentence that a comparison will give


def test_equal_tables_differ_nowhere():
    assert first_difference(TABLE, TABLE.copy()) is None


def test_the_committed_files_are_those_that_were_published():
    folder = chapters.reference_folder("demo")
    listed = dict(
        reversed(line.split("  ", 1)) for line in (folder / CHECKSUMS).read_text().splitlines()
    )
    for name, expected in listed.items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert found == expected, f"{name} was changed by hand; publish it anew"
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert present - {CHECKSUMS} == listed.keys()


def test_one_changed_digit_changes_a_checksum(tmp_path):
    (tmp_path / "tables").mkdir()
    table, notebook = tmp_path / "tables/a.csv", tmp_path / "a.ipynb"
    table.write_text("f1,0.7264\n")
    notebook.write_text("{}")
    write_checksums(tmp_path)
    first = (tmp_path / CHECKSUMS).read_text()
    assert re.findall(r"  (.*)\n", first) == ["a.ipynb", "tables/a.csv"]
    table.write_text("f1,0.7265\n")
    write_checksums(tmp_path)
    second = (tmp_path / CHECKSUMS).read_text()
    changed = [a != b for a, b in zip(first.splitlines(), second.splitlines(), strict=True)]
    assert changed == [False, True]
