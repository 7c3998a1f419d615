"""Sources and styles apart: numbers of fabricated predictions whose separation is known."""

import numpy as np
import pandas as pd
import pytest

from layerfusion.analysis.sources import (
    FEWEST_IMAGES,
    scored_images,
    source_table,
    style_gaps,
    style_table,
    worst_sources,
)
from layerfusion.metrics.rates import ranking_metrics

# By source: label, style, images, and by how much its logits lie above the real images' mean.
SOURCES = {
    "camera": (0, "photo", 120, 0.0),
    "scans": (0, "photo", 60, 0.8),
    "portraits": (1, "face", 40, 1.0),
    "photographic": (1, "photo", 40, 1.2),
    "paintings": (1, "art", 60, 3.0),
    "of all kinds": (1, "mixed", 40, 2.0),
    "a few": (1, "photo", FEWEST_IMAGES - 1, -3.0),
}


@pytest.fixture(scope="module")
def predictions():
    rng, tables = np.random.default_rng(4), []
    for seed in (1, 2, 3):
        for source, (label, style, count, shift) in SOURCES.items():
            tables.append(
                pd.DataFrame(
                    {
                        "seed": seed,
                        "image_id": [f"{source}-{number}" for number in range(count)],
                        "label": label,
                        "logit": rng.normal(shift, 1, count).astype("float32"),
                        "source": source,
                        "style": style,
                    }
                )
            )
    table = pd.concat(tables, ignore_index=True)
    table["label"] = table["label"].astype("Int8")
    return table.assign(run="open", blocks="all", condition="local")


@pytest.fixture(scope="module")
def scored(predictions):
    return scored_images(predictions, "open")


def auc(predictions, seed, kept):
    rows = predictions[(predictions["seed"] == seed) & kept(predictions)]
    return ranking_metrics(rows["label"].astype(int), rows["logit"]).roc_auc


def test_a_source_is_held_against_all_images_of_the_other_class(predictions, scored):
    table = source_table(scored).set_index("source")
    assert set(table.index) == set(SOURCES)
    for source, (label, _, images, _) in SOURCES.items():
        row = table.loc[source]
        assert row["class"] == ("real", "synthetic")[label] and row["images"] == images

        def kept(rows, source=source, label=label):
            return (rows["source"] == source) | (rows["label"] == 1 - label)

        expected = np.mean([auc(predictions, seed, kept) for seed in (1, 2, 3)])
        assert row["estimate"] == pytest.approx(expected)
        assert row["low"] < row["estimate"] < row["high"] and row["seeds"] == 3
    synthetic = table[table["class"] == "synthetic"]
    assert synthetic["estimate"].is_monotonic_increasing and synthetic.index[0] == "a few"


def test_the_worst_source_is_one_of_those_with_enough_images(scored):
    worst, table = worst_sources(scored).set_index("class"), source_table(scored)
    assert worst["source"].to_dict() == {"real": "scans", "synthetic": "portraits"}
    assert worst["sources"].to_dict() == {"real": 2, "synthetic": 4}
    for name, row in worst.iterrows():
        own = table[(table["class"] == name) & (table["images"] >= FEWEST_IMAGES)]
        # Seed by seed the lowest may be another source, so that their mean is no higher.
        assert row["estimate"] <= own["estimate"].min() + 1e-12


def test_styles_are_held_apart_and_make_up_the_whole(predictions, scored):
    table = style_table(scored).set_index("style")
    assert table.index.tolist() == ["all", "photographic", "mixed", "illustration"]
    assert table["images"].tolist() == [189, 89, 40, 60]
    parts = table.drop(index="all")
    whole = (parts["estimate"] * parts["share"]).sum()
    assert table.loc["all", "estimate"] == pytest.approx(whole)
    expected = np.mean([auc(predictions, seed, lambda _: True) for seed in (1, 2, 3)])
    assert table.loc["all", "estimate"] == pytest.approx(expected)
    assert table.loc["photographic", "high"] < table.loc["illustration", "low"]


def test_being_drawn_is_worth_what_the_styles_differ(scored):
    table = style_table(scored).set_index("style")["estimate"]
    gaps = style_gaps(scored).set_index("minuend")
    for style in ("all", "illustration"):
        assert gaps.loc[style, "estimate"] == pytest.approx(table[style] - table["photographic"])
        assert gaps.loc[style, "low"] > 0


def test_styles_that_nobody_said_are_unknown(predictions):
    unsaid = predictions.assign(style=predictions["style"].where(predictions["style"] != "photo"))
    table = style_table(scored_images(unsaid, "open")).set_index("style")
    assert table.loc["unknown", "images"] == 49 and table.loc["photographic", "images"] == 40
    nothing = scored_images(predictions.assign(style=None), "open")
    assert style_table(nothing)["style"].tolist() == ["all", "unknown"]
    assert style_gaps(nothing).empty


def test_a_source_of_one_image_has_no_interval(predictions):
    one = predictions["source"] != "a few"
    one |= predictions["image_id"] == "a few-0"
    row = source_table(scored_images(predictions[one], "open")).set_index("source").loc["a few"]
    assert row["images"] == 1 and np.isfinite(row["estimate"]) and np.isnan(row["low"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"run": "constrained"}, "open run"),
        ({"seed": 1}, "two seeds"),
        ({"label": pd.NA}, "no labels"),
    ],
)
def test_what_was_not_measured_is_a_lookup_error(predictions, change, words):
    table = predictions.assign(**change).astype({"label": "Int8"})
    with pytest.raises(LookupError, match=words):
        scored_images(table, "open")
