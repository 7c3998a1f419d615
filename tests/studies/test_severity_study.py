"""A detector under conditions: one row each, resumed where it was, read again as it was written."""

import numpy as np
import pandas as pd
import pytest

from conftest import draw_image
from layerfusion.analysis.corruptions import corruption_table
from layerfusion.errors import UserError
from layerfusion.figures.severity import draw_severity, what_was_measured
from layerfusion.model.detector import Detector
from layerfusion.paths import runs_root
from layerfusion.runs.experiment import Experiment
from layerfusion.scoring.shipped import DEMO_FOLDER
from layerfusion.studies import severity


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder of labelled images, two of each class for validation."""
    monkeypatch.setenv("LAYERFUSION_RUNS", str(tmp_path / "runs"))
    for split in ("train/a", "val"):
        for kind in ("real", "synthetic"):
            folder = tmp_path / "data" / split / kind
            folder.mkdir(parents=True)
            for number in range(3):
                rng = np.random.default_rng([number, kind == "real", len(split)])
                draw_image(rng, dark=kind == "real", size=(80, 70)).save(folder / f"{number}.png")
    return tmp_path / "data"


def opened(tree):
    settings = {"runs.open.train_sources": ["a"], "runs.constrained.train_sources": ["a"]}
    return Experiment.open("open", profile="folder", data_root=tree, overrides=settings)


def run(tree, per_class=2, detector=DEMO_FOLDER):
    return severity.severity_study(
        detector, opened(tree).validation, profile="folder", per_class=per_class, seed=0,
        command="test",
    )  # fmt: skip


def test_each_image_has_a_row_a_condition_and_is_scored_once(tree, tmp_path, monkeypatch):
    finished = run(tree)
    assert len(finished.predictions) == 4 * len(severity.CONDITIONS)
    assert finished.predictions["logit"].notna().all()
    (log,) = (runs_root() / "folder").glob("severity-*.log.txt")
    assert "DEBUG 4 images under" in log.read_text(encoding="utf-8")
    monkeypatch.setattr(severity, "_logits", None)  # nothing is left to score
    again = run(tree)
    pd.testing.assert_frame_equal(again.predictions, finished.predictions)
    severity.publish(finished, tmp_path)
    read = severity.read_severity(tmp_path)
    pd.testing.assert_frame_equal(read.predictions, finished.predictions)
    assert read.record == finished.record
    table = corruption_table(read.predictions, read.record.threshold)
    assert len(draw_severity(table, severity.CURVES).axes) == len(severity.CURVES)
    assert "2 photographs" in what_was_measured(read)


def test_clean_logits_are_those_of_scoring(tree):
    from layerfusion.scoring.files import score

    finished = run(tree)
    clean = finished.predictions.query("condition == 'clean'").set_index("image_id")["logit"]
    scores = score(tree / "val", Detector.load(DEMO_FOLDER)).set_index("image_id")["logit"]
    for image, logit in clean.items():
        assert scores[image.removeprefix("val/")] == pytest.approx(logit, abs=1e-4)


def test_it_goes_on_where_it_was(tree, monkeypatch):
    whole, seen = run(tree), []
    (kept,) = (tree.parent / "runs" / "folder").glob("severity-*.parquet")
    rows = pd.read_parquet(kept)
    rows[rows["image_id"] == rows["image_id"].iloc[0]].to_parquet(kept)
    real = severity._logits
    monkeypatch.setattr(severity, "_logits", lambda *given: seen.append(given[1]) or real(*given))
    pd.testing.assert_frame_equal(run(tree).predictions, whole.predictions)
    assert len(seen) == 3


def test_too_few_images_is_one_sentence(tree):
    with pytest.raises(UserError, match="4 images of each class are asked for"):
        run(tree, per_class=4)


def test_a_table_that_is_not_of_the_record_is_refused(tree, tmp_path):
    finished = run(tree)
    severity.publish(finished, tmp_path)
    finished.predictions.iloc[1:].to_parquet(tmp_path / severity.PREDICTIONS)
    with pytest.raises(UserError, match="is not the table of"):
        severity.read_severity(tmp_path)
    (tmp_path / severity.RECORD).write_text("{}")
    with pytest.raises(UserError, match="is not a valid study of conditions"):
        severity.read_severity(tmp_path)


def test_a_folder_as_hubs_have_it_is_scored_alike(tree, tmp_path):
    Detector.load(DEMO_FOLDER).save_pretrained(tmp_path / "pretrained")
    again = run(tree, detector=tmp_path / "pretrained")
    pd.testing.assert_frame_equal(again.predictions, run(tree).predictions)
