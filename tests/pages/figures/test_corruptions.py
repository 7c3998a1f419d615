"""Corruptions have people's names, and figures show what the tables say."""

import numpy as np
import pytest
from PIL import Image

from conftest import draw_image
from layerfusion.analysis.corruptions import clearly_changed, corruption_table, logit_shifts
from layerfusion.experiments.corruptions import CHAINS, CONDITIONS, PLATFORMS
from layerfusion.experiments.record import published_study
from layerfusion.images.degradations import degradation
from layerfusion.model.detector import Detector
from layerfusion.pages.figures import corruptions
from layerfusion.paths import reference_folder
from layerfusion.scoring.detectors import DEMO_FOLDER
from layerfusion.scoring.files import score


@pytest.fixture(scope="module")
def scored():
    study = published_study(reference_folder("photographs"), "corruptions")
    return {condition: own["detector"] for condition, own in study.scored.items()}


@pytest.fixture(scope="module")
def table(scored):
    return corruption_table(scored)


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        ("clean", "clean"),
        ("jpeg-85", "JPEG 85"),
        ("blur-5", "blur 5/10 px"),
        ("crop-80+webp-75", "centre 80 %, then WebP 75"),
        ("bound-1920+jpeg-77", "Facebook (JPEG 77)"),
    ],
)
def test_conditions_have_names(condition, name):
    assert corruptions.title(condition) == name


def test_no_two_conditions_are_called_the_same():
    names = [corruptions.title(condition) for condition in CONDITIONS]
    assert len(set(names)) == len(CONDITIONS)
    assert not [name for name in names if "-" in name or "+" in name]


def test_a_chain_is_in_training_if_all_of_its_steps_are():
    had = [one for one in ("jpeg-85", *CHAINS) if corruptions.in_training(one)]
    assert had == ["jpeg-85", "shrink-50+jpeg-75", "jpeg-75+jpeg-85"]


def test_conditions_are_divided_by_training(table):
    found = corruptions.by_training(table)
    assert found.index.tolist() == ["in training", "not in training"]
    assert found["conditions"].sum() == len(CONDITIONS) - 1
    untrained = [one for one in CONDITIONS if not corruptions.in_training(one)]
    highest = table.loc[untrained, "fpr"]
    expected = f"{highest.max():.0%} ({corruptions.title(highest.idxmax())})"
    assert found.loc["not in training", "highest FPR"] == expected


def test_a_shift_is_the_median_change_of_a_class(scored):
    shifts = logit_shifts(scored).set_index(["condition", "class"])
    assert len(shifts) == 2 * (len(CONDITIONS) - 1)
    own, real = scored["webp-50"], scored["clean"].label == 0
    change = (own.logits[0] - scored["clean"].logits[0])[real]
    assert shifts.loc[("webp-50", "real"), "shift"] == pytest.approx(np.median(change))
    assert (shifts["low"] <= shifts["shift"]).all() and (shifts["shift"] <= shifts["high"]).all()


def test_clear_changes_are_those_that_stay_after_correction(table):
    assert clearly_changed(table.assign(fpr_p_holm=1.0), "fpr") == []
    assert clearly_changed(table.assign(fpr_p_holm=0.0), "fpr") == list(CONDITIONS)


def test_each_condition_has_a_row_and_the_largest_rise_is_on_top(scored):
    (axes,) = corruptions.draw_shifts(logit_shifts(scored)).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == len(CONDITIONS) - 1
    assert names[0] == corruptions.title("avif-40") and axes.yaxis_inverted()


def test_conditions_stand_beside_clean_images(table):
    figure = corruptions.draw_conditions(table, [*PLATFORMS.values(), *CHAINS])
    change, recall, _ = figure.axes
    assert len(change.get_yticks()) == 1 + len(PLATFORMS) + len(CHAINS)
    assert change.get_yticklabels()[0].get_text() == "clean"
    assert change.lines[-1].get_xdata()[0] == 0
    assert recall.lines[-1].get_xdata()[0] == table.loc["clean", "recall"]
    shown = corruptions.shown(table)
    assert shown.index[1] == "JPEG 95" and shown.shape == (len(CONDITIONS), 4)


def test_a_strip_shows_the_image_its_degradation_and_their_difference(tmp_path):
    image = draw_image(np.random.default_rng(5), dark=False)
    image.save(tmp_path / "one.png")
    wanted = {"strong JPEG": "jpeg-20", "smaller": "shrink-50"}
    figure = corruptions.strips(image, Detector.load(DEMO_FOLDER), wanted)
    logit = score(tmp_path, Detector.load(DEMO_FOLDER))["logit"].iloc[0]
    grid = np.reshape(figure.axes, (2, 3))
    assert grid[0, 0].get_title() == f"original: logit {logit:+.2f}"
    assert [row[1].get_title().partition(":")[0] for row in grid] == list(wanted)
    original, degraded, difference = (axes.images[0].get_array().astype(int) for axes in grid[0])
    whole = np.asarray(degradation("jpeg-20")(image)).astype(int)
    assert original.shape == degraded.shape == difference.shape
    assert degraded.shape[0] <= min(whole.shape[:2])
    expected = np.clip(128 + corruptions.AMPLIFIED * (degraded - original), 0, 255)
    np.testing.assert_array_equal(difference, expected)
    assert all(axes.images[0].get_array().shape == original.shape for axes in grid[1])


def test_a_strip_shows_no_more_than_the_centre_of_a_large_image():
    image = Image.new("RGB", (700, 300))
    figure = corruptions.strips(image, Detector.load(DEMO_FOLDER), {"JPEG": "jpeg-85"})
    assert figure.axes[0].images[0].get_array().shape == (corruptions.LARGEST,) * 2 + (3,)
