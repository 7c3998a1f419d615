"""Tables of chapters: kept, published, held against what is recorded of the same experiment."""

import hashlib
import json
import re

import pandas as pd
import pytest

from conftest import open_tiny
from layerfusion import paths
from layerfusion.analysis import recorded
from layerfusion.files import CHECKSUMS, write_checksums
from layerfusion.pages.chapters import kept_tables, parameters
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.paths import reference_folder

TABLE = pd.DataFrame(
    {"run": ["constrained", "open"], "f1": [0.7011, 0.7264], "roc_auc": [0.71, 0.73]}
)


@pytest.fixture(scope="module")
def experiment(photos, trained):
    """The tiny finished run, and its experiment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFUSION_RUNS", str(trained))
        opened = open_tiny(photos)
        return opened, opened.obtain()


@pytest.fixture
def place(tmp_path, monkeypatch, experiment):
    """A reference folder in which that run and one table are recorded."""
    monkeypatch.delenv(parameters.PUBLISHING, raising=False)
    monkeypatch.setattr(paths, "project_root", lambda: tmp_path)
    reference = reference_folder("demo")
    experiment[1].publish(reference)
    opened(experiment).keep("results", TABLE)
    (tmp_path / "runs/demo/chapters/tables").rename(reference / "tables")
    return reference


def opened(experiment):
    return ChapterTables("05_small", experiment[0])


def edit_record(place, change):
    path = place / "open-seed1337" / "record.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def elsewhere(record):
    """Make a record that of another kind of processor."""
    record["provenance"]["processor"]["model"] += 1


def test_a_kept_table_is_returned_and_lies_below_the_runs(place, experiment, tmp_path):
    tables = opened(experiment)
    assert tables.keep("results", TABLE) is TABLE
    kept = pd.read_csv(tmp_path / "runs/demo/chapters/tables/05_small-results.csv", index_col=0)
    pd.testing.assert_frame_equal(kept, TABLE)
    compared = tables.compare(experiment[1])
    assert compared.verdict == recorded.AGREES and compared.table().empty


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"f1": [0.7011, 0.7265]}, "f1, row 2: 0.7265 here, 0.7264 recorded"),
        ({"run": ["constrained", "closed"]}, "run, row 2"),
        ({"f1": [0.7011, None]}, "f1, row 2"),
        ({"recall": [0.5, 0.6]}, "columns"),
    ],
)
def test_on_the_recorded_processor_every_digit_counts(place, experiment, change, words):
    tables = opened(experiment)
    tables.keep("results", TABLE.assign(**change))
    verdict = tables.compare().verdict
    assert "differ from the recorded execution" in verdict and words in verdict
    tables = opened(experiment)
    tables.keep("others", TABLE)  # which nobody recorded
    assert "others, file" in tables.compare().verdict


def test_a_digit_of_the_record_counts_as_well(place, experiment):
    edit_record(place, lambda record: record["metrics"]["calibrated"].update(f1=0.123))
    compared = opened(experiment).compare(experiment[1])
    assert "open run, f1" in compared.verdict


def test_elsewhere_only_what_is_stable_is_judged(place, experiment, monkeypatch):
    edit_record(place, elsewhere)
    monkeypatch.setattr(kept_tables, "tolerances", lambda folder: {"roc_auc": 0.01})
    tables = opened(experiment)
    tables.keep("results", TABLE.assign(f1=[0.4, 0.4], roc_auc=[0.715, 0.73]))
    compared = tables.compare(experiment[1])
    assert compared.verdict == recorded.AGREES
    assert list(compared.table()["verdict"]) == ["near", "not judged", "not judged"]
    assert "0.715" in compared._repr_html_() and "not judged" in compared._repr_html_()

    tables.keep("results", TABLE.assign(roc_auc=[0.71, 0.5]))
    assert "roc_auc, row 2: 0.5 here" in tables.compare().verdict


def test_elsewhere_a_table_without_runs_must_be_the_same(place, experiment):
    edit_record(place, elsewhere)
    tables = opened(experiment)
    tables.keep("results", TABLE.assign(f1=[0.7011, 0.7265]), fixed=True)
    assert "f1, row 2" in tables.compare().verdict


def test_without_a_record_there_is_nothing_to_compare_with(place, experiment):
    edit_record(place, lambda record: record["settings"]["training"].update(epochs=99))
    tables = opened(experiment)
    tables.keep("results", TABLE * 2)
    assert tables.compare().verdict == recorded.ALONE


def test_what_is_published_goes_where_the_publication_is_laid_together(
    place, experiment, monkeypatch, tmp_path
):
    monkeypatch.setenv(parameters.PUBLISHING, str(tmp_path / "staged"))
    tables = opened(experiment)
    tables.keep("results", TABLE * 2)
    # The sentence that a comparison will give.
    assert tables.compare(experiment[1]).verdict == recorded.AGREES
    assert (tmp_path / "staged/tables/05_small-results.csv").is_file()
    assert (tmp_path / "staged/open-seed1337.json").is_file()


@pytest.mark.parametrize("profile", ["demo", "photographs"])
def test_the_committed_files_are_those_that_were_published(profile):
    folder = reference_folder(profile)
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
