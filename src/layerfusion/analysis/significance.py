"""The study's comparisons tested by formula, beside the paired bootstrap that its claims rest on.

Five comparisons: the open run with the constrained one, and in each run the paper's head with the
last block alone and with equal weights. Chance enters twice, by which images there are and by which
seed, and both are kept apart. A test of one seed knows of other images alone. The mean over seeds
is tested with both, as in `layerfusion.metrics.uncertainty.seed_interval`, but with a formula's
standard error in place of the bootstrap's.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.analysis.effects import verdict
from layerfusion.analysis.measures import RUNS, head_variant
from layerfusion.metrics.scored import Metric, ScoredImages
from layerfusion.metrics.significance import (
    McNemar,
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

    def test(one: ScoredImages, two: ScoredImages) -> TestedDifference:
        weights = np.repeat([1, -1], len(one.logits)) / len(one.logits)
        return delong_contrast(one.label, np.concatenate([one.logits, two.logits]), weights)

    return _over_seeds(scored, "roc_auc", test)


def decision_tests(scored: Mapping[str, ScoredImages]) -> pd.DataFrame:
    """Test the differences of accuracy, each detector at its own threshold, means over seeds.

    Returns
    -------
    DataFrame
        As `ranking_tests`; the formula is `layerfusion.metrics.significance.paired_mean_test`.
    """

    def test(one: ScoredImages, two: ScoredImages) -> TestedDifference:
        gained = two.wrong.astype(np.float64) - one.wrong
        return paired_mean_test(one.label, gained.mean(axis=0))

    return _over_seeds(scored, "accuracy", test)


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

    def test(one: ScoredImages, two: ScoredImages, n: int) -> TestedDifference:
        return delong_test(one.label, one.logits[n], two.logits[n])

    return _by_seed(scored, "roc_auc", test)


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

    def test(one: ScoredImages, two: ScoredImages, n: int) -> TestedDifference:
        return mcnemar_test(one.label, one.predicted[n], two.predicted[n])

    return _by_seed(scored, "accuracy", test)


def _pairs(scored: Mapping[str, ScoredImages]) -> Iterator[tuple[str, ScoredImages, ScoredImages]]:
    """Yield every comparison that there are predictions for, with both detectors' scores."""
    for name, (one, two) in COMPARISONS.items():
        if one in scored and two in scored:
            yield name, scored[one], scored[two]


def _over_seeds(
    scored: Mapping[str, ScoredImages],
    metric: Metric,
    test: Callable[[ScoredImages, ScoredImages], TestedDifference],
) -> pd.DataFrame:
    """Return each comparison's mean over seeds, tested over images, then with seeds."""
    rows = []
    for name, one, two in _pairs(scored):
        found, drawn = test(one, two), seed_interval(one.values(metric) - two.values(metric))
        own, p = over_seeds(found.estimate, drawn.seed_sd, drawn.seeds, found.standard_error)
        row = {"comparison": name, "difference": found.estimate}
        row |= {"seed_se": float(drawn.seed_sd / np.sqrt(drawn.seeds))}
        row |= {"formula_se": found.standard_error, "bootstrap_se": drawn.image_se}
        row |= {"p_images": found.p_value, "p": p, "low": own.low, "high": own.high}
        rows.append(row | _beside(own, p, drawn))
    return _corrected(pd.DataFrame(rows), "p_images", "p")


def _by_seed(
    scored: Mapping[str, ScoredImages],
    metric: Metric,
    test: Callable[[ScoredImages, ScoredImages, int], TestedDifference],
) -> pd.DataFrame:
    """Return each comparison of each seed, tested over images."""
    rows = []
    for name, one, two in _pairs(scored):
        for n, values in enumerate(one.values(metric) - two.values(metric)):
            found = test(one, two, n)
            row = {"comparison": name, "seed": one.seeds[n]}
            if isinstance(found, McNemar):
                alike = _correlation(one.label, one.predicted[n], two.predicted[n])
                row |= {"only_first": found.only_first, "only_second": found.only_second}
                row |= {"correlation": alike}
            row |= found.row("difference") | {"p": found.p_value}
            rows.append(row | _beside(found, found.p_value, image_interval(values)))
    return _corrected(pd.DataFrame(rows), "p")


def _corrected(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Return a table with Holm's correction to the right of each of its columns of p-values."""
    for name in names:
        place = table.columns.tolist().index(name) + 1
        table.insert(place, f"{name}_holm", holm(table[name]))
    return table


def _beside(tested: Interval, p_value: float, drawn: Interval) -> dict[str, float | bool]:
    """Return the bootstrap's interval, and whether it gives the verdict of a p-value."""
    side = np.sign(tested.estimate) if p_value < 1 - LEVEL else 0.0
    agree = verdict(Interval(side, side, side)) == verdict(drawn)
    return {"bootstrap_low": drawn.low, "bootstrap_high": drawn.high, "agree": agree}


def _correlation(label: NDArray[np.int64], one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    """Return the mean over classes of the correlation of two detectors' predictions."""
    with np.errstate(invalid="ignore"):  # a detector may predict all of a class alike
        of = [np.corrcoef(one[label == own], two[label == own])[0, 1] for own in (0, 1)]
    return float(np.mean(of))
