"""What the paper's images can show, against draws of counts and of scores."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from layerfusion.errors import UserError
from layerfusion.paper import audit, detectable
from layerfusion.paper import numbers as paper


def drawn_pairs(split, correlation, draws, rng):
    """Confusion matrices of both runs whose calls have a correlation, drawn cell by cell."""
    real, synthetic = paper.IMAGES[split]
    found = [
        audit.matrices(paper.table_1(split, run), real, synthetic)[0] for run in audit.OFFICIAL_RUNS
    ]
    cells = {}
    for name, n in (("true_positives", synthetic), ("false_positives", real)):
        p, q = (getattr(matrix, name) / n for matrix in found)
        both = p * q + correlation * np.sqrt(p * (1 - p) * q * (1 - q))
        table = rng.multinomial(n, [both, p - both, q - both, 1 - p - q + both], size=draws)
        cells[name] = (table[:, 0] + table[:, 1], table[:, 0] + table[:, 2])
    return [
        audit.rates(audit.Confusion(real - fp, fp, synthetic - tp, tp))
        for tp, fp in zip(*cells.values(), strict=True)
    ]


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_standard_errors_are_those_of_drawn_counts(correlation):
    rng = np.random.default_rng(4)
    for split in ("local", "official"):
        if correlation > 0.75 and split == "local":
            continue  # the local shares differ too much to be so alike
        constrained, opened = drawn_pairs(split, correlation, 4000, rng)
        for metric in audit.RATES:
            expected = np.std(opened[metric] - constrained[metric])
            found = detectable.difference_error(metric, split, correlation)
            assert found == pytest.approx(expected, rel=0.04), (split, metric)


def test_the_needed_correlation_is_where_the_paired_interval_touches_zero():
    needs = detectable.differences().loc[("official", "roc_auc"), "needs"]
    rows = (paper.table_1("official", run) for run in audit.OFFICIAL_RUNS)
    one, two = (audit.auc_standard_error(row.roc_auc, *paper.IMAGES["official"]) for row in rows)
    paired = np.sqrt(one**2 + two**2 - 2 * needs * one * two)
    assert pytest.approx(1.96 * paired, rel=0.02) == 0.0097


def test_verdicts_follow_from_the_interval():
    table = detectable.differences((0.0, 0.4))
    assert len(table) == 12
    for (split, metric), row in table.iterrows():
        reach = [
            stats.norm.ppf(0.975) * detectable.difference_error(metric, split, r) for r in (0, 1)
        ]
        size = abs(row["difference"])
        expected = (
            "shown" if size > reach[0]
            else "not shown" if size <= reach[1]
            else "depends on the correlation"
        )  # fmt: skip
        assert row["verdict"] == expected
        assert row["smallest at r = 0.4"] < row["smallest at r = 0"]
        if 0 < row["needs"] < 1:
            error = detectable.difference_error(metric, split, row["needs"])
            assert stats.norm.ppf(0.975) * error == pytest.approx(size)
    assert {"shown", "not shown", "depends on the correlation"} == set(table["verdict"])
    assert table.loc["official"].loc["recall", "verdict"] == "shown"


def test_the_smallest_difference_is_shown_in_four_of_five_cases():
    smallest = detectable.smallest_difference("recall", "official", 0.5)
    error = detectable.difference_error("recall", "official", 0.5)
    rng = np.random.default_rng(0)
    found = rng.normal(smallest, error, 20_000)
    assert (found > stats.norm.ppf(0.975) * error).mean() == pytest.approx(0.8, abs=0.01)


def test_aps_standard_error_is_of_the_right_size():
    """It is an approximation: here it is held to a factor, for normal scores of that AUC."""
    rng, images = np.random.default_rng(1), 1000
    label = np.repeat([0, 1], images)
    values = [average_precision_score(label, rng.normal(label, 1)) for _ in range(200)]
    found = detectable.average_precision_standard_error(np.mean(values), images)
    assert 0.75 < found / np.std(values) < 1.6


def test_a_correlation_that_cannot_be_is_refused():
    with pytest.raises(UserError, match="between 0 and 1"):
        detectable.difference_error("f1", "local", 1.5)
