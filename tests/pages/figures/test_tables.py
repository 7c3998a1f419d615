"""Tables beside the paper's: its rows and columns, and a picture of one that does not deceive."""

import numpy as np
import pytest

from layerfusion.metrics.uncertainty import image_interval
from layerfusion.pages.figures import tables
from layerfusion.paper import numbers as paper


def measured(value):
    return np.concatenate([[value], np.linspace(value - 0.02, value + 0.02, 41)])


def like_the_paper(metric, run, *, on="local", blocks="all"):
    return measured(paper.reported(metric, run, on) + (0.005 if run == "open" else 0.03))


def local_only(metric, run, *, on="local", blocks="all"):
    if on == "official":
        raise LookupError("no labels")
    return measured(0.5)


def test_table_1_has_the_papers_rows_columns_and_numbers_in_order():
    table = tables.side_by_side(tables.TABLE_1, like_the_paper, "paper")
    printed = [
        [row.accuracy, row.precision, row.recall, row.f1, row.roc_auc, row.average_precision]
        for row in paper.TABLE_1
    ]
    assert table["paper"].to_numpy().reshape(4, 6).tolist() == printed
    assert table["column"].unique().tolist() == ["Acc.", "Prec.", "Rec.", "F1", "AUC", "AP"]
    assert table["row"].unique().tolist()[0] == "Local, Constr."


def test_table_2_has_the_papers_numbers_in_order():
    table = tables.side_by_side(tables.TABLE_2, like_the_paper, "paper")
    printed = [paper.TABLE_2[on, "open"] for on in ("jpeg", "launder", "small")]
    expected = [value for row in printed for value in row.values()]
    assert table[table["row"] == "Open"]["paper"].tolist() == expected


def test_verdicts_are_for_comparable_runs_and_follow_the_tolerance():
    table = tables.side_by_side(tables.TABLE_1, like_the_paper, "paper")
    opened = table["row"].str.endswith("Open")
    assert set(table[opened]["verdict"]) == {"agrees"}
    assert set(table[~opened]["verdict"]) == {"differs"}
    assert table["difference"].to_numpy() == pytest.approx(np.where(opened, 0.005, 0.03))
    other = tables.side_by_side(tables.TABLE_1, like_the_paper, "demo")
    assert set(other["verdict"]) == {"not comparable"}


def test_what_was_not_measured_says_so():
    table = tables.side_by_side(tables.TABLE_1, local_only, "demo")
    official = table["row"].str.startswith("Official")
    assert set(table[official]["verdict"]) == {"not measured"}
    assert table[official]["run"].isna().all() and table[~official]["run"].notna().all()
    assert tables.styled(table, "demo").to_html().count("not measured") == 12


def test_a_picture_of_a_demo_table_cannot_be_taken_for_the_papers():
    table = tables.side_by_side(tables.TABLE_2, like_the_paper, "demo")
    html = tables.styled(table, "demo").to_html()
    assert "cannot be compared" in html and html.count("paper 0.") == 10
    assert html == tables.styled(table, "demo").to_html()
    comparable = tables.side_by_side(tables.TABLE_2, like_the_paper, "paper")
    html = tables.styled(comparable, "paper").to_html()
    assert "cannot be compared" not in html and "agrees" in html


def test_every_gain_stands_beside_the_papers_own(scored):
    table = tables.overview(scored, "demo").set_index("claim")
    for gain in tables.GAINS:
        for run in ("constrained", "open"):
            expected = paper.reported(gain.metric, run, gain.on)
            assert table.loc[gain.text, f"paper_{run}"] == expected
    row = table.loc[tables.GAINS[1].text]
    difference = image_interval(scored("roc_auc", "open") - scored("roc_auc", "constrained"))
    assert (
        row["difference"] == difference.estimate == pytest.approx(row["open"] - row["constrained"])
    )
    assert (row["low"], row["high"]) == (difference.low, difference.high)


def test_verdicts_speak_of_directions_and_of_what_was_not_measured(scored):
    table = tables.overview(scored, "demo").set_index("claim")["verdict"]
    assert table[tables.GAINS[1].text] == "holds"
    assert table[tables.GAINS[3].text] == "not measured"  # the official images have no labels
    assert table[tables.THRESHOLDS] == "both below 0.5"
    assert not table.str.contains("numbers").any()


def test_a_run_of_the_paper_is_held_against_its_numbers(scored):
    table = tables.overview(scored, "paper").set_index("claim")["verdict"]
    assert table[tables.GAINS[1].text] == "holds; numbers differ"

    def repeated(metric, run, *, on="local", blocks="all"):
        return np.full(201, paper.reported(metric, run, on) + 0.004)

    repeated.runs = scored.runs
    table = tables.overview(repeated, "paper").set_index("claim")["verdict"]
    assert {table[gain.text] for gain in tables.GAINS} == {"holds; numbers agree"}


def test_a_picture_of_the_table_says_whose_numbers_are_whose(scored):
    table = tables.overview(scored, "demo")
    html = tables.styled_overview(table, "demo").to_html()
    assert "0.7555 → 0.7916" in html and "0.00013 → 0.0012" in html
    assert "The demo profile" in html and "cannot be compared" in html
    assert html.count("not measured") == 8  # four claims, their numbers and their verdicts
    assert (
        "cannot be compared"
        not in tables.styled_overview(tables.overview(scored, "paper"), "paper").to_html()
    )
