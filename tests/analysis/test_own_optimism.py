"""What is announced of a chosen threshold, less what it flatters, is nearer to what it does."""

import numpy as np
import pytest
from scipy.stats import norm

from layerfusion.analysis.own_optimism import Optimism, optimism, without
from layerfusion.analysis.own_threshold import right_by_class, try_new
from layerfusion.metrics.probability import probability, threshold_logit
from layerfusion.metrics.uncertainty import Interval

HALF, SPREAD = 3.0, 4.0  # classes at -HALF and HALF
FEW = 25  # images of a class


def drawn(rng, count=FEW):
    label = np.repeat([0, 1], count)
    return label, rng.normal(HALF * (2 * label - 1), SPREAD)


def right(logit):
    """The share of both classes that a threshold is right of, which is known here."""
    return (norm.cdf(logit, -HALF, SPREAD) + norm.sf(logit, HALF, SPREAD)) / 2


def bias_where_a_new_threshold_is_taken(old_logit, wanted, rng):
    """Of the balanced accuracy and of its gain, announced minus true: as counted, and corrected."""
    old, found = float(probability(old_logit)), []
    while len(found) < wanted:
        label, logit = drawn(rng)
        trial = try_new(label, logit, old)
        if trial.better:
            own = optimism(label, logit, old, changed=True, draws=40)
            said = np.mean([share.estimate for share in right_by_class(label, trial.calls)])
            true = right(threshold_logit(trial.new))
            gain = trial.gain.estimate - (true - right(old_logit))
            less = (own.real + own.synthetic) / 2
            found.append([said - true, gain, said - true - less, gain - own.gain])
    return np.mean(found, axis=0).reshape(2, 2)


def test_where_a_new_threshold_is_taken_the_corrected_rate_is_less_biased():
    """The old threshold is so far off that a new one is taken in about one sample of seven."""
    counted, corrected = bias_where_a_new_threshold_is_taken(4.0, 25, np.random.default_rng(1))
    assert (counted > 0.02).all()  # rate and gain flatter as they are counted
    assert (np.abs(corrected) < 0.75 * counted).all()


def test_with_many_images_there_is_nothing_to_subtract():
    label, logit = drawn(np.random.default_rng(2), count=1500)
    own = optimism(label, logit, float(probability(6.0)), changed=True, draws=10)
    assert np.abs(own).max() < 0.02


def test_it_is_the_same_each_time_and_nothing_where_the_choice_never_ends_so():
    label, logit = drawn(np.random.default_rng(3))
    old = float(probability(2.0))
    assert optimism(label, logit, old, changed=False, draws=20) == optimism(
        label, logit, old, changed=False, draws=20
    )
    far = float(probability(60.0))
    assert optimism(label, logit, far, changed=False, draws=5) == Optimism(0, 0, 0)


@pytest.mark.parametrize("spread", [0.0, 1e-12])
def test_scores_that_are_all_the_same_do_no_harm(spread):
    label = np.repeat([0, 1], FEW)
    logit = 4.0 * label - 2 + spread * np.arange(2 * FEW)
    own = optimism(label, logit, 0.5, changed=False, draws=5)
    np.testing.assert_allclose(own, 0, atol=1e-6)


def test_a_share_stays_one():
    assert without(Interval(0.97, 0.9, 0.99), -0.05) == Interval(1, pytest.approx(0.95), 1)
    assert without(Interval(0.5, 0.0, 1.0), 0.1) == Interval(pytest.approx(0.4), 0, 0.9)
