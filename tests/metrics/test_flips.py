"""Predictions that flip, against counting them one by one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from layerfusion.metrics.flips import FLIPS, added_images, count_flips, flips
from layerfusion.metrics.probability import probability


def calls(scored, run):
    table = scored.scored["local"][run].images
    called = probability(table["logit"]) >= scored.runs[run].record.threshold
    return called == (table["label"] == 1)


def test_every_image_has_one_flip(scored):
    found = flips(scored.scored["local"])
    before, after = calls(scored, "constrained"), calls(scored, "open")
    assert list(found["image_id"]) == list(scored.scored["local"]["open"].images["image_id"])
    assert (found["flip"] == "corrected").tolist() == (~before & after).tolist()
    assert (found["flip"] == "regressed").tolist() == (before & ~after).tolist()
    assert set(found["flip"]) == set(FLIPS.values())
    # What was corrected has crossed the thresholds in the right direction.
    assert (found.loc[found["flip"] == "corrected", "change_of_margin"] > 0).all()
    assert (found.loc[found["flip"] == "regressed", "change_of_margin"] < 0).all()


def test_counts_add_up_to_the_classes_and_net_to_the_gain_in_recall(scored):
    table = count_flips(scored.scored["local"]).set_index("class")
    assert table[list(FLIPS.values())].sum(axis=1).tolist() == table["images"].tolist()
    values = scored("recall", "open") - scored("recall", "constrained")
    assert table.loc["synthetic", "net"] == pytest.approx(values[0])
    # The same resamples, so the same interval.
    low, high = np.quantile(values[1:], [0.025, 0.975])
    assert table.loc["synthetic", ["low", "high"]].tolist() == pytest.approx([low, high])


def test_groups_divide_the_classes(scored):
    whole = count_flips(scored.scored["local"]).set_index("class")
    for by in ("platform", "generator"):
        groups = count_flips(scored.scored["local"], [by])
        assert groups.groupby("class")["images"].sum().tolist() == whole["images"].tolist()
        assert groups.groupby("class")["corrected"].sum().tolist() == whole["corrected"].tolist()
    assert set(groups.loc[groups["class"] == "real", "generator"]) == {"none"}
    assert (groups["low"] <= groups["net"]).all() and (groups["net"] <= groups["high"]).all()


def test_a_group_that_resamples_may_lack_has_an_interval_all_the_same(scored):
    lone = {}
    for run, own in scored.scored["local"].items():
        platform = ["X" if number == 0 else None for number in range(len(own.images))]
        lone[run] = replace(own, images=own.images.assign(platform=platform))
    lonely = count_flips(lone, ["platform"])
    alone = lonely[lonely["platform"] == "X"].iloc[0]
    assert alone["images"] == 1 and alone["low"] == alone["net"] == alone["high"]


def test_what_was_added_is_what_the_constrained_run_lacks():
    rows = pd.DataFrame(
        {
            "path": list("abcdef"),
            "label": pd.array([0, 1, 0, 1, 1, 1], dtype="Int8"),
            "source": ["coco", "corvi", *["truefake"] * 4],
            "generator": [None, "LDM", None, "FLUX", "FLUX", None],
            "platform": [None, None, "X", "X", "X", "Telegram"],
        }
    )
    added = added_images({"constrained": rows.iloc[:2], "open": rows})
    assert added.to_numpy().tolist() == [
        ["truefake", "real", "none", "X", 1],
        ["truefake", "synthetic", "FLUX", "X", 2],
        ["truefake", "synthetic", "unknown", "Telegram", 1],
    ]
