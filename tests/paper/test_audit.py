"""The audit of the paper's own numbers, against independent computations."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from layerfusion.paper import audit
from layerfusion.paper import numbers as paper
from layerfusion.paper.audit import Confusion, auc_standard_error, matrices


def as_labels(matrix):
    label = np.repeat([0, 0, 1, 1], matrix)
    called = np.repeat([0, 1, 0, 1], matrix)
    return label, called


counts = st.integers(1, 200)


@given(counts, counts, counts, counts)
def test_rates_are_scikit_learns(tn, fp, fn, tp):
    label, called = as_labels((tn, fp, fn, tp))
    for name, value in audit.rates(Confusion(tn, fp, fn, tp)).items():
        assert value == pytest.approx(getattr(reference, f"{name}_score")(label, called))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 499), st.integers(0, 499))
def test_the_matrix_that_made_rounded_rates_is_found_again(tp, fp):
    matrix = Confusion(500 - fp, fp, 500 - tp, tp)
    rates = {name: round(float(v), 4) for name, v in audit.rates(matrix).items()}
    row = paper.PaperRow("local", "open", **rates, roc_auc=0.5, average_precision=0.5)
    assert matrix in matrices(row, 500, 500)


def test_rates_that_no_matrix_has_are_found_out():
    row = paper.table_1("official", "open")
    assert matrices(replace(row, f1=0.7250), 5000, 5000) == []


def test_each_row_of_table_1_has_one_matrix_and_the_official_ones_are_section_5s():
    table = audit.rebuilt()
    assert (table["matrices"] == 1).all() and len(table) == 4
    for run, errors in paper.OFFICIAL_ERRORS.items():
        row = table.loc[("official", run)]
        assert row["false_negatives"] == errors.false_negatives
        assert row["false_positives"] == errors.false_positives


def test_the_official_images_can_only_be_half_and_half():
    assert audit.divisions(10_000) == [paper.IMAGES["official"]]


def test_every_statement_of_the_paper_agrees_with_its_tables():
    table = audit.statements()
    assert table["agrees"].all(), table[~table["agrees"]]
    assert len(table) > 25


def test_a_wrong_number_in_the_paper_would_be_found(monkeypatch):
    wrong = tuple(
        replace(row, precision=0.6714) if (row.split, row.run) == ("local", "open") else row
        for row in paper.TABLE_1
    )
    monkeypatch.setattr(paper, "TABLE_1", wrong)
    with pytest.raises(IndexError):  # no matrix has such rates
        audit.statements()


def test_aucs_standard_error_is_that_of_exponential_scores():
    # Hanley and McNeil's formula is exact for exponentially distributed scores.
    rng = np.random.default_rng(0)
    real, synthetic, scale = 60, 40, 3.0
    aucs = [
        reference.roc_auc_score(
            np.repeat([0, 1], [real, synthetic]),
            np.append(rng.exponential(1.0, real), rng.exponential(scale, synthetic)),
        )
        for _ in range(1500)
    ]
    expected = auc_standard_error(scale / (1 + scale), real, synthetic)
    assert np.std(aucs) == pytest.approx(expected, rel=0.06)


def test_official_intervals_hold_the_printed_numbers_and_say_what_is_chance():
    table = audit.official_intervals()
    for run in ("constrained", "open"):
        for metric, row in table[run].iterrows():
            assert row["low"] < row["estimate"] < row["high"]
            assert row["estimate"] == pytest.approx(
                getattr(paper.table_1("official", run), metric), abs=5e-5
            )
    normal = 1.96 * np.sqrt(2 * 0.7332 * 0.2668 / 5000)
    recall = table["difference"].loc["recall"]
    assert recall["high"] - recall["low"] == pytest.approx(2 * normal, rel=0.03)
    assert recall["low"] > 0  # section 4's "recall-driven" exceeds chance
    assert table["difference"].loc["f1", "low"] > 0
    for metric in ("precision", "accuracy", "roc_auc"):  # as chapter 04 says in words
        assert table["difference"].loc[metric, "low"] < 0


def test_calling_everything_synthetic():
    label = np.repeat([0, 1], [30, 70])
    expected = reference.f1_score(label, np.ones(100))
    assert audit.all_synthetic_f1(30, 70) == pytest.approx(expected)
