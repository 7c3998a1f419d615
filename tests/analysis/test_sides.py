"""Images that changed sides, against counting them one by one."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from layerfusion.analysis.sides import SIDES, added_images, count_sides, image_sides


def calls(scored, run):
    table = scored.tables[run]["local"]
    return (table["probability"] >= scored.runs[run].record.threshold) == (table["label"] == 1)


def test_every_image_is_on_one_side(scored):
    sides = image_sides(scored)
    before, after = calls(scored, "constrained"), calls(scored, "open")
    assert list(sides["image_id"]) == list(scored.tables["open"]["local"]["image_id"])
    assert (sides["side"] == "fixed").tolist() == (~before & after).tolist()
    assert (sides["side"] == "broken").tolist() == (before & ~after).tolist()
    assert set(sides["side"]) == set(SIDES.values())
    # What was fixed has crossed the thresholds in the right direction.
    assert (sides.loc[sides["side"] == "fixed", "moved"] > 0).all()
    assert (sides.loc[sides["side"] == "broken", "moved"] < 0).all()


def test_counts_add_up_to_the_classes_and_net_to_the_gain_in_recall(scored):
    table = count_sides(scored).set_index("class")
    assert table[list(SIDES.values())].sum(axis=1).tolist() == table["images"].tolist()
    values = scored("recall", "open") - scored("recall", "constrained")
    assert table.loc["synthetic", "net"] == pytest.approx(values[0])
    # The same resamples, so the same interval.
    low, high = np.quantile(values[1:], [0.025, 0.975])
    assert table.loc["synthetic", ["low", "high"]].tolist() == pytest.approx([low, high])


def test_groups_divide_the_classes(scored):
    whole = count_sides(scored).set_index("class")
    for by in ("platform", "generator"):
        groups = count_sides(scored, [by])
        assert groups.groupby("class")["images"].sum().tolist() == whole["images"].tolist()
        assert groups.groupby("class")["fixed"].sum().tolist() == whole["fixed"].tolist()
    assert set(groups.loc[groups["class"] == "real", "generator"]) == {"none"}
    assert (groups["low"] <= groups["net"]).all() and (groups["net"] <= groups["high"]).all()


def test_a_group_that_resamples_may_lack_has_an_interval_all_the_same(scored):
    tables = {run: {"local": of["local"].copy()} for run, of in scored.tables.items()}
    measures = {}
    for run, own in scored.measures.items():
        images, counts = own.images("local")
        images = images.assign(platform=["X" if n == 0 else None for n in range(len(images))])
        measures[run] = SimpleNamespace(images=lambda on, found=(images, counts): found)
    lonely = count_sides(replace(scored, tables=tables, measures=measures), ["platform"])
    alone = lonely[lonely["platform"] == "X"].iloc[0]
    assert alone["images"] == 1 and alone["low"] == alone["net"] == alone["high"]


def test_what_was_added_is_what_the_constrained_run_lacks(scored):
    rows = pd.DataFrame(
        {
            "path": list("abcdef"),
            "label": pd.array([0, 1, 0, 1, 1, 1], dtype="Int8"),
            "source": ["coco", "corvi", *["truefake"] * 4],
            "generator": [None, "LDM", None, "FLUX", "FLUX", None],
            "platform": [None, None, "X", "X", "X", "Telegram"],
        }
    )
    experiments = {
        "constrained": SimpleNamespace(training=SimpleNamespace(rows=rows.iloc[:2])),
        "open": SimpleNamespace(training=SimpleNamespace(rows=rows)),
    }
    added = added_images(replace(scored, experiments=experiments))
    assert added.to_numpy().tolist() == [
        ["truefake", "real", "none", "X", 1],
        ["truefake", "synthetic", "FLUX", "X", 2],
        ["truefake", "synthetic", "unknown", "Telegram", 1],
    ]
