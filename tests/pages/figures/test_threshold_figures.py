"""The page on thresholds: its sentences say what its tables hold, its figures draw all of them."""

import numpy as np
import pandas as pd
import pytest

from layerfusion.metrics.held_out import EVALUATED_ON
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.uncertainty import resample_images
from layerfusion.pages.figures import thresholds

SAME, OTHER = EVALUATED_ON


def both(promise, found, **more):
    """A table of promises and of what was found on the same and on other sources."""
    rows = [
        {
            promise: value,
            "evaluated_on": where,
            found: value * factor,
            "low": 0.0,
            "high": value * 3,
        }
        for value in (0.05, 0.10)
        for where, factor in ((SAME, 1.0), (OTHER, 2.0))
    ]
    return pd.DataFrame(rows).assign(**more)


@pytest.fixture(scope="module")
def alarms():
    return both("target_fpr", "false_positive_rate", recall=0.8)


@pytest.fixture(scope="module")
def bands():
    return both("target_error", "error", violation_rate=[0.01, 0.31, 0.02, 0.42])


def test_the_first_sentence_is_made_of_the_tables(alarms, bands):
    recall = pd.DataFrame(
        {"target_fpr": [0.01, 0.05], "recall": [0.3, 0.7], "low": 0.2, "high": 0.9}
    )
    said = thresholds.in_a_sentence("open", recall, alarms, bands)
    for words in ("open run finds **70%**", "[20%, 90%]", "calls **10%**", "0% to 15%",
                  "in 2% of divisions", "in **42%**"):  # fmt: skip
        assert words in said


def test_the_papers_differences_are_read_at_this_correlation():
    needs = pd.Series({"recall": 0.0, "roc_auc": 0.5, "f1": 0.9, "precision": np.nan})
    table = pd.concat({"official": needs.to_frame("needs")})
    images = pd.DataFrame({"label": [0, 0, 0, 0, 1, 1, 1, 1]})
    calls = {"constrained": [0, 0, 1, 1, 0, 0, 1, 1], "open": [0, 0, 1, 1, 0, 0, 0, 1]}
    scored = {
        run: ScoredImages(images, 2.0 * np.array([own]) - 1, np.ones((1, 8)), np.array([0.5]))
        for run, own in calls.items()
    }
    said = thresholds.if_as_alike(table, scored)
    assert "**0.79**" in said and "in recall, roc auc, and cannot show one in f1, precision" in said


def test_a_stream_comes_to_what_bayes_rule_says(alarms):
    table = thresholds.stream_table(alarms, (0.5, 0.01)).set_index(["target_fpr", "prevalence"])
    even = table.loc[(0.05, 0.5)]
    assert even[
        ["n_predicted_synthetic", "n_true_positives", "n_false_negatives"]
    ].tolist() == pytest.approx([450, 400, 100])
    assert table.loc[(0.05, 0.01), "precision"] == pytest.approx(8 / (8 + 99))
    none = alarms.assign(false_positive_rate=0.0, recall=0.0)
    assert thresholds.stream_table(none, (0.1,))["precision"].isna().all()
    picture = thresholds.picture_table((0.5, 0.9), (0.5, 0.1))
    assert picture.loc[0.5].tolist() == pytest.approx([0.5, 0.1])
    assert picture.loc[0.9, "10% synthetic"] == pytest.approx(0.5)


def test_targets_are_drawn_beside_what_was_found(alarms, bands):
    for axes, table, found in zip(
        thresholds.draw_targets(alarms, bands).axes,
        (alarms, bands),
        ("false_positive_rate", "error"),
        strict=True,
    ):
        drawn = np.concatenate([line.get_xdata() for line in axes.lines])
        assert sorted(drawn) == pytest.approx(sorted(table[found]))


def test_every_source_has_its_line():
    table = pd.DataFrame(
        {
            "class": ["real", "real", "synthetic"],
            "source": ["a", "b", "c"],
            "predicted_synthetic": [0.2, 0.1, 0.8],
            "low": 0.0,
            "high": 1.0,
        }
    )
    both = pd.concat([table, table], keys=["constrained", "open"], names=["run"]).droplevel(1)
    figure = thresholds.draw_left_out(both)
    names = [[tick.get_text() for tick in axes.get_yticklabels()] for axes in figure.axes]
    assert names == [["a", "b"], ["c"]]  # in the order of the table, the worst on top


def test_probabilities_are_drawn_as_scored_and_recalibrated():
    rng = np.random.default_rng(0)
    label = np.tile([0, 1], 60)
    images = pd.DataFrame({"label": label, "source": np.repeat([f"s{n}" for n in range(6)], 20)})
    logits = rng.normal(label, 1, (2, 120))
    scored = ScoredImages(images, logits, resample_images(label, resamples=2))
    figure = thresholds.draw_reliability({"open": scored})
    assert len(figure.axes) == 3
    for axes in figure.axes:
        x = axes.lines[0].get_xdata()
        assert len(x) == 10 and ((x >= 0) & (x <= 1)).all()
