"""Calibration: where scores are true probabilities by construction, and where they are shifted."""

import numpy as np
import pytest
from scipy.special import expit, logit

from layerfusion.metrics.calibration import expected_calibration_error, recalibrated, reliability
from layerfusion.metrics.rates import threshold_metrics
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.metrics.transfer import choice_table, threshold_choices
from layerfusion.pages.figures.tables import calibration_table
from layerfusion.paper import numbers as paper


@pytest.fixture(scope="module")
def world():
    """Images that are synthetic with the probability that their score says."""
    rng = np.random.default_rng(3)
    chance = expit(rng.normal(0, 2, 20_000))
    return (rng.random(len(chance)) < chance).astype(int), chance


def test_true_probabilities_are_calibrated_and_shifted_ones_are_not(world):
    label, chance = world
    bins = reliability(label, chance)
    assert bins["images"].tolist() == [2000] * 10
    inside = (bins["low"] <= bins["probability"]) & (bins["probability"] <= bins["high"])
    assert inside.sum() >= 8  # of ten 95 % intervals
    assert expected_calibration_error(label, chance) < 0.02
    assert expected_calibration_error(label, expit(logit(chance) - 5)) > 0.3


def test_the_error_is_the_bins_mean_distance():
    label = np.array([0, 1, 1, 1])
    score = np.array([0.2, 0.4, 0.6, 0.8])  # a bin an image
    assert expected_calibration_error(label, score) == pytest.approx((0.2 + 0.6 + 0.4 + 0.2) / 4)


def test_the_best_threshold_of_calibrated_scores_is_half_of_its_f1(world):
    label, chance = world
    threshold = best_f1_threshold(label, chance)
    half = threshold_metrics(label, chance >= threshold, threshold)["f1"] / 2
    assert threshold == pytest.approx(half, abs=0.03)
    shifted = logit(chance) - 5
    again = recalibrated(label, shifted)
    assert best_f1_threshold(label, expit(shifted)) < 0.01
    assert best_f1_threshold(label, again) == pytest.approx(half, abs=0.03)
    assert expected_calibration_error(label, again) < 0.02


def test_calibration_needs_two_images_of_each_class():
    assert np.isnan(recalibrated([0, 1, 1], [0.0, 1.0, 2.0])).all()


def test_choices_flatter_the_images_that_made_them():
    rng = np.random.default_rng(1)
    label = np.arange(60) % 2
    chosen = threshold_choices(label, rng.normal(0, 1, 60))  # scores that say nothing
    assert (chosen["f1"] - chosen["f1_left_out"]).mean() > 0.02
    assert len(chosen) == 500


def test_resamples_that_leave_out_nothing_are_passed_over():
    assert len(threshold_choices(np.array([0, 1]), np.array([0.0, 1.0]))) == 0


def test_tables_hold_each_runs_own_threshold_and_f1(scored):
    table, choice = calibration_table(scored.scored["local"]), choice_table(scored.scored["local"])
    for run in ("constrained", "open"):
        threshold = scored.runs[run].record.threshold
        assert table.loc[run, "threshold"] == choice.loc[run, "threshold"] == threshold
        assert table.loc[run, "half of F1"] == pytest.approx(scored("f1", run)[0] / 2)
        assert choice.loc[run, "F1"] == pytest.approx(scored("f1", run)[0])
        assert choice.loc[run, "low"] <= threshold <= choice.loc[run, "high"]
        assert table.loc[run, "paper"] == paper.THRESHOLDS[run]
    # Scores that were shifted by -4 get better by being shifted back.
    assert (table["Brier recalibrated"] < table["Brier"]).all()
    assert (table["ECE recalibrated"] < table["ECE"]).all()
