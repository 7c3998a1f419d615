"""The page on one photograph reads counts that are committed, and shows a real report."""

import html

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
    shown = one_photograph.shown_words(table, "said")
    assert shown.loc["unsure", "right"] == ""
    assert shown.loc["no evidence", "right"].startswith("75% [")


def test_every_count_of_a_level_is_drawn(counted):
    table = one_photograph.words_table(counted)
    for axes, how in zip(
        one_photograph.draw_words(table).axes, one_photograph.HOW.values(), strict=True
    ):
        drawn = [[bar.get_width() for bar in bars] for bars in axes.containers]
        assert drawn == [table.loc[how, kind].tolist() for kind in ("photographs", "generated")]


def test_the_report_on_the_page_is_whole_and_asks_for_nothing():
    report = one_photograph.demo_report()
    assert "Demo detector" in report and "Is it stable?" in report and "Map: " in report
    assert report == one_photograph.demo_report()
    frame = one_photograph.framed(report, 'A "report"').data
    assert 'title="A &quot;report&quot;"' in frame
    assert "<table" not in frame and html.escape("<table") in frame
    assert "http" not in report.replace("http-equiv", "")
    assert len(frame) < 100_000


def test_the_score_alone_is_compared_at_equal_coverage():
    decided = {"said": {"decided": 60}}
    # The ten nearest to the threshold are wrong, and among the forty that are left out.
    images = {"label": [0, 1] * 50, "logit": [-5.0, 5.0] * 45 + [0.1, -0.1] * 5}
    result = {"decided": decided, "threshold": 0.5, "images": images}
    assert one_photograph.at_equal_coverage(result).estimate == 0


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
    drawn = one_photograph.draw_sources(table).axes
    assert [axes.get_title(loc="left") for axes in drawn] == list(one_photograph.PANELS.values())
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
    assert one_photograph.further_seconds(result) == (2.0, 10.0)
    table = one_photograph.time_table(read_result(one_photograph.TIMES))
    assert {pictures for pictures, _ in table.index} > {1}
    assert (table > 0).all(axis=None)
