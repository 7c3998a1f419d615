"""What conditions cost, on scores whose answer is known."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from layerfusion.analysis.corruptions import corruption_table
from layerfusion.metrics.probability import probability
from layerfusion.pages.figures import corruptions as figures


@pytest.fixture(scope="module")
def predictions():
    """Clean scores, the same shifted, others of chance, and worse ones."""
    rng = np.random.default_rng(0)
    label = np.arange(200) % 2
    clean = rng.normal(label * 2.0)
    scores = {
        "clean": clean,
        "jpeg-85": clean - 1.5,
        "blur-20": rng.normal(size=200),
        "noise-5": clean + rng.normal(0, 1.0, 200),
    }
    return pd.concat(
        pd.DataFrame(
            {"condition": name, "image_id": [f"{i:03d}" for i in range(200)],
             "label": label, "logit": logit}
        )
        for name, logit in scores.items()
    )  # fmt: skip


def test_a_shift_costs_recall_and_no_order(predictions):
    table = corruption_table(predictions, float(probability(1.0)))
    assert list(table.index) == ["clean", "jpeg-85", "blur-20", "noise-5"]
    shifted, clean = table.loc["jpeg-85"], table.loc["clean"]
    assert shifted["difference"] == 0 and shifted["roc_auc"] == clean["roc_auc"]
    assert shifted["recall"] < clean["recall"] and shifted["false_alarms"] < clean["false_alarms"]
    assert np.isnan(clean["p_holm"])


def test_chance_is_found_out_and_its_interval_holds_a_half(predictions):
    row = corruption_table(predictions, 0.5).loc["blur-20"]
    assert row["low"] < 0.5 < row["high"]
    assert row["difference_high"] < 0 and row["p_holm"] < 0.001


def test_rates_are_tested_on_the_same_images_and_corrected_together(predictions):
    table = corruption_table(predictions, float(probability(1.0)))
    wide = predictions.pivot(index="image_id", columns="condition", values="logit") >= 1
    label = predictions.groupby("image_id")["label"].first()
    p = {}
    for (rate, of), name in product(
        {"recall": 1, "false_alarms": 0}.items(), wide.columns.drop("clean")
    ):
        own = wide[label == of]
        lost, won = ((own["clean"] != own[name]) & (own["clean"] == was) for was in (True, False))
        p[name, rate] = binomtest(lost.sum(), (lost | won).sum()).pvalue if any(lost | won) else 1.0
    least = min(p, key=p.get)
    assert table.loc[least[0], f"{least[1]}_p_holm"] == pytest.approx(min(1, len(p) * p[least]))
    assert table.loc["clean", ["recall_p_holm", "false_alarms_p_holm"]].isna().all()
    said = figures.in_a_sentence(table)
    assert "recall under `jpeg-85`" in said


def test_rates_are_counts_of_images(predictions):
    table = corruption_table(predictions, 0.5)
    clean = predictions[predictions["condition"] == "clean"]
    called = clean["logit"] >= 0
    assert table.loc["clean", "recall"] == called[clean["label"] == 1].mean()
    assert table.loc["clean", "false_alarms"] == called[clean["label"] == 0].mean()
    assert (table["recall_low"] <= table["recall"]).all()


def test_the_sentence_names_the_dearest_and_counts_the_sure_ones(predictions):
    table = corruption_table(predictions, 0.5)
    said = figures.in_a_sentence(table)
    sure = int(((table["p_holm"] < 0.05) & (table["difference"] < 0)).sum())
    assert f"Of 3 conditions {sure} can be shown" in said and "under `blur-20`" in said
    assert f"up to {-table['difference_low'].min():.3f}" in said


def test_rows_are_shown_under_their_names(predictions):
    shown = figures.shown(corruption_table(predictions, 0.5), {"blur-20": "blurred"})
    assert list(shown.index) == ["clean", "blurred"]
    assert "[" in shown.loc["blurred", "recall"]
