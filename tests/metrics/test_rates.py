"""Metrics against scikit-learn and thresholds against an exhaustive search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from labelled_scores import columns, labelled_scores
from layerfusion.errors import UserError
from layerfusion.metrics.probability import probability
from layerfusion.metrics.rates import COUNTS, ranking_metrics, report, threshold_metrics
from layerfusion.metrics.thresholds import best_f1_threshold


@settings(max_examples=200, deadline=None)
@given(labelled_scores)
def test_threshold_is_the_lowest_of_those_with_the_largest_f1(rows):
    label, score = columns(rows)
    f1 = {t: reference.f1_score(label, score >= t, zero_division=0) for t in np.unique(score)}
    largest = max(f1.values())
    lowest = min(t for t, value in f1.items() if value >= largest - 1e-12)
    assert best_f1_threshold(label, score) == lowest


@settings(max_examples=100, deadline=None)
@given(labelled_scores, st.floats(-3, 3))
def test_threshold_metrics_are_scikit_learns(rows, threshold):
    label, score = columns(rows)
    called = score >= threshold
    ours = threshold_metrics(label, called, threshold)
    for name in ("accuracy", "precision", "recall", "f1"):
        metric = getattr(reference, f"{name}_score")
        expected = metric(label, called, **({} if name == "accuracy" else {"zero_division": 0}))
        assert ours[name] == pytest.approx(expected, abs=1e-12)
    assert tuple(ours[name] for name in COUNTS) == tuple(
        reference.confusion_matrix(label, called, labels=[0, 1]).ravel()
    )


@settings(max_examples=100, deadline=None)
@given(labelled_scores)
def test_ranking_metrics_are_scikit_learns(rows):
    label, score = columns(rows)
    ours = ranking_metrics(label, score)
    auc, ap = reference.roc_auc_score(label, score), reference.average_precision_score(label, score)
    assert (ours["roc_auc"], ours["average_precision"]) == pytest.approx((auc, ap), abs=1e-12)
    fpr, tpr, _ = reference.roc_curve(label, score, drop_intermediate=False)
    crossed = np.interp(0, fpr - (1 - tpr), fpr)
    assert ours["equal_error_rate"] == pytest.approx(crossed, abs=1e-12)
    turned = ranking_metrics(label, -score)["equal_error_rate"]
    assert ours["equal_error_rate"] + turned == pytest.approx(1)


def test_images_are_ranked_by_logit_where_probabilities_saturate():
    logit = np.array([40.0, 50.0, 60.0, 70.0])
    assert len(np.unique(probability(logit))) == 1
    assert report([0, 0, 1, 1], logit, 0.5)["ranking"]["roc_auc"] == 1


def test_report_tells_calibrated_half_and_oracle_thresholds_apart():
    label, logit = np.array([0, 0, 0, 1, 1, 1]), np.array([-9.0, -8.0, -4.0, -6.0, -3.0, -2.0])
    numbers = report(label, logit, threshold=0.1)
    given, half, oracle = (numbers[name] for name in ("calibrated", "half", "oracle"))
    assert given["threshold"] == 0.1 and given["recall"] == pytest.approx(1 / 3)
    assert half["threshold"] == 0.5 and half["recall"] == 0
    assert oracle["threshold"] == pytest.approx(probability(-6.0)) and oracle["recall"] == 1
    assert (numbers["images"], numbers["synthetic_images"]) == (6, 3)


@pytest.mark.parametrize(
    ("label", "score", "words"),
    [
        ([0, 1], [0.5], "equal length"),
        ([], [], "not empty"),
        ([0, 2], [0.1, 0.2], "must be 0"),
        ([0, np.nan], [0.1, 0.2], "must be 0"),
        ([0, 1], [0.1, np.nan], "not numbers"),
        ([1, 1], [0.1, 0.2], "both real and synthetic"),
    ],
)
def test_bad_input_is_one_sentence(label, score, words):
    with pytest.raises(UserError, match=words) as caught:
        ranking_metrics(label, score)
    assert "\n" not in str(caught.value)


def test_no_synthetic_image_no_threshold():
    with pytest.raises(UserError, match="no synthetic"):
        best_f1_threshold([0, 0], [0.1, 0.2])
