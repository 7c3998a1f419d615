"""Tables beside the paper's: its rows and columns, and a picture of one that does not deceive."""

import numpy as np
import pytest

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
