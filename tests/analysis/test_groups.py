"""Groups that err more than chance allows: found where they are, and not where they are not."""

import numpy as np
import pandas as pd
import pytest

from layerfusion.analysis.groups import EVERY, corrected, errors_by_group, worst_groups
from layerfusion.figures.content import in_a_sentence


def groups_of(count):
    return pd.Series(np.arange(count) % 4).map({0: "a", 1: "b", 2: "c", 3: "d"})


def test_a_group_that_errs_is_found_and_the_others_are_not():
    names = groups_of(200)
    rate = np.where(names == "b", 0.5, 0.1)
    wrong = np.random.default_rng(1).random((3, 200)) < rate
    table = corrected(errors_by_group(wrong, [("kind", names)]))
    found = table[table["p_holm"] < 0.05]
    assert found[["by", "value"]].to_numpy().tolist() == [["kind", "b"]]
    assert found["share"].item() == pytest.approx(wrong[:, names == "b"].mean())
    every = table.iloc[0]
    assert every["by"] == EVERY and np.isnan(every["p"]) and every["images"] == 200
    assert every["errors"] == pytest.approx(wrong.sum() / 3)


def test_without_a_difference_a_table_seldom_finds_one():
    rng, found = np.random.default_rng(2), 0
    for _ in range(200):
        # Errors of seeds hang together: an image that one errs on, the others often do.
        hard = rng.random(80) < 0.2
        wrong = np.where(rng.random((3, 80)) < 0.8, hard, rng.random((3, 80)) < 0.2)
        table = corrected(errors_by_group(wrong, [("kind", groups_of(80))]))
        found += bool((table["p_holm"] < 0.05).any())
    assert found <= 18  # of 200 at 5 %: 18 or fewer with a chance of 99.5 %


def test_a_property_that_tells_nothing_new_is_left_out():
    names = groups_of(40)
    wrong = np.arange(40)[None] % 3 == 0
    properties = [
        ("kind", names), ("again", names.map(str.upper)), ("same", pd.Series(["x"] * 40)),
        ("half", names.where(names < "c")),
    ]  # fmt: skip
    table = errors_by_group(wrong, properties)
    assert table["by"].unique().tolist() == [EVERY, "kind", "half"]
    assert table.loc[table["by"] == "half", "images"].tolist() == [10, 10]
    assert (table["low"] <= table["share"]).all() and (table["share"] <= table["high"]).all()


def test_an_index_of_its_own_does_not_move_images():
    names, wrong = groups_of(40), np.arange(40)[None] % 4 == 1
    shuffled = names.set_axis(np.random.default_rng(0).permutation(40))
    table = errors_by_group(wrong, [("kind", shuffled)])
    assert table.set_index("value").loc["b", "share"] == 1


def test_the_worst_is_shown_beside_all():
    names = groups_of(60)
    wrong = (names == "c").to_numpy()[None] & (np.arange(60) % 2 == 0)
    table = corrected(errors_by_group(wrong, [("kind", names)])).assign(
        run="open", **{"class": "real"}
    )
    shown = worst_groups(table)
    assert shown["value"].tolist() == [EVERY, "c"] and shown["share"].is_monotonic_increasing
    assert worst_groups(table, fewest=61)["value"].tolist() == [EVERY]
    said = in_a_sentence(table)
    assert "Of 4 groups 1 can be shown" in said and "kind `c`: 100% false alarms" in said
    assert "25% of all real images" in said
    assert "none can be shown" in in_a_sentence(table.assign(p_holm=1.0))
