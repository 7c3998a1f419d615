"""A threshold chosen on few images: what it is, and whether what is said of it is true."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from layerfusion.analysis.own_threshold import (
    NEAREST,
    balanced_accuracy,
    balanced_gain,
    balancing_threshold,
    choose,
    held_out_calls,
)
from layerfusion.errors import UserError
from layerfusion.metrics.probability import decide, probability, threshold_logit

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
        gain = balanced_gain(label, logit >= old, held_out_calls(label, logit))
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
        held_out.append(balanced_accuracy(label, held_out_calls(label, logit)).estimate)
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
        np.testing.assert_array_equal(choice.called, decide(logit, old))
    assert choice.elsewhere is None


def test_a_folder_that_is_left_out_tells_nothing_of_its_scores():
    label, logit = drawn(np.random.default_rng(2), 40, 40, spread=1.0)
    folder = np.tile(np.repeat(["a", "b", "c", "d"], 10), 2)
    logit[folder == "a"] += 8  # above every threshold that the others ask for
    calls = held_out_calls(label, logit, folder)
    assert calls[folder == "a"].all()
    gain = choose(label, logit, 0.5, folder).elsewhere
    assert gain == pytest.approx(balanced_gain(label, logit >= 0, calls).estimate)


def test_calls_are_those_of_scoring():
    logit = np.array([-1e-9, 0.0, 1e-9, 1.0, -1.0])
    assert decide(logit, 0.5).tolist() == [True, True, True, True, False]
