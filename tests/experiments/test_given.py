"""Finished detectors under conditions: the package's, one of a hub, and those of a stranger."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from conftest import draw_classes
from layerfusion.analysis.corruptions import corruption_table, logit_shifts
from layerfusion.analysis.effects import Contrast, difference
from layerfusion.apps.release.own_images import find_own_images
from layerfusion.errors import UserError
from layerfusion.experiments import corruptions, given
from layerfusion.experiments.corruptions import CONDITIONS, CURVES, corruption_study
from layerfusion.experiments.detectors import detector_study
from layerfusion.experiments.record import publish, published_study
from layerfusion.experiments.study import Study
from layerfusion.experiments.variant import Variant
from layerfusion.model.detector import Detector
from layerfusion.pages.figures.corruptions import draw_corruptions
from layerfusion.runs.experiment import Experiment
from layerfusion.scoring.detectors import DEMO_FOLDER
from layerfusion.scoring.files import score

SHORT = ("clean", "jpeg-85", "shrink-50+jpeg-75")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder of labelled images, three of each class for validation."""
    monkeypatch.setenv("LAYERFUSION_RUNS", str(tmp_path / "runs"))
    counts = {"train/a": 3, "val": 3}
    draw_classes(tmp_path / "data", counts, np.random.default_rng(2), other=(80, 70))
    return tmp_path / "data"


OF_TREE = {"runs.open.train_sources": ["a"], "runs.constrained.train_sources": ["a"]}


def images_of(tree):
    opened = Experiment.open("open", profile="folder", data_root=tree, overrides=OF_TREE)
    return opened.validation


def study_of(tree, per_class=2, detector=DEMO_FOLDER):
    loaded = Detector.load(detector)
    return corruption_study(loaded, images_of(tree), per_class=per_class, seed=0, command="test")


@pytest.fixture
def shortly(monkeypatch):
    """Three conditions in place of all of them."""
    monkeypatch.setattr(corruptions, "CONDITIONS", SHORT)


def test_each_image_has_a_row_a_condition_and_is_scored_once(tree, tmp_path, monkeypatch):
    finished = study_of(tree).obtain()
    assert len(finished.predictions) == 4 * len(CONDITIONS)
    assert finished.predictions["logit"].notna().all()
    log = (finished.directory / "log.txt").read_text(encoding="utf-8")
    assert "run 1 of 1: detector, seed 0" in log
    monkeypatch.setattr(given, "_logits", None)  # nothing is left to score
    (finished.directory / "study.json").rename(tmp_path / "former.json")
    again = study_of(tree).obtain()
    pd.testing.assert_frame_equal(again.predictions, finished.predictions)
    (tmp_path / "reference").mkdir()
    publish(again, tmp_path / "reference")
    read = published_study(tmp_path / "reference", "corruptions")
    pd.testing.assert_frame_equal(read.predictions, finished.predictions)
    assert read.record == again.record and len(read.effects) == len(CONDITIONS) - 1
    table = corruption_table({on: own["detector"] for on, own in read.scored.items()})
    assert table.index.tolist() == list(CONDITIONS)
    assert table["difference"].iloc[1:].to_numpy() == pytest.approx(
        read.effects["effect"].to_numpy(), abs=1e-12
    )
    assert len(draw_corruptions(table, CURVES).axes) == len(CURVES)
    assert read.record.data["per_class"] == 2
    assert len(logit_shifts({on: own["detector"] for on, own in read.scored.items()})) == 64


def test_clean_logits_are_those_of_scoring(tree, shortly):
    clean = study_of(tree).obtain().predictions.query("condition == 'clean'")
    scores = score(tree / "val", Detector.load(DEMO_FOLDER)).set_index("image_id")["logit"]
    for image, logit in clean.set_index("image_id")["logit"].items():
        assert scores[image.removeprefix("val/")] == pytest.approx(logit, abs=1e-4)


def test_interrupted_it_resumes(tree, monkeypatch, shortly):
    whole, seen = study_of(tree).obtain(), []
    (kept,) = (tree.parent / "runs" / "folder" / "cells").glob("detector-*.parquet")
    rows = pd.read_parquet(kept)
    rows[rows["image_id"] == rows["image_id"].iloc[0]].to_parquet(kept)
    (whole.directory / "study.json").unlink()
    real = given._logits
    monkeypatch.setattr(given, "_logits", lambda *args: seen.append(args[1]) or real(*args))
    pd.testing.assert_frame_equal(study_of(tree).obtain().predictions, whole.predictions)
    assert len(seen) == 3


def test_too_few_images_is_one_sentence(tree):
    with pytest.raises(UserError, match="4 images of each class are asked for"):
        study_of(tree, per_class=4)


def test_a_folder_as_hubs_have_it_is_scored_alike(tree, tmp_path, shortly):
    Detector.load(DEMO_FOLDER).save_pretrained(tmp_path / "pretrained")
    first = study_of(tree).obtain()
    again = study_of(tree, detector=tmp_path / "pretrained")
    assert again.key() == first.record.key
    pd.testing.assert_frame_equal(again.obtain().predictions, first.predictions)


# --- a stranger's detectors -----------------------------------------------------------------------


class Lightness(nn.Module):
    """How light a crop is: synthetic images are dark here, so that it is wrong throughout."""

    def forward(self, images):
        assert images.dtype == torch.uint8 and images.shape[1:] == (3, 224, 224)
        return images.float().mean(dim=(1, 2, 3)) / 50


def darkness(paths):
    """How dark files are: right throughout."""
    return [-float(np.asarray(Image.open(path).convert("L")).mean()) / 50 for path in paths]


def strangers(tree, **changes):
    arguments = {
        "name": "mine", "question": "Which?",
        "variants": [Variant("a", "light", given=Lightness()), Variant("b", "b", given=darkness)],
        "contrasts": [
            Contrast("b-above-a", "b above a", difference("roc_auc", ("b", "clean"),
                                                          ("a", "clean"))),
            Contrast("jpeg", "JPEG lowers b", difference("roc_auc", ("b", "clean"),
                                                         ("b", "jpeg-85"))),
        ],
        "conditions": ["clean", "jpeg-85"],
        "images": images_of(tree),
    }  # fmt: skip
    return Study(**arguments | changes)


def test_two_detectors_of_a_stranger_are_compared_on_a_folder(tree):
    finished = strangers(tree).obtain()
    effects = finished.effects.set_index("name")
    assert effects.loc["b-above-a", "effect"] == 1 and effects.loc["jpeg", "effect"] == 0
    assert effects.loc["b-above-a", "verdict"] == "holds"
    assert set(finished.predictions["condition"]) == {"clean", "jpeg-85"}
    # The best F1 on these very images is what a threshold without a word is chosen by.
    assert finished.scored["clean"]["b"].rates["f1"][0, 0] == 1
    assert list((finished.directory.parents[1] / "cells").iterdir())  # the module is kept
    assert strangers(tree).obtain().record.cells == finished.record.cells


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"variants": [Variant("a", "", given=darkness)] * 2}, "have one name"),
        ({"variants": [Variant("c", "", given=darkness)]}, "has no variant 'a'"),
        ({"conditions": ["jpeg-85"]}, "score it on 'clean' images too"),
        (
            {"variants": [Variant("a", "", given=lambda paths: [1.0]), Variant("b", "b",
             given=darkness)]},
            "one number an image",
        ),
        (
            {"variants": [Variant("a", "", given=lambda paths: [90.0] * len(paths)),
                          Variant("b", "b", given=darkness)]},
            "beyond 36",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_said(tree, changes, reason):
    with pytest.raises(UserError, match=reason):
        strangers(tree, **changes).obtain()


# --- the command ----------------------------------------------------------------------------------


def test_the_command_needs_nothing_but_a_folder(tmp_path, run, shortly):
    """Labelled images in folders named real and synthetic: no profile, no training images."""
    draw_classes(tmp_path, {"mine": 25}, np.random.default_rng(3), other=(80, 70))
    assert len(find_own_images(tmp_path / "mine").manifest.rows) == 50
    command = ["study", "corruptions", tmp_path / "mine", "--detector", "demo", "--images", 2]
    status, out, err = run(*command)
    assert status == 0, err
    assert all(name in out for name in SHORT) and "study.json" in out


# --- finished detectors on validation and test images ---------------------------------------------


def test_detectors_are_compared_on_images_whose_labels_come_later(tree, run, tmp_path):
    draw_classes(tree, {"test": 4}, np.random.default_rng(3), other=(80, 70))
    for path in sorted((tree / "test").rglob("*.png")):
        path.rename(tree / "test" / f"{path.parent.name}-{path.name}")
    opened = Experiment.open("open", profile="folder", data_root=tree, overrides=OF_TREE)
    study = detector_study({"mine": Lightness()}, opened, command="test")
    finished = study.obtain()
    assert [variant.name for variant in finished.record.variants] == ["mine", "metadata"]
    assert set(finished.predictions["condition"]) == {"local", "official"}
    verdicts = finished.effects.set_index("name")["verdict"]
    assert (verdicts.filter(like="official") == "not measured").all() and len(verdicts) == 6
    assert len(finished.unlabelled) == 8
    settings = [word for name, value in OF_TREE.items() for word in ("--set", f"{name}={value}")]
    status, out, err = run("study", "detectors", "demo", "-p", "folder", "-d", tree, *settings)
    assert status == 0, err
    assert "demo: local AUC above that of metadata" in out and "every image synthetic" in out
    twice = [tmp_path / run / "detector" for run in ("one", "two")]
    for folder in (*twice, tmp_path / "three" / "one"):
        shutil.copytree(DEMO_FOLDER, folder)
    words = ("study", "detectors", *twice, "-p", "folder", "-d", tree, *settings)
    status, out, err = run(*words)
    assert status == 0 and "one: local AUC above that of two" in out, err
    status, _, err = run(*words, tmp_path / "three" / "one")
    assert status == 2 and "two detectors are called one" in err
    with pytest.raises(UserError, match="the baseline's name"):
        detector_study({"metadata": Lightness()}, opened, command="test")
