"""Claims at a glance: numbers, directions, and no verdict on numbers of another world."""

import numpy as np
import pytest

from layerfusion.figures.overview import GAINS, THRESHOLDS, overview, styled
from layerfusion.metrics.uncertainty import image_interval
from layerfusion.paper import numbers as paper


def test_every_gain_stands_beside_the_papers_own(scored):
    table = overview(scored, "demo").set_index("claim")
    for gain in GAINS:
        for run in ("constrained", "open"):
            expected = paper.reported(gain.metric, run, gain.on)
            assert table.loc[gain.text, f"paper_{run}"] == expected
    row = table.loc[GAINS[1].text]
    difference = image_interval(scored("roc_auc", "open") - scored("roc_auc", "constrained"))
    assert (
        row["difference"] == difference.estimate == pytest.approx(row["open"] - row["constrained"])
    )
    assert (row["low"], row["high"]) == (difference.low, difference.high)


def test_verdicts_speak_of_directions_and_of_what_was_not_measured(scored):
    table = overview(scored, "demo").set_index("claim")["verdict"]
    assert table[GAINS[1].text] == "holds"
    assert table[GAINS[3].text] == "not measured"  # the official images have no labels
    assert table[THRESHOLDS] == "both below 0.5"
    assert not table.str.contains("numbers").any()


def test_a_run_of_the_paper_is_held_against_its_numbers(scored):
    table = overview(scored, "paper").set_index("claim")["verdict"]
    assert table[GAINS[1].text] == "holds; numbers differ"

    def repeated(metric, run, *, on="local", blocks="all"):
        return np.full(201, paper.reported(metric, run, on) + 0.004)

    repeated.runs = scored.runs
    table = overview(repeated, "paper").set_index("claim")["verdict"]
    assert {table[gain.text] for gain in GAINS} == {"holds; numbers agree"}


def test_a_picture_of_the_table_says_whose_numbers_are_whose(scored):
    table = overview(scored, "demo")
    html = styled(table, "demo").to_html()
    assert "0.7555 → 0.7916" in html and "0.00013 → 0.0012" in html
    assert "The demo profile" in html and "cannot be compared" in html
    assert html.count("not measured") == 8  # four claims, their numbers and their verdicts
    assert "cannot be compared" not in styled(overview(scored, "paper"), "paper").to_html()
