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
    found = [audit.matrices(paper.table_1(split, run), *paper.IMAGES[split])[0]
             for run in audit.OFFICIAL_RUNS]  # fmt: skip
    cells = {}
    for name, counts in (
        ("tp", [(m.true_positives, m.false_negatives) for m in found]),
        ("fp", [(m.false_positives, m.true_negatives) for m in found]),
    ):
        (a, rest), (b, _) = counts
        n = a + rest
        p, q = a / n, b / n
        both = p * q + correlation * np.sqrt(p * (1 - p) * q * (1 - q))
        table = rng.multinomial(n, [both, p - both, q - both, 1 - p - q + both], size=draws)
        cells[name] = (table[:, 0] + table[:, 1], table[:, 0] + table[:, 2], n)
    return [
        audit.rates(
            audit.Confusion(
                cells["fp"][2] - cells["fp"][run],
                cells["fp"][run],
                cells["tp"][2] - cells["tp"][run],
                cells["tp"][run],
            )
        )
        for run in (0, 1)
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


def test_the_needed_correlation_is_the_audits():
    ours = detectable.differences()["needs"]
    assert ours["official", "roc_auc"] == pytest.approx(
        audit.correlation_needed("roc_auc"), abs=0.02
    )
    assert ours["official", "accuracy"] == pytest.approx(
        audit.correlation_needed("accuracy"), abs=0.03
    )


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
