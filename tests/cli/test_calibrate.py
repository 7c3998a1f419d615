"""`layerfusion calibrate` as a person uses it, with the toy: what is said, and what is made."""

import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from conftest import demo_detector, draw_image
from layerfusion.apps.release.calibration import (
    as_values,
    calibrate,
    calibration_html,
    notice,
    sentences,
    write_calibrated,
)
from layerfusion.apps.release.own_images import find_own_images
from layerfusion.apps.release.seen_images import seen_images
from layerfusion.errors import UserError
from layerfusion.model.detector import Detector
from layerfusion.model.folder import TRAINED
from layerfusion.scoring.detectors import DEMO_FOLDER, read_reference


def draw(root, *, dark, count=26):
    """Draw images of both classes in four folders, one of them of photographs alone."""
    rng = np.random.default_rng(0)
    for label in ("real", "synthetic"):
        for number in range(count):
            folder = (
                root / label / ("scans" if label == "real" and number % 2 else f"s{number % 3}")
            )
            folder.mkdir(parents=True, exist_ok=True)
            image = draw_image(rng, dark=(label == dark), size=(72, 70))
            image.save(folder / f"{number:02d}.png")
    return root


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """Dark pictures that are photographs: the toy ranks these so, far above its threshold."""
    return draw(tmp_path_factory.mktemp("own") / "mine", dark="real")


@pytest.fixture(scope="module")
def calibration(mine):
    return calibrate(demo_detector(), find_own_images(mine))


@pytest.fixture(scope="module")
def made(calibration, tmp_path_factory):
    """The calibrated folder, and what is said of it as plain values."""
    folder = tmp_path_factory.mktemp("made") / "calibrated"
    write_calibrated(calibration, DEMO_FOLDER, folder)
    return folder, as_values(calibration)


def test_a_better_threshold_is_taken_and_used(run, made, mine):
    folder, answer = made
    threshold = answer["threshold"]
    assert threshold["changed"] and threshold["gain_in_balanced_accuracy"]["low"] > 0
    assert threshold["taken"] == threshold["new"]["estimate"] != threshold["old"]
    assert threshold["old"] == demo_detector().threshold
    assert Detector.load(folder).threshold == threshold["taken"]
    status, out, err = run("score", mine / "real", "--detector", folder)
    assert status == 0, err
    scores = pd.read_csv(io.StringIO(out))
    assert (scores["threshold"] == threshold["taken"]).all()
    assert scores["predicted"].mean() < 0.5  # before, the toy called every one of them synthetic
    assert scores["warning"].str.contains("its threshold was chosen on 52 images").all()


def test_the_folder_is_the_detector_with_these_images_scores(run, made, mine):
    folder, answer = made
    assert (folder / TRAINED).read_bytes() == (DEMO_FOLDER / TRAINED).read_bytes()
    reference = read_reference(folder)
    assert np.bincount(reference.label).tolist() == [26, 26]
    picture = next((mine / "real").rglob("*.png"))
    status, out, err = run("inspect", picture, "--detector", folder, "--json")
    assert status == 0, err
    logit = json.loads(out)["pictures"][0]["scores"][0]["logit"]
    assert np.abs(reference.logit[reference.label == 0] - logit).min() < 1e-3
    lines = sorted(
        f"{label} {hashlib.sha256(file.read_bytes()).hexdigest()}\n"
        for label, name in enumerate(("real", "synthetic"))
        for file in (mine / name).rglob("*.png")
    )
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    record = json.loads((folder / "calibration.json").read_text())
    assert record["images"]["sha256"] == answer["images"]["sha256"] == expected
    assert record["layerfusion"] and len(record["code_sha256"]) == 64


def test_shortcuts_come_first_and_folders_of_one_class_are_there(made):
    folder, answer = made
    said = answer["text"]
    assert said[1].startswith("Shortcuts: ") and "ROC AUC" in said[1] and len(said) <= 12
    by_name = {row["name"]: row for row in answer["shortcuts"]}
    assert by_name["the file format"]["roc_auc"] == 0.5  # all are PNG
    rows = {row["folder"]: row for row in answer["folders"]}
    assert rows["scans"]["recall"] is None and rows["scans"]["against"] == "all synthetic"
    card = (folder / "MODEL_CARD.md").read_text()
    assert all(sentence in card for sentence in said) and "| scans | 13 | 0 |" in card


def test_images_that_the_detector_was_trained_on_are_counted(mine, calibration):
    own = find_own_images(mine)
    seen = seen_images(own.manifest.rows[:7], own.manifest.rows[5:10])
    known = calibrate(demo_detector(), own, seen=seen)
    said = "Seen before: the detector was trained on 7 and was chosen on 3 of these images."
    assert any(said in sentence for sentence in sentences(known))
    assert "10 of these it had seen before" in notice(known, None)
    assert as_values(known)["images"]["seen_before"] == {"training": 7, "choice": 3}
    unknown = next(sentence for sentence in sentences(calibration) if "Seen before" in sentence)
    assert unknown.endswith("Which images it was trained on is not known.")
    assert "seen" not in notice(calibration, None)


@pytest.mark.parametrize(
    ("low", "told"), [(0.9, "clearly separates"), (0.65, "somewhat separates"), (0.5, None)]
)
def test_a_shortcut_is_in_the_notice_also_where_it_is_of_middling_strength(calibration, low, told):
    shortcuts = calibration.shortcuts.assign(roc_auc_low=low)
    said = notice(replace(calibration, shortcuts=shortcuts), "Before")
    assert said.startswith("Before; its threshold was chosen on 52 images")
    if told is None:
        assert "separates" not in said
    else:
        assert f"whose classes {shortcuts['name'].iloc[0]} alone {told}" in said


def test_an_old_threshold_is_kept_where_a_new_one_may_be_no_better(run, mine, made, tmp_path):
    again = tmp_path / "again"  # what was calibrated is calibrated again
    status, out, err = run("calibrate", mine, "--out", again, "--detector", made[0])
    assert status == 0, err
    assert "Threshold: kept" in out and "Why kept" in out and "Use it: " in out
    assert "Seen before: the detector was chosen on 52 of these images." in out
    assert "Which images it was trained on is not known." in out
    assert Detector.load(again).threshold == Detector.load(made[0]).threshold
    card = (again / "MODEL_CARD.md").read_text()
    assert card.count("## On its user's own images") == 2
    assert card.index("Threshold: kept") < card.index("Threshold: new")


def test_a_program_gets_the_same_and_the_folder_is_the_same(run, mine, made, tmp_path):
    folder = tmp_path / "second"
    status, out, err = run("calibrate", mine, "--out", folder, "--detector", "demo", "--json")
    assert status == 0, err
    assert json.loads(out) == json.loads(json.dumps(made[1])) | {"folder": str(folder)}
    for path in made[0].iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_swapped_folders_are_noticed_and_what_is_unreadable_is_named(run, tmp_path):
    swapped = draw(tmp_path / "swapped", dark="synthetic")
    (swapped / "real" / "bad.jpg").write_text("no picture")
    page = tmp_path / "report.html"
    command = ["calibrate", swapped, "--out", tmp_path / "out", "--report", page]
    status, out, err = run(*command, "--detector", "demo")
    assert status == 0, err
    assert f"open {page}" in err
    assert "the wrong way round" in out and "Threshold: kept" in out
    assert "left out: real/bad.jpg (real): not an image" in err
    assert "Left out: 1 real that cannot be read." in out
    html = page.read_text(encoding="utf-8")
    assert "the wrong way round" in html and "bad.jpg: not an image" in html


def test_the_page_says_what_the_terminal_does_and_stands_alone(calibration):
    folder = calibration.folders["folder"].iloc[0]
    table = calibration.folders.replace(folder, "<b>bold</b>")
    html = calibration_html(replace(calibration, folders=table), "A <i>toy</i>.")
    soup = BeautifulSoup(html, "html.parser")
    assert soup.select("b, i, script") == []
    listed = [item.text for item in soup.select("section[aria-label='Results'] li")]
    assert listed == sentences(replace(calibration, folders=table))
    assert soup.aside.text.strip() == "Before you read on. A <i>toy</i>."
    rows = soup.select("section[aria-label='By folder'] tbody tr")
    assert [row.th.text for row in rows] == list(table["folder"])
    addresses = [tag.get("src") or tag.get("href") for tag in soup.select("[src], [href]")]
    assert addresses == ["data:,"] and "@import" not in html and "url(" not in html


def test_a_detector_without_a_threshold_is_refused(mine):
    uncalibrated = demo_detector()
    uncalibrated.threshold = None
    with pytest.raises(UserError, match="no threshold"):
        calibrate(uncalibrated, find_own_images(mine))


def test_a_folder_as_hubs_have_it_can_be_calibrated_too(calibration, tmp_path):
    demo_detector().save_pretrained(tmp_path / "pretrained")
    write_calibrated(calibration, tmp_path / "pretrained", tmp_path / "calibrated")
    assert Detector.load(tmp_path / "calibrated").threshold == calibration.choice.threshold
