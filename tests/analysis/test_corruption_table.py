"""What conditions cost, on scores whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from layerfusion.analysis.corruptions import corruption_table
from layerfusion.metrics.probability import probability
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.significance import holm
from layerfusion.metrics.uncertainty import resample_images
from layerfusion.pages.figures import corruptions as figures

LABEL = np.arange(200) % 2


def scored(threshold, source=None):
    """Clean scores, the same shifted, others of chance, and worse ones."""
    rng = np.random.default_rng(0)
    clean = rng.normal(LABEL * 2.0)
    logits = {
        "clean": clean,
        "jpeg-85": clean - 1.5,
        "blur-20": rng.normal(size=200),
        "noise-5": clean + rng.normal(0, 1.0, 200),
    }
    images = pd.DataFrame({"label": LABEL})
    if source is not None:
        images["source"] = source
    counts, chosen = resample_images(LABEL), np.array([probability(threshold)])
    return {on: ScoredImages(images, own[None], counts, chosen) for on, own in logits.items()}


def test_a_shift_costs_recall_and_no_order():
    table = corruption_table(scored(1.0))
    assert list(table.index) == ["clean", "jpeg-85", "blur-20", "noise-5"]
    shifted, clean = table.loc["jpeg-85"], table.loc["clean"]
    assert shifted["difference"] == 0 and shifted["roc_auc"] == clean["roc_auc"]
    assert shifted["recall"] < clean["recall"] and shifted["fpr"] < clean["fpr"]
    assert clean[["roc_auc_p_holm", "recall_p_holm", "fpr_p_holm"]].isna().all()
    assert "recall under `jpeg-85`" in figures.in_a_sentence(table)


def test_chance_is_found_out_and_its_interval_holds_a_half():
    row = corruption_table(scored(0.0)).loc["blur-20"]
    assert row["roc_auc_low"] < 0.5 < row["roc_auc_high"]
    assert row["difference_high"] < 0 and row["roc_auc_p_holm"] < 0.001


def test_changes_are_paired_and_both_rates_are_corrected_together():
    own, table = scored(1.0), corruption_table(scored(1.0))
    p = {
        (on, rate): (own[on].measured(rate) - own["clean"].measured(rate)).interval().p_value
        for on in own
        for rate in ("recall", "fpr")
    }
    expected = pd.Series(holm(list(p.values())), p)
    for (on, rate), value in expected.items():
        assert table.loc[on, f"{rate}_p_holm"] == pytest.approx(value, nan_ok=True)


def test_where_sources_are_known_intervals_are_over_these():
    images = corruption_table(scored(0.0)).loc["noise-5"]
    sources = corruption_table(scored(0.0, source=np.arange(200) // 40)).loc["noise-5"]
    assert images["roc_auc"] == sources["roc_auc"]
    assert images["roc_auc_low"] != sources["roc_auc_low"]


def test_rates_are_counts_of_images():
    own = scored(0.0)
    table, called = corruption_table(own), own["clean"].logits[0] >= 0
    assert table.loc["clean", "recall"] == called[LABEL == 1].mean()
    assert table.loc["clean", "fpr"] == called[LABEL == 0].mean()
    assert (table["recall_low"] <= table["recall"]).all()


def test_the_sentence_names_the_dearest_and_counts_the_sure_ones():
    table = corruption_table(scored(0.0))
    said = figures.in_a_sentence(table)
    sure = int(((table["roc_auc_p_holm"] < 0.05) & (table["difference"] < 0)).sum())
    assert f"Of 3 conditions {sure} can be shown" in said and "under `blur-20`" in said
    assert f"up to {-table['difference_low'].min():.3f}" in said


def test_rows_are_shown_under_their_names():
    shown = figures.shown(corruption_table(scored(0.0)), {"blur-20": "blurred"})
    assert list(shown.index) == ["clean", "blurred"]
    assert "[" in shown.loc["blurred", "recall"]
