"""Which of somebody's images a detector has seen: by their bytes, and only where it is known."""

import shutil

import pandas as pd
import pytest

from conftest import manifest_rows
from layerfusion.apps.release.seen_images import (
    CHOSEN_ON,
    DIGITS,
    TRAINED_ON,
    count_seen,
    read_seen,
    seen_images,
    used_images,
    write_seen,
)
from layerfusion.data.manifest import Manifest
from layerfusion.errors import UserError
from layerfusion.paths import reference_folder
from layerfusion.scoring.detectors import DEFAULT_FOLDER, DEMO_FOLDER


def rows(*hashes, **more):
    return pd.DataFrame({"sha256": [one * 64 for one in hashes]} | more)


def test_each_image_counts_once_and_training_goes_before():
    seen = seen_images(rows("a", "b"), rows("b", "c"))
    assert count_seen(seen, rows("a", "b", "c", "d")) == {TRAINED_ON: 2, CHOSEN_ON: 1}
    assert count_seen(seen, rows("e")) == {TRAINED_ON: 0, CHOSEN_ON: 0}


def test_what_is_not_known_is_none_and_not_zero():
    assert count_seen(None, rows("a")) == {TRAINED_ON: None, CHOSEN_ON: None}
    assert count_seen(used_images(rows("a"), CHOSEN_ON), rows("a")) == {
        TRAINED_ON: None,
        CHOSEN_ON: 1,
    }
    assert seen_images(rows("a"), rows("b").assign(sha256=pd.NA)) is None
    assert read_seen(DEMO_FOLDER) is None


def test_a_list_comes_back_each_image_once(tmp_path):
    seen = pd.concat([seen_images(rows("a"), rows("b")), used_images(rows("b", "0"), CHOSEN_ON)])
    write_seen(seen, tmp_path)
    read = read_seen(tmp_path)
    assert read.to_dict("list") == {
        "sha256": [one * DIGITS for one in "0ba"],
        "use": [CHOSEN_ON, CHOSEN_ON, TRAINED_ON],
    }


def test_a_runs_detector_knows_the_images_that_were_selected(tmp_path):
    table = manifest_rows(
        {"path": "w", "split": "train", "label": 0, "sha256": "a" * 64},
        {"path": "x", "split": "train", "label": 1, "sha256": "b" * 64},
        {"path": "y", "split": "val", "label": 0, "sha256": "c" * 64},
        {"path": "z", "split": "test", "label": 1, "sha256": "d" * 64},
    )
    skipped = pd.DataFrame({"path": [], "reason": []})
    Manifest(tmp_path, table, skipped).save(tmp_path / "manifest.parquet")
    (tmp_path / "selection.txt").write_text("w\n")
    assert count_seen(read_seen(tmp_path / "detector"), table) == {TRAINED_ON: 1, CHOSEN_ON: 1}


def test_the_shipped_detectors_list_is_of_the_images_of_its_study():
    images = pd.read_parquet(reference_folder("photographs") / "images.parquet")
    training, validation = (images[images["split"] == split] for split in ("train", "val"))
    seen = read_seen(DEFAULT_FOLDER)
    assert count_seen(seen, training) == {TRAINED_ON: len(training), CHOSEN_ON: 0}
    assert count_seen(seen, validation) == {TRAINED_ON: 0, CHOSEN_ON: len(validation)}
    card = (DEFAULT_FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    real, synthetic = ((training["label"] == label).sum() for label in (0, 1))
    assert f"{real:,} real and {synthetic:,} synthetic images" in card
    assert len(seen) == len(training) + len(validation) == len(images)


@pytest.mark.parametrize("text", ["", "sha256\naa\n", "sha256,use\naa,looking\n"])
def test_a_list_that_is_none_is_said(text, tmp_path):
    shutil.copy(DEFAULT_FOLDER / "detector.json", tmp_path)
    (tmp_path / "seen_images.csv").write_text(text)
    with pytest.raises(UserError, match=r"seen_images\.csv"):
        read_seen(tmp_path)
