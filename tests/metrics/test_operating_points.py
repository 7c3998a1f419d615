"""Operating points against plain counting, and the split of a gain in recall."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from layerfusion.metrics.operating_points import recall_gain
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.uncertainty import resample_images, resampled_recall_at
from layerfusion.paper import audit
from layerfusion.paper import numbers as paper


def counted(label, score, rate, weights):
    """Try every threshold there is, and none at all."""
    label, score = np.repeat(label, weights), np.repeat(score, weights)
    best = 0.0
    for threshold in np.unique(score):
        called = score >= threshold
        if called[label == 0].mean() <= rate + 1e-12:
            best = max(best, called[label == 1].mean())
    return best


@given(
    score=arrays.arrays(float, 14, elements=st.integers(0, 6).map(float)),
    rate=st.sampled_from([0.0, 0.1, 1 / 7, 0.5, 1.0]),
    seed=st.integers(0, 20),
)
def test_recall_at_a_rate_is_that_of_plain_counting(score, rate, seed):
    label = np.arange(14) % 2
    counts = resample_images(label, resamples=3, seed=seed)
    expected = [counted(label, score, rate, weights) for weights in counts]
    assert resampled_recall_at(label, score, rate, counts) == pytest.approx(expected)


def test_every_row_has_its_own_rate():
    label, score = np.array([0, 0, 1, 1]), np.array([1.0, 3.0, 2.0, 4.0])
    counts = np.ones((3, 4), dtype=np.int32)
    assert resampled_recall_at(label, score, [0.0, 0.5, 1.0], counts).tolist() == [0.5, 1.0, 1.0]


def test_without_photographs_there_is_no_rate():
    counts = np.ones((1, 2), dtype=np.int32)
    assert np.isnan(resampled_recall_at([1, 1], [0.0, 1.0], 0.1, counts)).all()


def test_the_false_positive_rate_counts_photographs_alone():
    counts = np.array([[1, 1, 1, 1], [0, 2, 1, 1]], dtype=np.int32)
    images, logits = pd.DataFrame({"label": [0, 0, 1, 1]}), np.array([[1.0, -1.0, 1.0, 1.0]])
    scored = ScoredImages(images, logits, counts, np.array([0.5]))
    assert scored.rates["fpr"][0].tolist() == [0.5, 0.0]


def test_the_papers_points_are_those_of_section_5():
    points = audit.operating_points()
    for run, errors in paper.OFFICIAL_ERRORS.items():
        assert points.loc[("official", run), "false_positive_rate"] == errors.false_positives / 5000
        assert points.loc[("local", run), "recall"] == paper.table_1("local", run).recall


def test_the_parts_of_a_gain_add_up(scored):
    gain = recall_gain(scored.scored["local"]).set_index("part")["estimate"]
    total, by_scores, by_threshold, alarms = gain
    assert by_scores + by_threshold == pytest.approx(total)
    recall = {run: scored("recall", run)[0] for run in ("constrained", "open")}
    assert total == pytest.approx(recall["open"] - recall["constrained"])
    assert by_scores > 0  # at equal false alarms the better detector finds more
    assert np.sign(by_threshold) == np.sign(alarms)
