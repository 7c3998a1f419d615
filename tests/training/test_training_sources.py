"""Features of a frozen encoder in place of images: the same run, and every view prepared once."""

import shutil

import pandas as pd
import pytest

from conftest import open_tiny
from layerfusion.data.loading import EvaluationImages, TrainingImages
from layerfusion.errors import UserError
from layerfusion.training import sources

FROZEN = {
    "encoder.trained_blocks": 0,
    "training.views": 2,
    "training.epochs": 3,
    "training.patience": 3,
    "loader.prefix_cache": True,
}


@pytest.fixture
def prepared(monkeypatch):
    """Count how many training views and evaluation crops are prepared."""
    counts = {"views": 0, "crops": 0}
    for kind, of in (("views", TrainingImages), ("crops", EvaluationImages)):

        def counted(self, item, *, kind=kind, get=of.__getitem__):
            counts[kind] += 1
            return get(self, item)

        monkeypatch.setattr(of, "__getitem__", counted)
    return counts


@pytest.mark.parametrize(
    ("changed", "views"),
    [
        ({}, 2),
        ({"encoder.trained_blocks": 1}, 3),
        ({"training.views": None}, 3),
        ({"loader.prefix_cache": False}, 3),
    ],
)
def test_the_run_is_the_same_and_what_is_kept_is_prepared_once(
    photos, prepared, monkeypatch, tmp_path, changed, views
):
    kept = open_tiny(photos, overrides=FROZEN | changed).obtain()
    images = kept.record.data
    assert (views - 1) * images["training_images"] < prepared["views"]
    assert prepared["views"] <= views * images["training_images"]
    assert prepared["crops"] == images["validation_images"]

    monkeypatch.setenv("LAYERFUSION_CACHE", str(tmp_path / "another"))
    monkeypatch.setattr(sources.Source, "keeps_views", False)
    monkeypatch.setattr(sources, "MEMORY_LIMIT", 0)
    prepared.update(views=0, crops=0)
    plain = open_tiny(photos, overrides=FROZEN | changed).obtain(fresh=True)
    assert prepared["views"] == 3 * images["training_images"]
    assert prepared["crops"] == 3 * images["validation_images"]
    assert kept.record.history == plain.record.history
    assert kept.record.threshold == plain.record.threshold
    pd.testing.assert_frame_equal(kept.predictions(), plain.predictions())


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_file_that_cannot_be_read_is_named(photos, tmp_path, split):
    photos = shutil.copytree(photos, tmp_path / "photos")  # other tests read them whole
    experiment = open_tiny(photos, overrides=FROZEN)
    rows = experiment.used.rows
    path = photos / rows.loc[rows["split"] == split, "path"].iloc[0]
    path.write_bytes(b"not an image")
    with pytest.raises(UserError, match=path.name):
        experiment.obtain()
