"""The one decision: on logits, at every threshold, with the threshold's own image synthetic."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import logit as log_odds

from layerfusion.metrics.probability import SAME_LOGIT, decide, probability, published_probability

logits = st.floats(-60, 60)


@settings(max_examples=300, deadline=None)
@given(st.lists(logits, min_size=1, max_size=20), logits)
@example([-16.1, 16.1], 16.118)  # thresholds 1e-7 and 1 - 1e-7
@example([37.0, 800.0, -800.0], 40.0)  # a probability of exactly 1
def test_the_image_that_is_the_threshold_is_synthetic_and_so_is_all_above(found, chosen):
    threshold, scores = probability(chosen), np.array(found)
    decided = decide(scores, threshold)
    assert decide([chosen, chosen - 1e-7], threshold).all()
    assert decided[scores >= chosen].all()
    if chosen < 20:  # further up float64 cannot tell probabilities apart that closely
        assert not decided[scores < chosen - 2 * SAME_LOGIT].any()
    published = published_probability(scores, threshold)
    np.testing.assert_array_equal(published >= threshold, decided)
    np.testing.assert_allclose(published, probability(scores), atol=SAME_LOGIT)


@pytest.mark.parametrize("threshold", [1e-12, 1e-7, 0.25, 0.5, 1 - 1e-7, 1 - 1e-9])
def test_the_tolerance_is_the_same_on_the_logit_at_every_threshold(threshold):
    at = log_odds(threshold)
    near = at + SAME_LOGIT * np.array([-1.5, -0.5, 0, 0.5])
    assert decide(near, threshold).tolist() == [False, True, True, True]


def test_a_threshold_an_image_and_what_is_no_number():
    assert decide([0.0, 0.0, np.nan], [0.4, 0.6, 0.0]).tolist() == [True, False, False]
    assert decide([-np.inf, 3.0], 0.0).all() and not decide([3.0], 1.0).any()
    assert np.isnan(published_probability([np.nan], 0.5)).all()
