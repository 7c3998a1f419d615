"""Intervals: resampled metrics against scikit-learn's, and intervals against known truths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from labelled_scores import columns, labelled_scores
from layerfusion.metrics.uncertainty import (
    image_interval,
    resample_images,
    resampled_average_precision,
    resampled_rates,
    resampled_roc_auc,
)


def detector_scores(n, separation, rng):
    label = np.repeat([0, 1], n)
    return label, rng.normal(separation * label, 1)


# --- resamples ------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(labelled_scores, st.integers(0, 50))
def test_a_resample_has_as_many_of_each_class_as_there_are(rows, seed):
    label, _ = columns(rows)
    counts = resample_images(label, resamples=20, seed=seed)
    assert counts.shape == (21, len(label)) and (counts >= 0).all()
    assert (counts[0] == 1).all()
    assert (counts[:, label == 1].sum(axis=1) == label.sum()).all()
    assert (counts[:, label == 0].sum(axis=1) == (1 - label).sum()).all()


def test_resamples_are_drawn_from_the_seed_alone():
    label = np.repeat([0, 1], 30)
    same = [resample_images(label, resamples=5, seed=[7, 1]) for _ in range(2)]
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], resample_images(label, resamples=5, seed=[7, 2]))


# --- metrics --------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(labelled_scores, st.integers(0, 99))
def test_of_a_resample_the_metrics_are_scikit_learns_with_its_counts_as_weights(rows, seed):
    label, score = columns(rows)
    counts = resample_images(label, resamples=70, seed=seed)  # more rows than one step takes
    auc, rates = resampled_roc_auc(label, score, counts), resampled_rates(label, score > 0, counts)
    ap = resampled_average_precision(label, score, counts)
    for row in (0, 1, 63, 64, 70):  # the first is the images themselves
        weight = counts[row]
        assert auc[row] == pytest.approx(
            reference.roc_auc_score(label, score, sample_weight=weight)
        )
        assert ap[row] == pytest.approx(
            reference.average_precision_score(label, score, sample_weight=weight)
        )
        right = reference.accuracy_score(label, score > 0, sample_weight=weight)
        assert rates["accuracy"][row] == pytest.approx(right)
        for name in ("precision", "recall", "f1"):
            metric = getattr(reference, f"{name}_score")
            expected = metric(label, score > 0, sample_weight=weight, zero_division=0)
            assert rates[name][row] == pytest.approx(expected)


def test_what_is_not_defined_is_nan():
    none = np.zeros((3, 0), dtype=np.int32)
    assert np.isnan(resampled_roc_auc([], [], none)).all()
    assert np.isnan(resampled_average_precision([], [], none)).all()
    assert np.isnan(resampled_rates([], [], none)["f1"]).all()
    counts = np.array([[1, 1, 1], [2, 1, 0]], dtype=np.int32)  # the second lacks the synthetic one
    assert np.isnan(resampled_roc_auc([0, 0, 1], [1, 2, 3], counts)).tolist() == [False, True]
    rates = resampled_rates([0, 0, 1], [False, False, False], counts)
    assert rates["f1"][0] == rates["precision"][0] == 0 and np.isnan(rates["f1"][1])


# --- intervals ------------------------------------------------------------------------------------


def test_the_image_interval_is_of_percentiles():
    found = image_interval(np.array([7.0, *range(1001)]))
    assert (found.estimate, found.low, found.high) == pytest.approx((7.0, 25.0, 975.0))
    assert np.isnan(image_interval(np.array([0.5])).low)
    assert image_interval(np.array([1.0, np.nan, 2.0, 2.0])).low == 2


def test_the_image_interval_covers_the_true_auc():
    rng, covered = np.random.default_rng(11), 0
    truth = stats.norm.cdf(1 / np.sqrt(2))
    for trial in range(200):
        label, score = detector_scores(80, 1.0, rng)
        counts = resample_images(label, resamples=200, seed=trial)
        found = image_interval(resampled_roc_auc(label, score, counts))
        covered += found.low <= truth <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_a_paired_difference_is_surer_than_two_detectors_of_other_images():
    rng = np.random.default_rng(3)
    label, score = detector_scores(300, 1.0, rng)
    better = score + 0.2 * label
    counts, others = (resample_images(label, resamples=300, seed=seed) for seed in (0, 1))

    def width(values):
        found = image_interval(values)
        return found.high - found.low

    base = resampled_roc_auc(label, score, counts)
    paired = resampled_roc_auc(label, better, counts) - base
    unpaired = resampled_roc_auc(label, better, others) - base
    assert width(paired) < width(unpaired) / 3
    assert image_interval(paired).low > 0 > image_interval(unpaired).low
