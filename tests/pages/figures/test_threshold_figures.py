"""The pages on thresholds: what is computed for them, and that figures draw all of it."""

import numpy as np
import pandas as pd
import pytest

from layerfusion.metrics.held_out import EVALUATED_ON
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.uncertainty import resample_images
from layerfusion.pages.figures import thresholds
from layerfusion.paper import detectable

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


def test_metrics_of_a_split_have_their_names():
    needs = pd.DataFrame({"needs": [0.0, 0.5]}, index=["recall", "roc_auc"])
    table = thresholds.by_metric(pd.concat({"local": needs, "official": needs + 1}), "official")
    assert table["needs"].to_dict() == {"recall": 1.0, "ROC AUC": 1.5}


def test_both_runs_stand_beside_each_other_in_the_order_of_the_table():
    rows = {"target": [0.9, 0.1, 0.9, 0.1], "recall": [0.8, 0.4, 0.7, 0.3], "low": 0.2, "high": 0.9}
    runs = pd.Index(["open", "open", "constrained", "constrained"], name="run")
    cells = thresholds.cells_by_run(pd.DataFrame(rows, index=runs), "recall", "target", form=".1f")
    assert cells.index.tolist() == [0.9, 0.1] and cells.columns.tolist() == ["open", "constrained"]
    assert cells.loc[0.1, "constrained"] == "0.3 [0.2, 0.9]"


def test_rules_are_drawn_over_the_shares_of_both_classes():
    images = pd.DataFrame({"label": [0, 0, 1, 1]})
    scored = ScoredImages(images, np.array([[-2.0, 0.0, 1.0, 3.0]]), np.ones((1, 4)))
    rules = pd.DataFrame({"logit": {"a": -1.0, "b": 2.0}})
    (axes,) = thresholds.draw_rules(scored, rules).axes
    real, synthetic, *lines = axes.lines
    assert np.interp(-1.0, *real.get_data()) == np.interp(2.0, *synthetic.get_data()) == 0.5
    assert [line.get_xdata()[0] for line in lines] == rules["logit"].tolist()
    assert [text.get_text() for text in axes.texts] == ["a", "b"]


def test_what_a_page_has_room_for_is_rounded_and_named():
    rules = pd.DataFrame(
        {"logit": [1.0], "probability": [0.73106], "false_positive_rate": [0.0512],
         "low": [0.01], "high": [0.2], "recall": [0.5]},
        index=["largest F1"],
    )  # fmt: skip
    shown = thresholds.shown_rules(rules).loc["largest F1"]
    assert shown["probability"] == 0.731 and shown["FPR"] == "5.1% [1.0%, 20.0%]"
    costs = pd.DataFrame(
        {"prevalence": [0.01], "fn_cost": [10.0], "threshold": [0.9], f"cost, {OTHER}": [0.05],
         "trivial_cost": [0.1], "beats_trivial": [0.96]}
    )  # fmt: skip
    (row,) = thresholds.shown_costs(costs).data.to_numpy().tolist()
    assert row == ["1%", "10", "0.900", "0.50", "96%"]


def test_the_papers_differences_are_drawn_over_what_can_be_shown():
    table = detectable.differences()
    for axes, split in zip(
        thresholds.draw_detectable(table).axes, ("local", "official"), strict=True
    ):
        assert list(axes.lines[0].get_xdata()) == table.loc[split, "difference"].abs().tolist()
        bars = np.array(axes.collections[0].get_segments())[:, :, 0]
        assert bars[:, 1] == pytest.approx(table.loc[split, "smallest at r = 0"])


def test_a_stream_comes_to_what_bayes_rule_says(alarms):
    table = thresholds.stream_table(alarms, (0.5, 0.01)).set_index(["target_fpr", "prevalence"])
    even = table.loc[(0.05, 0.5)]
    assert even[
        ["n_predicted_synthetic", "n_true_positives", "n_false_negatives"]
    ].tolist() == pytest.approx([450, 400, 100])
    assert table.loc[(0.05, 0.01), "precision"] == pytest.approx(8 / (8 + 99))
    assert "<td" in thresholds.shown_stream(table.reset_index()).to_html()
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
