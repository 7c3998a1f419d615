"""What a comparison with the recorded execution lets pass, and what it does not."""

import pandas as pd
import pytest

from layerfusion.analysis.recorded import (
    LOSS,
    RANKING,
    REFERENCE,
    SPREAD,
    RecordComparison,
    Rule,
    compare_tables,
    tolerances,
    tolerances_of,
)
from layerfusion.paths import reference_folder

MEASURED = pd.read_csv(reference_folder("demo") / SPREAD)
BROKEN = sorted(MEASURED.loc[MEASURED["broken"], "variant"].unique())
OTHERS = sorted(set(MEASURED["variant"]) - set(BROKEN) - {REFERENCE})


def differences(variant, allowed):
    """Hold the stable numbers of both runs of a variant against those of the reference."""
    rule = Rule(exact=False, allowed=allowed)
    there, here = (
        MEASURED[MEASURED["variant"] == name].set_index("run") for name in (REFERENCE, variant)
    )
    columns = [(c, q) for q in (LOSS, *RANKING) for c in there.columns if c.endswith(q)]
    return [
        rule.judge(f"{run} {column}", quantity, there.at[run, column], here.at[run, column])
        for run in there.index
        for column, quantity in columns
    ]


def test_six_other_processors_and_three_broken_methods_were_measured():
    assert len(OTHERS) >= 6
    assert (MEASURED.groupby("variant")["run"].nunique() == 2).all()
    assert BROKEN == ["learned-nothing", "no-augmentation", "swapped-labels"]


@pytest.mark.parametrize("variant", OTHERS)
def test_a_processor_passes_by_what_was_measured_of_the_others(variant):
    allowed = tolerances_of(MEASURED[MEASURED["variant"] != variant])
    assert {d.verdict for d in differences(variant, allowed)} <= {"equal", "near"}


@pytest.mark.parametrize("variant", BROKEN)
def test_a_broken_method_does_not_pass(variant):
    assert "differs" in {d.verdict for d in differences(variant, tolerances_of(MEASURED))}


def test_the_committed_table_is_where_tolerances_come_from(tmp_path):
    assert tolerances(reference_folder("demo")) == tolerances_of(MEASURED)
    assert tolerances(tmp_path) == {}


FORMS = {
    "a column of that name": pd.DataFrame({"features": ["width"], "roc_auc": [0.7]}),
    "a row a metric": pd.DataFrame({"metric": ["roc_auc"], "estimate": [0.7], "low": [0.6]}),
    "the paper's": pd.DataFrame({"column": ["AUC"], "paper": [0.8], "run": [0.7]}),
}


@pytest.mark.parametrize("form", FORMS)
def test_stable_numbers_are_found_in_every_form_of_table(form):
    table = FORMS[form]
    column = {"features": "roc_auc", "metric": "estimate", "column": "run"}[table.columns[0]]
    rule = Rule(exact=False, allowed={"roc_auc": 0.01})
    near = compare_tables("t", table, table.assign(**{column: 0.705}), rule)
    far = compare_tables("t", table, table.assign(**{column: 0.72}), rule)
    assert "near" in {d.verdict for d in near} and "differs" not in {d.verdict for d in near}
    assert [d.name for d in far if d.verdict == "differs"] == [f"t, {column}, row 1"]


def test_a_number_that_is_not_defined_here_differs_and_without_a_spread_none_is_judged():
    rule = Rule(exact=False, allowed={"roc_auc": 0.01})
    assert rule.judge("AUC", "roc_auc", 0.7, float("nan")).verdict == "differs"
    assert rule.judge("AUC", "roc_auc", float("nan"), float("nan")).verdict == "equal"
    assert Rule(exact=False, allowed={}).judge("AUC", "roc_auc", 0.7, 0.2).verdict == "not judged"


def test_rows_can_hang_on_a_threshold_and_columns_cannot():
    table = FORMS["a column of that name"]
    longer, rule = pd.concat([table, table]), Rule(exact=False, allowed={"roc_auc": 0.01})
    assert [d.verdict for d in compare_tables("t", table, longer, rule)] == ["not judged"]
    other = compare_tables("t", table, table.rename(columns={"roc_auc": "auc"}), rule)
    assert [d.verdict for d in other] == ["differs"]


def test_a_summary_counts_what_was_compared():
    rule = Rule(exact=False, allowed={"roc_auc": 0.01})
    pairs = [("roc_auc", 0.7, 0.7), ("roc_auc", 0.7, 0.705), (None, 0.2, 0.4)]
    compared = RecordComparison([rule.judge("x", *pair) for pair in pairs])
    assert compared.summary().startswith("Of 3 numbers, 1 are equal")
    assert len(compared.table()) == 2
