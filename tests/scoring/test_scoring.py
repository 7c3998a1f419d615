"""Scoring anybody's files: what can be scored is, what cannot is named."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.special import logit

from conftest import demo_detector, draw_image
from layerfusion.errors import UserError
from layerfusion.model.detector import Detector
from layerfusion.model.weights import resolved
from layerfusion.scoring.files import score_images, write_scores
from layerfusion.scoring.inputs import find_images
from layerfusion.settings import LoaderSettings, load_profile

ALONE = LoaderSettings(workers=0)


@pytest.fixture(scope="module")
def detector():
    return demo_detector()


@pytest.fixture
def odd_files(tmp_path):
    """A folder of files as people have them: four bad ones among eight good ones."""
    folder = tmp_path / "odd"
    folder.mkdir()
    photo = draw_image(np.random.default_rng(0), dark=False, size=(90, 80))
    photo.save(folder / "plain.JPG", format="JPEG")
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    photo.quantize(16).save(folder / "palette.png", transparency=0)
    photo.convert("L").save(folder / "grey.png")
    deep = np.asarray(photo.convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "sixteen.png")
    frames = [photo, photo.rotate(90)]
    frames[0].save(folder / "animated.webp", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "rotated.jpg", exif=exif)
    photo.save(folder / "whole.jpg")
    whole = (folder / "whole.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("not a picture")
    (folder / "empty.png").touch()
    (folder / "link.jpg").symlink_to(folder / "gone.jpg")
    return folder


def test_good_files_are_scored_and_bad_ones_named(odd_files, detector):
    images, _ = find_images([odd_files])
    table = score_images(detector, images, loader=ALONE).set_index("image_id")
    bad = table[table["error"].notna()]
    assert set(bad.index) == {"truncated.jpg", "text.jpg", "empty.png", "link.jpg"}
    assert bad["probability"].isna().all() and bad["predicted"].isna().all()
    good = table[table["error"].isna()]
    assert len(good) == 8 and good["probability"].between(0, 1).all()
    assert (good["predicted"] == (good["probability"] >= good["threshold"])).all()
    assert table["threshold"].nunique() == 1
    assert table["warning"].str.contains("mean nothing for real photographs").all()


def test_a_score_depends_on_its_image_alone(odd_files, detector):
    images, _ = find_images([odd_files])
    together = score_images(detector, images, loader=ALONE).set_index("image_id")["probability"]
    alone = score_images(detector, {"grey.png": images["grey.png"]}, loader=ALONE)["probability"][0]
    assert together["grey.png"] == pytest.approx(alone, abs=1e-6)
    in_workers = score_images(detector, images, loader=LoaderSettings(workers=2))
    np.testing.assert_array_equal(in_workers["probability"].to_numpy(), together.to_numpy())


def test_the_demo_detector_is_of_the_current_demo_profile(detector):
    profile = load_profile("demo")
    assert detector.encoder_settings == resolved(profile.encoder)
    assert (detector.head_settings, detector.image_settings) == (profile.head, profile.images)
    assert detector.notice == profile.notice


def test_scores_are_written_in_full_and_read_back(odd_files, detector, tmp_path):
    images, _ = find_images([odd_files])
    table = score_images(detector, images, loader=ALONE)
    write_scores(table, tmp_path / "scores.csv")
    read = pd.read_csv(tmp_path / "scores.csv")
    assert list(read.columns) == [
        "image_id",
        "logit",
        "probability",
        "predicted",
        "threshold",
        "error",
        "warning",
    ]
    for column in ("logit", "probability"):
        np.testing.assert_array_equal(read[column], table[column])
    assert [path.name for path in tmp_path.glob("*scores*")] == ["scores.csv"]


def test_scores_that_cannot_be_written_leave_nothing_behind(detector, tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_scores(pd.DataFrame({"image_id": ["a"]}), tmp_path / "taken")
    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]


def test_images_are_found_in_files_and_folders(tmp_path):
    for name in ("b.jpg", "deep/a.PNG", "__MACOSX/c.jpg", ".hidden.png", "notes.txt"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "strange.name").touch()
    images, passed_over = find_images([tmp_path / "in", tmp_path / "strange.name"])
    assert list(images) == ["b.jpg", "deep/a.PNG", "strange.name"]
    assert passed_over == 1


def test_equal_names_in_two_folders_keep_their_paths(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").touch()
    images, _ = find_images([tmp_path / "one", tmp_path / "two"])
    assert list(images) == [str(tmp_path / "one" / "a.jpg"), str(tmp_path / "two" / "a.jpg")]


def test_every_input_has_an_id_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("d/x", "x", "y"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.jpg").touch()
    names = ["d", "x/a.jpg", "y/a.jpg", "x/a.jpg"]
    images, _ = find_images([Path(name) for name in names])
    assert len(images) == 4
    assert sorted(file.as_posix() for file in images.values()) == [
        "d/x/a.jpg", "x/a.jpg", "x/a.jpg", "y/a.jpg",
    ]  # fmt: skip


@given(st.lists(st.sampled_from(["a.jpg", "b/a.jpg", "b", "c", "c/b/a.jpg", "."]), min_size=1))
def test_no_input_is_lost_to_its_name(names):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("a.jpg", "b/a.jpg", "c/b/a.jpg"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        inside = {"b": 1, "c": 1, ".": 3}
        images, _ = find_images([root / name for name in names])
        assert len(images) == sum(inside.get(name, 1) for name in names)


def test_a_name_that_is_not_utf8_is_escaped(tmp_path, detector):
    draw_image(np.random.default_rng(0), dark=False).save(tmp_path / "a.png")
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    (tmp_path / "a.png").rename(path)
    for where in (tmp_path, path):
        images, _ = find_images([where])
        assert list(images) == ["caf\\xe9.png"]
        table = score_images(detector, images, loader=ALONE)
        assert table["error"].isna().all()
        write_scores(table, tmp_path / "scores.csv")
        assert "caf\\xe9.png" in (tmp_path / "scores.csv").read_text(encoding="utf-8")
        (tmp_path / "scores.csv").unlink()


def test_the_image_at_the_threshold_has_one_label(odd_files):
    detector, (images, _) = demo_detector(), find_images([odd_files])
    prob = score_images(detector, images, loader=ALONE).set_index("image_id")["probability"]
    for shift in (-1e-8, 0, 1e-8):
        detector.threshold = prob["grey.png"] + shift
        table = score_images(detector, images, loader=ALONE).set_index("image_id")
        assert table["predicted"]["grey.png"] == 1
        assert table["probability"]["grey.png"] == detector.threshold


def test_a_score_that_is_no_number_is_no_label(odd_files):
    detector, (images, _) = demo_detector(), find_images([odd_files / "grey.png"])
    with torch.no_grad():
        next(detector.head.parameters()).fill_(float("nan"))
    table = score_images(detector, images, loader=ALONE)
    assert table["probability"].isna().all() and table["predicted"].isna().all()
    assert table["error"].tolist() == ["the detector's score is not a number"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_detector_of_endless_numbers_is_refused(value, tmp_path):
    detector = demo_detector()
    with torch.no_grad():
        next(detector.head.parameters()).view(-1)[0] = value
    detector.save(tmp_path / "detector")
    with pytest.raises(UserError, match="not finite"):
        Detector.load(tmp_path / "detector")


def test_nothing_to_score_is_said(tmp_path):
    with pytest.raises(UserError, match="there are no images in"):
        find_images([tmp_path])
    with pytest.raises(UserError, match="there is no file or folder"):
        find_images([tmp_path / "nowhere"])


def test_a_detector_without_a_threshold_is_refused(detector, tmp_path):
    uncalibrated = demo_detector()
    uncalibrated.threshold = None
    with pytest.raises(UserError, match="no threshold"):
        score_images(uncalibrated, {"a": tmp_path / "a.jpg"}, loader=ALONE)


def test_scores_far_below_one_in_a_million_are_still_told_apart(monkeypatch):
    found = [0.9e-9, 0.99999e-7, 1e-7 * (1 - 1e-9), 1e-7, 1e-6]
    table = pd.DataFrame({"logit": logit(found), "error": [None] * len(found)})
    monkeypatch.setattr("layerfusion.scoring.files.score_files", lambda *_, **__: table)
    detector = demo_detector()
    detector.threshold = 1e-7
    scored = score_images(detector, {str(number): Path("x") for number in range(len(found))})
    assert scored["predicted"].tolist() == [0, 0, 1, 1, 1]  # the third is the threshold's own image
