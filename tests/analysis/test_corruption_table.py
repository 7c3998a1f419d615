"""What conditions cost, on scores whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from layerfusion.analysis.corruptions import clearly_changed, corruption_table, logit_shifts
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
    assert clearly_changed(table, "recall")[0] == "jpeg-85"
    assert "blur-20" in clearly_changed(table, "roc_auc")


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


def test_a_shift_of_all_scores_is_found():
    shifts = logit_shifts(scored(0.0)).set_index(["condition", "class"])
    assert shifts.loc["jpeg-85", "shift"].tolist() == pytest.approx([-1.5, -1.5])
    assert shifts.index.get_level_values("condition").nunique() == 3


def test_rows_are_shown_under_their_names():
    shown = figures.shown(corruption_table(scored(0.0)))
    assert list(shown.index) == ["clean", "JPEG 85", "blur 20/10 px", "noise 5/256"]
    assert "[" in shown.loc["blur 20/10 px", "recall"]
