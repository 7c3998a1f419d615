"""Rates by folder, whatever a folder holds."""

import numpy as np
import pytest

from layerfusion.analysis.folders import folder_table, worst_folder
from layerfusion.metrics.rates import ranking_metrics, threshold_metrics


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    folder = np.repeat(["both", "photographs", "generated", "lone"], [40, 30, 30, 1])
    label = np.concatenate([np.arange(40) % 2, np.zeros(30, int), np.ones(30, int), [1]])
    logit = rng.normal(label * 1.5)
    logit[-1] = -5.0
    made = folder_table(folder, label, logit, logit > 0.7).set_index("folder")
    return made, folder, label, logit


def test_a_folder_of_both_classes_is_as_if_it_were_alone(table):
    made, folder, label, logit = table
    own, row = folder == "both", made.loc["both"]
    alone = threshold_metrics(label[own], logit[own] >= 0.7, 0.7)
    assert row["roc_auc"] == pytest.approx(ranking_metrics(label[own], logit[own]).roc_auc)
    assert (row["accuracy"], row["recall"]) == pytest.approx((alone.accuracy, alone.recall))
    assert row["false_alarms"] == pytest.approx(alone.false_positives / 20)
    assert (row["real"], row["synthetic"], row["against"]) == (20, 20, "itself")


def test_a_folder_of_one_class_is_held_against_the_other(table):
    made, folder, label, logit = table
    held = (folder == "photographs") | (label == 1)
    row = made.loc["photographs"]
    assert row["against"] == "all synthetic" and np.isnan(row["recall"])
    assert row["roc_auc"] == pytest.approx(ranking_metrics(label[held], logit[held]).roc_auc)
    assert row["accuracy"] == pytest.approx(1 - row["false_alarms"])
    assert np.isnan(made.loc["generated", "false_alarms"])


def test_rates_lie_in_their_intervals(table):
    for name in ("roc_auc", "accuracy", "recall", "false_alarms"):
        own = table[0][[f"{name}_low", name, f"{name}_high"]].dropna().to_numpy()
        assert len(own) and (np.diff(own, axis=1) >= -1e-12).all()


def test_one_image_is_no_worst_folder_and_has_no_spread(table):
    made = table[0].reset_index()
    assert made["folder"].iloc[0] == "lone" and np.isnan(made["roc_auc_low"].iloc[0])
    assert worst_folder(made)["folder"] != "lone"
    assert worst_folder(made[made["folder"] == "lone"]) is None
