"""The profile `paper` on small trees of the publishers' shapes, scaled down by parameters alone."""

import pandas as pd
import pytest

import trees
from cells import execute
from layerfusion.pages.chapters.execution import DEMO_CHAPTERS
from layerfusion.pages.chapters.parameters import chapter_paths

CHAPTERS = [name for name in chapter_paths() if not name.startswith(DEMO_CHAPTERS)]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """What all seven chapters show, on trees with everything that people met in the archives."""
    root = tmp_path_factory.mktemp("data")
    shape = {
        "upper_case": True, "macosx": True, "corrupt": True, "empty": True, "duplicates": 2,
        "half_extracted": ("synthbuster",), "images": 2,
    }  # fmt: skip
    planted = trees.plant(root, **shape)
    labels = root / "labels.csv"
    official = {path.rpartition("/")[2]: y for path, y in planted["mediaeval_test"].items()}
    pd.Series(official, name="label").rename_axis("image_id").to_csv(labels)
    runs = tmp_path_factory.mktemp("runs")
    settings = trees.SMALL | {"data.test_labels": "labels.csv"}
    given = {"profile": "paper", "data_root": str(root), "settings": settings}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFUSION_RUNS", str(runs))
        texts = {chapter: execute(chapter, given, patch) for chapter in CHAPTERS}
    return texts, runs / "paper"


def tables_of(folder, chapter):
    found = (folder / "chapters" / "tables").glob(f"{chapter}-*.csv")
    return {path.stem.partition("-")[2]: pd.read_csv(path) for path in found}


def test_all_seven_chapters_come_to_their_end(executed):
    texts, _ = executed
    assert len(texts) == 7 and all(texts.values())


def test_every_cell_of_the_papers_tables_is_filled_and_judged(executed):
    _, folder = executed
    for chapter, name in (("04_official_results", "table_1"), ("05_robustness", "table_2")):
        table = tables_of(folder, chapter)[name]
        assert table[["paper", "run", "low", "high", "difference"]].notna().all(axis=None)
        assert set(table["verdict"]) <= {"agrees", "differs"}


def test_every_file_that_was_left_out_is_named(executed):
    for chapter in ("00_data", "02_constrained_run"):
        text = executed[0][chapter]
        assert "x_618.JPG" in text and "empty file" in text
        assert "__MACOSX" not in text


def test_runs_use_what_the_quotas_say(executed):
    _, folder = executed
    for name, count in (("constrained", 12), ("open", 12 + 6 + 24)):
        (directory,) = folder.glob(f"{name}-seed1337-*[0-9a-f]")
        paths = (directory / "selection.txt").read_text().split()
        assert len(paths) == count
        assert not any("PreSocial" in path for path in paths)


def test_submissions_and_held_out_sets_are_on_the_pages(executed):
    _, folder = executed
    submissions = tables_of(folder, "04_official_results")["submissions"]
    assert submissions["mistakes"].isna().all() and (submissions["images"] == 8).all()
    held_out = tables_of(folder, "06_analysis")["held_out"]
    assert {"synthbuster", "wang"} <= set(held_out["source"])


def test_nothing_on_these_pages_is_of_the_demo(executed):
    for chapter in ("04_official_results", "05_robustness", "06_analysis"):
        text = executed[0][chapter]
        assert "cannot be compared" not in text and "demo profile" not in text
