"""Tests of differences: against the definitions, scikit-learn, the bootstrap and known truths."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from layerfusion.errors import UserError
from layerfusion.metrics.significance import (
    delong_contrast,
    delong_test,
    holm,
    mcnemar_test,
    paired_mean_test,
    structural_components,
)
from layerfusion.metrics.uncertainty import resample_images, resampled_roc_auc

# Few distinct scores, so that ties are common; at least two images of each class.
two_detectors = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-3, 3), st.integers(-3, 3)), min_size=4, max_size=30
).filter(lambda rows: 2 <= sum(label for label, _, _ in rows) <= len(rows) - 2)


def columns(rows):
    label, first, second = map(np.array, zip(*rows, strict=True))
    return label, first.astype(float), second.astype(float)


def correlated_scores(n, separations, shared, rng):
    """Scores of two detectors that see the same image alike to the degree `shared`."""
    label = np.repeat([0, 1], n)
    own = rng.normal(size=(2, 2 * n))
    noise = np.sqrt(shared) * rng.normal(size=2 * n) + np.sqrt(1 - shared) * own
    return label, np.outer(separations, label) + noise


def slow_covariance(label, scores):
    """DeLong's covariance of AUCs, every pair of images looked at."""
    x, y = scores[:, label == 1], scores[:, label == 0]
    won = (x[:, :, None] > y[:, None, :]) + 0.5 * (x[:, :, None] == y[:, None, :])
    return np.cov(won.mean(axis=2)) / x.shape[1] + np.cov(won.mean(axis=1)) / y.shape[1]


# --- DeLong ---------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(two_detectors)
def test_components_average_to_scikit_learns_auc(rows):
    label, *scores = columns(rows)
    for components in structural_components(label, scores):
        expected = [roc_auc_score(label, own) for own in scores]
        assert components.mean(axis=1) == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(two_detectors)
def test_the_standard_error_is_that_of_all_pairs(rows):
    label, *scores = columns(rows)
    covariance = slow_covariance(label, np.array(scores))
    for weights in ([1, 0], [0, 1], [1, -1], [0.5, 0.5]):
        found = delong_contrast(label, scores, weights)
        expected = np.array(weights) @ covariance @ np.array(weights)
        assert found.standard_error**2 == pytest.approx(expected, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(two_detectors, st.randoms(use_true_random=False))
def test_neither_the_order_of_images_nor_of_detectors_matters(rows, random):
    label, first, second = columns(rows)
    found, turned = delong_test(label, first, second), delong_test(label, second, first)
    assert turned.estimate == pytest.approx(-found.estimate, abs=1e-12)
    assert turned.low == pytest.approx(-found.high, abs=1e-12)
    shuffled = list(range(len(label)))
    random.shuffle(shuffled)
    again = delong_test(label[shuffled], first[shuffled], second[shuffled])
    assert again.estimate == pytest.approx(found.estimate, abs=1e-12)
    assert again.standard_error == pytest.approx(found.standard_error, abs=1e-12)
    same = delong_test(label, first, np.exp(first))  # the same order
    assert (same.estimate, same.standard_error, same.p_value) == (0, 0, 1)


def test_the_standard_error_is_the_paired_bootstraps():
    rng = np.random.default_rng(5)
    label, (first, second) = correlated_scores(400, (1.6, 1.4), 0.5, rng)
    counts = resample_images(label, resamples=1000, seed=1)
    replicates = resampled_roc_auc(label, first, counts) - resampled_roc_auc(label, second, counts)
    found = delong_test(label, first, second)
    assert found.estimate == pytest.approx(replicates[0])
    # A standard deviation of 1,000 draws is itself sure to 1 / sqrt(2,000), thrice that here.
    assert found.standard_error == pytest.approx(replicates[1:].std(), rel=0.07)
    unpaired = [delong_contrast(label, own, [1]).standard_error for own in (first, second)]
    assert found.standard_error < 0.9 * np.hypot(*unpaired)


def test_intervals_hold_the_truth_and_tests_err_as_often_as_they_say():
    rng, repeats, held, rejected = np.random.default_rng(11), 500, 0, 0
    truth = np.diff(stats.norm.cdf(np.array([1.2, 1.5]) / np.sqrt(2)))[0]
    for _ in range(repeats):
        label, (first, second) = correlated_scores(80, (1.5, 1.2), 0.6, rng)
        found = delong_test(label, first, second)
        held += found.low <= truth <= found.high
        label, (first, second) = correlated_scores(80, (1.3, 1.3), 0.6, rng)
        rejected += delong_test(label, first, second).p_value < 0.05
    # What 499 of 500 simulations would find, if it is 95 % and 5 %.
    low, high = stats.binom.interval(0.998, repeats, 0.05)
    assert low <= repeats - held <= high
    assert low <= rejected <= high


def test_the_mean_over_seeds_is_one_contrast():
    rng = np.random.default_rng(2)
    label, first = correlated_scores(100, (1.5, 1.4), 0.4, rng)
    second = first - rng.normal(0.1, 0.5, first.shape)
    found = delong_contrast(label, [*first, *second], [0.5, 0.5, -0.5, -0.5])
    each = [delong_test(label, *pair) for pair in zip(first, second, strict=True)]
    assert found.estimate == pytest.approx(np.mean([one.estimate for one in each]))
    assert found.standard_error < max(one.standard_error for one in each)
    z = found.estimate / found.standard_error
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(z)))


def test_one_image_of_a_class_has_no_standard_error():
    found = delong_test([0, 0, 1], [0.0, 1.0, 2.0], [0.0, 2.0, 1.0])
    assert found.estimate == 0.5 and np.isnan([found.standard_error, found.p_value]).all()


def test_scores_of_other_images_are_refused():
    with pytest.raises(UserError, match="one length"):
        delong_test([0, 1], [0.0, 1.0], [0.0, 1.0, 2.0])
    with pytest.raises(UserError, match="both of them"):
        delong_test([1, 1], [0.0, 1.0], [0.0, 1.0])
    with pytest.raises(UserError, match="same images"):
        delong_test([0, 1, 1], [0.0, 1.0], [0.0, 1.0])
    with pytest.raises(UserError, match="one length"):
        mcnemar_test([0, 1], [True, False], [True])


# --- McNemar --------------------------------------------------------------------------------------


def decisions(both, only_first, only_second, neither):
    counts = (both, only_first, only_second, neither)
    return np.ones(sum(counts)), np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)


def test_approval_ratings_of_the_textbook():
    # Agresti, Categorical Data Analysis, section 10.1: z squared 17.36, a difference of .04 with
    # the interval (.02, .06).
    found = mcnemar_test(*decisions(794, 150, 86, 570))
    assert (found.only_first, found.only_second) == (150, 86)
    chi_squared = (150 - 86) ** 2 / (150 + 86)
    assert chi_squared == pytest.approx(17.36, abs=0.005)
    assert found.p_value == pytest.approx(stats.chi2.sf(chi_squared, 1), rel=0.3)
    shown = [round(value, 2) for value in (found.estimate, found.low, found.high)]
    assert shown == [0.04, 0.02, 0.06]


@given(*[st.integers(0, 40)] * 4)
def test_the_p_value_is_the_binomial_tests(both, only_first, only_second, neither):
    if both + only_first + only_second + neither == 0:
        return
    label, first, second = decisions(both, only_first, only_second, neither)
    found, turned = mcnemar_test(label, first, second), mcnemar_test(label, second, first)
    apart = only_first + only_second
    tail = stats.binom.cdf(min(only_first, only_second), apart, 0.5)
    assert found.p_value == pytest.approx(min(1, 2 * tail)) == turned.p_value
    assert turned.low == pytest.approx(-found.high)
    opposite = mcnemar_test(1 - label, 1 - first, 1 - second)  # real images, called so
    assert opposite == found


def test_the_mean_of_paired_differences_is_mcnemars_for_many_images():
    rng = np.random.default_rng(9)
    label = np.repeat([0, 1], 500)
    first, second = (rng.random(1000) < chance for chance in (0.50, 0.46))
    gained = (first == label).astype(float) - (second == label)
    found, exact = paired_mean_test(label, gained), mcnemar_test(label, first, second)
    assert found.estimate == pytest.approx(exact.estimate)
    assert found.high == pytest.approx(exact.high, abs=0.002)
    assert found.p_value == pytest.approx(exact.p_value, abs=0.05)
    # Without the spread between classes, which somebody chose, not chance.
    assert paired_mean_test(label, label).standard_error == 0
    assert np.isnan(paired_mean_test([0, 0, 1], [0.0, 1.0, 1.0]).standard_error)
    with pytest.raises(UserError, match="one length"):
        paired_mean_test(label, [1.0])


# --- Holm -----------------------------------------------------------------------------------------


def test_holm_by_the_worked_example():
    # .005 x 4, .01 x 3, .03 x 2, and .04 not below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, np.nan, 0.9]) == pytest.approx([0.02, np.nan, 0.9], nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_is_the_closed_test_of_bonferroni(p):
    """A hypothesis falls if all sets with it fall, each by its smallest p times its size."""
    members = range(len(p))
    sets = [s for size in range(1, len(p) + 1) for s in combinations(members, size)]
    closed = [max(min(1, len(s) * min(p[i] for i in s)) for s in sets if one in s)
              for one in members]  # fmt: skip
    assert holm(p) == pytest.approx(closed)


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.1, 1.2])
