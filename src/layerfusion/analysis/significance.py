"""The study's comparisons tested by formula, beside the paired bootstrap that its claims rest on.

Five comparisons: the open run with the constrained one, and in each run the paper's head with the
last block alone and with equal weights. Chance enters twice, by which images there are and by which
seed, and both are kept apart. A test of one seed knows of other images alone. The mean over seeds
is tested with both, as in `layerfusion.metrics.uncertainty.seed_interval`, but with a formula's
standard error in place of the bootstrap's.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.analysis.effects import verdict
from layerfusion.analysis.measures import RUNS, head_variant
from layerfusion.metrics.scored import Metric, ScoredImages
from layerfusion.metrics.significance import (
    TestedDifference,
    delong_contrast,
    delong_test,
    holm,
    mcnemar_test,
    paired_mean_test,
)
from layerfusion.metrics.uncertainty import (
    LEVEL,
    Interval,
    Values,
    image_interval,
    over_seeds,
    seed_interval,
)
from layerfusion.settings import Blocks

_ABLATIONS: dict[Blocks, str] = {"last": "last block", "mean": "equal weights"}

# By words for a page: which variant is compared with which.
COMPARISONS = {"open − constrained": ("open", "constrained")} | {
    f"fusion − {words}, {run}": (run, head_variant(run, blocks))
    for blocks, words in _ABLATIONS.items()
    for run in RUNS
}


def ranking_tests(scored: Mapping[str, ScoredImages]) -> pd.DataFrame:
    """Test the differences of ROC AUC, means over seeds, images and seeds both taken for chance.

    Parameters
    ----------
    scored
        The same images by variant, of two seeds at least.

    Returns
    -------
    DataFrame
        A row a comparison whose variants there are: ``comparison``, ``difference``;
        ``seed_se``, ``formula_se`` (DeLong's) and ``bootstrap_se``, standard errors of the mean,
        from seeds and twice from images; ``p_images`` and ``p`` (images alone: normal; both: t with
        seeds - 1 degrees of freedom), each also ``..._holm``, corrected over the rows; ``low`` and
        ``high`` with the formula's error, ``bootstrap_low`` and ``bootstrap_high`` with the
        bootstrap's; ``agree``, whether both intervals give the same verdict, uncorrected.
    """
    rows = []
    for pair in _pairs(scored):
        seeds = len(pair.one.logits)
        weights = np.repeat([1 / seeds, -1 / seeds], seeds)
        logits = np.concatenate([pair.one.logits, pair.two.logits])
        tested = delong_contrast(pair.one.label, logits, weights)
        rows.append({"comparison": pair.name} | _with_seeds(tested, pair.difference("roc_auc")))
    return _corrected(pd.DataFrame(rows), "p_images", "p")


def decision_tests(scored: Mapping[str, ScoredImages]) -> pd.DataFrame:
    """Test the differences of accuracy, each detector at its own threshold, means over seeds.

    Returns
    -------
    DataFrame
        As `ranking_tests`; the formula is `layerfusion.metrics.significance.paired_mean_test`.
    """
    rows = []
    for pair in _pairs(scored):
        gained = pair.two.wrong.astype(np.float64) - pair.one.wrong
        tested = paired_mean_test(pair.one.label, gained.mean(axis=0))
        rows.append({"comparison": pair.name} | _with_seeds(tested, pair.difference("accuracy")))
    return _corrected(pd.DataFrame(rows), "p_images", "p")


def ranking_tests_by_seed(scored: Mapping[str, ScoredImages]) -> pd.DataFrame:
    """Test the differences of ROC AUC seed by seed: DeLong's test beside the paired bootstrap.

    Returns
    -------
    DataFrame
        A row a comparison and seed: ``comparison``, ``seed``, ``difference``; ``low``, ``high``,
        ``p`` (DeLong) and ``p_holm``, corrected over all rows; ``bootstrap_low`` and
        ``bootstrap_high``; ``agree``, whether both intervals lie on the same side of 0, or both
        hold it.
    """
    rows = []
    for pair in _pairs(scored):
        for n, values in enumerate(pair.difference("roc_auc")):
            found = delong_test(pair.one.label, pair.one.logits[n], pair.two.logits[n])
            row = {"comparison": pair.name, "seed": pair.one.seeds[n]}
            row |= _tested(found, found.p_value)
            rows.append(row | _beside(found, image_interval(values)))
    return _corrected(pd.DataFrame(rows), "p")


def decision_tests_by_seed(scored: Mapping[str, ScoredImages]) -> pd.DataFrame:
    """Test the differences of accuracy, each detector at its own threshold, seed by seed.

    Returns
    -------
    DataFrame
        A row a comparison and seed: ``comparison``, ``seed``; ``only_first`` and ``only_second``,
        the images that one of them alone classifies correctly; ``correlation`` of their
        predictions, in [-1, 1], the mean of both classes, NaN if one predicts all images of a class
        alike; ``difference`` of accuracy with ``low`` and ``high`` (normal); ``p`` (McNemar's exact
        test) and ``p_holm``, corrected over all rows; ``bootstrap_low`` and ``bootstrap_high``;
        ``agree``, whether p and the bootstrap's interval give the same verdict.
    """
    rows = []
    for pair in _pairs(scored):
        label, both = pair.one.label, (pair.one.predicted, pair.two.predicted)
        for n, values in enumerate(pair.difference("accuracy")):
            one, two = (predicted[n] for predicted in both)
            found = mcnemar_test(label, one, two)
            row = {"comparison": pair.name, "seed": pair.one.seeds[n]}
            row |= {"only_first": found.only_first, "only_second": found.only_second}
            row |= {"correlation": _correlation(label, one, two)}
            row |= _tested(found.difference, found.p_value)
            tested = _one_sided_of_zero(found.difference.estimate, found.p_value)
            rows.append(row | _beside(tested, image_interval(values)))
    return _corrected(pd.DataFrame(rows), "p")


class _Pair(NamedTuple):
    """A comparison: both detectors' scores of the same images, seed by seed."""

    name: str
    one: ScoredImages
    two: ScoredImages

    def difference(self, metric: Metric) -> Values:
        """Return the first detector's metric minus the second's, shape (seeds, 1 + resamples)."""
        return self.one.values(metric) - self.two.values(metric)


def _pairs(scored: Mapping[str, ScoredImages]) -> Iterator[_Pair]:
    """Yield every comparison that there are predictions for."""
    for name, (one, two) in COMPARISONS.items():
        if one in scored and two in scored:
            yield _Pair(name, scored[one], scored[two])


def _tested(found: Interval, p_value: float) -> dict[str, float]:
    """Return a tested difference as the columns of a table."""
    return {"difference": found.estimate, "low": found.low, "high": found.high, "p": p_value}


def _corrected(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Return a table with Holm's correction to the right of each of its columns of p-values."""
    for name in names:
        place = table.columns.tolist().index(name) + 1
        table.insert(place, f"{name}_holm", holm(table[name]))
    return table


def _with_seeds(tested: TestedDifference, values: Values) -> dict[str, float | bool]:
    """Return a mean over seeds, tested over images, with seeds, beside what the bootstrap says.

    `values` are of shape (seeds, 1 + resamples).
    """
    drawn = seed_interval(values)
    seed_se = drawn.seed_sd / np.sqrt(drawn.seeds)
    interval, p = over_seeds(tested.estimate, drawn.seed_sd, drawn.seeds, tested.standard_error)
    return {
        "difference": tested.estimate,
        "seed_se": float(seed_se),
        "formula_se": tested.standard_error,
        "bootstrap_se": drawn.image_se,
        "p_images": tested.p_value,
        "p": p,
        "low": interval.low,
        "high": interval.high,
        **_beside(interval, drawn),
    }


def _beside(tested: Interval, drawn: Interval) -> dict[str, float | bool]:
    agree = verdict(tested) == verdict(drawn)
    return {"bootstrap_low": drawn.low, "bootstrap_high": drawn.high, "agree": agree}


def _one_sided_of_zero(estimate: float, p_value: float) -> Interval:
    """Return an interval that holds 0 just where a p-value is no reason to leave it out."""
    if p_value < 1 - LEVEL:
        return Interval(estimate, estimate, estimate)
    return Interval(estimate, min(estimate, 0.0), max(estimate, 0.0))


def _correlation(label: NDArray[np.int64], one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    """Return the mean over classes of the correlation of two detectors' predictions."""
    with np.errstate(invalid="ignore"):  # a detector may predict all of a class alike
        of = [np.corrcoef(one[label == own], two[label == own])[0, 1] for own in (0, 1)]
    return float(np.mean(of))
