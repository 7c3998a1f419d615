"""A threshold chosen on few images: what it is, and whether what is said of it is true."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from layerfusion.errors import UserError
from layerfusion.metrics import threshold_choice
from layerfusion.metrics.calibration import NEAREST, balancing_threshold
from layerfusion.metrics.groups import correct_by_class
from layerfusion.metrics.probability import decide, probability, threshold_logit
from layerfusion.metrics.threshold_choice import (
    Optimism,
    balanced_accuracy,
    balanced_gain,
    choose,
    held_out_predictions,
    optimism,
    try_new,
    without,
)
from layerfusion.metrics.uncertainty import Interval

HALF = 3.0  # classes at -HALF and HALF


def drawn(rng, real=25, synthetic=25, spread=4.0, shift=0.0):
    label = np.repeat([0, 1], [real, synthetic])
    return label, rng.normal(HALF * (2 * label - 1), spread) + shift


@given(st.integers(0, 99), st.floats(-6, 6))
@settings(max_examples=30, deadline=None)
def test_the_threshold_moves_with_the_scores(seed, shift):
    label, logit = drawn(np.random.default_rng(seed))
    before, after = (balancing_threshold(label, logit + by) for by in (0, shift))
    if min(before, after) > NEAREST and max(before, after) < 1 - NEAREST:
        moved = threshold_logit(after) - threshold_logit(before)
        assert moved == pytest.approx(shift, abs=1e-5)


def test_it_is_where_shifted_probabilities_are_right_on_average_however_many_of_each():
    label, logit = drawn(np.random.default_rng(0), real=70, synthetic=20)
    shifted = probability(logit - threshold_logit(balancing_threshold(label, logit)))
    means = [shifted[label == kind].mean() for kind in (0, 1)]
    assert np.mean(means) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("shift", [-60.0, 60.0])
def test_it_stays_where_scores_are_told_apart(shift):
    label, logit = drawn(np.random.default_rng(0), shift=shift)
    threshold = balancing_threshold(label, logit)
    assert 0 < threshold < 1


def test_a_class_alone_chooses_nothing():
    with pytest.raises(UserError, match="one of them is missing"):
        choose(np.zeros(50), np.arange(50.0), 0.5)


@pytest.mark.parametrize("images", [(25, 25), (40, 12)])
@pytest.mark.parametrize("old", [0.0, 2.0, 4.0])
def test_the_interval_covers_what_the_threshold_gains_elsewhere(images, old):
    """The true gain is known where scores are normal; the interval is of 95 %."""
    rng, trials = np.random.default_rng(7), 120

    def right(threshold):
        return (norm.sf(threshold, HALF, 4) + norm.cdf(threshold, -HALF, 4)) / 2

    covered = taken = 0
    for _ in range(trials):
        label, logit = drawn(rng, *images)
        threshold = threshold_logit(balancing_threshold(label, logit))
        gain = balanced_gain(label, logit >= old, held_out_predictions(label, logit))
        covered += gain.low <= right(threshold) - right(old) <= gain.high
        taken += gain.low > 0
    assert covered / trials >= 0.91  # three standard errors of 120 trials below the nominal 0.95
    if old == 0:  # the best threshold there is: a new one is no better
        assert taken / trials <= 0.05


def test_on_the_images_that_chose_it_a_threshold_flatters():
    rng, own, held_out = np.random.default_rng(3), [], []
    for _ in range(100):
        label, logit = drawn(rng, 10, 10)
        threshold = balancing_threshold(label, logit)
        own.append(balanced_accuracy(label, decide(logit, threshold)).estimate)
        held_out.append(balanced_accuracy(label, held_out_predictions(label, logit)).estimate)
    assert np.mean(own) > np.mean(held_out)


def test_a_gain_and_a_loss_mirror_each_other():
    rng = np.random.default_rng(1)
    label, (before, after) = np.arange(60) % 2, rng.random((2, 60)) > 0.5
    gain, loss = balanced_gain(label, before, after), balanced_gain(label, after, before)
    assert (gain.estimate, gain.low, gain.high) == pytest.approx(
        (-loss.estimate, -loss.high, -loss.low)
    )
    none = balanced_gain(label, before, before)
    assert none.estimate == 0 and none.low < 0 < none.high


@pytest.mark.parametrize(("old", "changed"), [(0.5, False), (1 - 1e-4, True)])
def test_the_old_threshold_is_kept_unless_the_new_one_is_surely_better(old, changed):
    label, logit = drawn(np.random.default_rng(5))
    choice = choose(label, logit, old)
    assert choice.changed is changed and (choice.gain.low > 0) is changed
    assert choice.threshold == (choice.new.estimate if changed else old)
    assert choice.new.low <= choice.new.estimate <= choice.new.high
    if not changed:
        np.testing.assert_array_equal(choice.predicted, decide(logit, old))
    assert choice.elsewhere is None


def test_a_folder_that_is_left_out_tells_nothing_of_its_scores():
    label, logit = drawn(np.random.default_rng(2), 40, 40, spread=1.0)
    folder = np.tile(np.repeat(["a", "b", "c", "d"], 10), 2)
    logit[folder == "a"] += 8  # above every threshold that the others ask for
    calls = held_out_predictions(label, logit, folder)
    assert calls[folder == "a"].all()
    gain = choose(label, logit, 0.5, folder).elsewhere
    assert gain == pytest.approx(balanced_gain(label, logit >= 0, calls).estimate)


# --- what is subtracted for having been chosen ----------------------------------------------------


@pytest.fixture
def few_draws(monkeypatch):
    monkeypatch.setattr(threshold_choice, "DRAWS", 20)


def right(logit):
    """The share of both classes that a threshold is right of, which is known here."""
    return (norm.cdf(logit, -HALF, 4.0) + norm.sf(logit, HALF, 4.0)) / 2


def bias_where_a_new_threshold_is_taken(old_logit, wanted, rng):
    """Of the balanced accuracy and of its gain, announced minus true: as counted, and corrected."""
    old, found = float(probability(old_logit)), []
    while len(found) < wanted:
        label, logit = drawn(rng)
        trial = try_new(label, logit, old)
        if trial.changed:
            own = optimism(label, logit, old, changed=True)
            said = np.mean([share.estimate for share in correct_by_class(label, trial.predicted)])
            true = right(threshold_logit(trial.new.estimate))
            gain = trial.gain.estimate - (true - right(old_logit))
            less = (own.real + own.synthetic) / 2
            found.append([said - true, gain, said - true - less, gain - own.gain])
    return np.mean(found, axis=0).reshape(2, 2)


def test_where_a_new_threshold_is_taken_the_corrected_rate_is_less_biased(few_draws):
    """The old threshold is so far off that a new one is taken in about one sample of seven."""
    counted, corrected = bias_where_a_new_threshold_is_taken(4.0, 25, np.random.default_rng(1))
    assert (counted > 0.02).all()  # rate and gain flatter as they are counted
    assert (np.abs(corrected) < 0.75 * counted).all()


def test_with_many_images_there_is_nothing_to_subtract(few_draws):
    label, logit = drawn(np.random.default_rng(2), 1500, 1500)
    own = optimism(label, logit, float(probability(6.0)), changed=True)
    assert np.abs(own).max() < 0.02


def test_it_is_the_same_each_time_and_nothing_where_the_choice_never_ends_so(few_draws):
    label, logit = drawn(np.random.default_rng(3))
    old = float(probability(2.0))
    one, other = (optimism(label, logit, old, changed=False) for _ in range(2))
    assert one == other
    far = float(probability(60.0))
    assert optimism(label, logit, far, changed=False) == Optimism(0, 0, 0)


@pytest.mark.parametrize("spread", [0.0, 1e-12])
def test_scores_that_are_all_the_same_do_no_harm(spread, few_draws):
    label = np.repeat([0, 1], 25)
    logit = 4.0 * label - 2 + spread * np.arange(50)
    own = optimism(label, logit, 0.5, changed=False)
    np.testing.assert_allclose(own, 0, atol=1e-6)


def test_a_share_stays_one():
    assert without(Interval(0.97, 0.9, 0.99), -0.05) == Interval(1, pytest.approx(0.95), 1)
    assert without(Interval(0.5, 0.0, 1.0), 0.1) == Interval(pytest.approx(0.4), 0, 0.9)
