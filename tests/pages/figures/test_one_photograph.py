"""The page on one photograph reads counts that are committed, and adds nothing to them."""

import numpy as np
import pandas as pd
import pytest

from layerfusion.apps.evidence.levels import FEWEST_IMAGES, EvidenceLevel, levels_by_source
from layerfusion.experiments.record import published_study
from layerfusion.pages.figures import one_photograph
from layerfusion.pages.figures.benchmarks import read_result
from layerfusion.paths import reference_folder
from layerfusion.scoring.detectors import DEFAULT_FOLDER, read_reference


@pytest.fixture(scope="module")
def counted():
    return read_result(one_photograph.WORDS)


def test_every_image_that_was_inspected_has_one_word(counted):
    table = one_photograph.words_table(counted)
    for how in one_photograph.HOW.values():
        own = table.loc[how]
        assert own["photographs"].sum() == own["generated"].sum() == counted["per_class"]
        assert (own["right_low"].dropna() <= own["right"].dropna()).all()
        assert np.isnan(own.loc[EvidenceLevel.UNSURE.text, "right"])


def test_what_is_right_is_the_class_that_a_word_speaks_for():
    words = {word.text: {"photographs": 3, "generated": 1} for word in EvidenceLevel}
    table = one_photograph.words_table({"words": {"alone": words, "said": words}})
    right = table.loc[one_photograph.HOW["said"], "right"]
    assert right[EvidenceLevel.NONE.text] == 0.75 and right[EvidenceLevel.STRONG.text] == 0.25
    assert one_photograph.shown_words(table, "said").loc[EvidenceLevel.UNSURE.text, "right"] == ""


def test_what_is_taken_back_is_the_difference_of_both_counts():
    decided = {
        "alone": {"decided": 100, "wrong": 20, "share_wrong": [0.2, 0.1, 0.3], "unsure": 0},
        "said": {"decided": 60, "wrong": 8, "share_wrong": [0.1, 0.0, 0.2], "unsure": 40},
    }
    said = one_photograph.what_unsure_saves({"decided": decided})
    assert "take back 40 verdicts, 12 of them wrong: 30%" in said
    assert "28 right ones. 8 wrong ones stay" in said
    # The ten nearest to the threshold are wrong, and among the forty that are left out.
    images = {"label": [0, 1] * 50, "logit": [-5.0, 5.0] * 45 + [0.1, -0.1] * 5}
    result = {"decided": decided, "per_class": 50, "threshold": 0.5, "images": images}
    assert one_photograph.at_equal_coverage(result).estimate == 0
    headline = one_photograph.in_a_sentence(result)
    assert "Of 100 validation images" in headline and "10% [0%, 20%]" in headline
    assert "is wrong of 0% [" in headline


def test_the_predictions_are_those_of_the_detector_that_is_shipped():
    table = published_study(reference_folder("photographs"), "detectors").predictions
    table = table[(table["variant"] == one_photograph.SHIPPED) & (table["condition"] == "local")]
    reference = read_reference(DEFAULT_FOLDER)
    for kind in (0, 1):
        before = np.sort(table.loc[table["label"] == kind, "logit"])
        after = np.sort(reference.logit[reference.label == kind])
        np.testing.assert_allclose(after, before, atol=1e-5)  # the last bits of other batches


def test_a_source_is_read_by_words_that_the_others_made():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], 200)
    images = pd.DataFrame(
        {"label": label, "logit": rng.normal(4 * label), "source": np.tile(["a", "b"], 200)}
    )
    shifted = images["source"].eq("a") & images["label"].eq(0)
    images.loc[shifted, "logit"] += 100  # among its own kind none of these would stand out
    few = pd.DataFrame({"label": 0, "logit": 0.0, "source": "c"}, index=range(FEWEST_IMAGES - 1))
    table = one_photograph.by_source(levels_by_source(pd.concat([images, few])))
    assert table.loc[("real", "a"), "wrong"] == 1
    assert table.loc[("real", "b"), "wrong"] == 0
    assert "c" not in table.index.get_level_values("source")
    assert table["images"].sum() == 400
    assert "it is 0% to 100% of the photographs" in one_photograph.sources_in_a_sentence(table)
    assert one_photograph.shown_sources(table).loc[("real", "a"), "wrong"].startswith("100% [")


def test_times_are_those_that_were_measured():
    rows = [
        {"pictures": 1, "maps": False, "processor_seconds": 10.0},
        {"pictures": 11, "maps": False, "processor_seconds": 30.0},
        {"pictures": 1, "maps": True, "processor_seconds": 20.0},
    ]
    result = {"measured": [row | {"seconds": 5.0, "peak_memory_mib": 1000} for row in rows]}
    table = one_photograph.time_table(result)
    assert table.loc[(11, "no"), "processor seconds"] == 30 and len(table) == 3
    said = one_photograph.a_further_picture(result)
    assert "takes 2.0 seconds" in said and "its map 10.0 more" in said
    table = one_photograph.time_table(read_result(one_photograph.TIMES))
    assert {pictures for pictures, _ in table.index} > {1}
    assert (table > 0).all(axis=None)
