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

from layerfusion.analysis.effects import Verdict, verdict
from layerfusion.analysis.measures import RUNS, Values
from layerfusion.analysis.scored import scored_images
from layerfusion.metrics.probability import decide
from layerfusion.metrics.scored import ScoredImages
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
    image_interval,
    over_seeds,
    resampled_rates,
    seed_interval,
)
from layerfusion.settings import Blocks

Thresholds = Mapping[tuple[int, str, str], float]  # of seed, run and blocks, a probability


class Head(NamedTuple):
    """A run and the blocks that its head reads."""

    run: str
    blocks: Blocks


_ABLATIONS: dict[Blocks, str] = {"last": "last block", "mean": "equal weights"}

# By words for a page: which is compared with which.
COMPARISONS: dict[str, tuple[Head, Head]] = {
    "open − constrained": (Head("open", "all"), Head("constrained", "all"))
} | {
    f"fusion − {words}, {run}": (Head(run, "all"), Head(run, blocks))
    for blocks, words in _ABLATIONS.items()
    for run in RUNS
}


def ranking_tests(predictions: pd.DataFrame) -> pd.DataFrame:
    """Test the differences of ROC AUC, means over seeds, images and seeds both taken for chance.

    Parameters
    ----------
    predictions
        As `layerfusion.experiments.record.FinishedStudy` has them, of two seeds at least.

    Returns
    -------
    DataFrame
        A row a comparison that there are predictions for: ``comparison``, ``difference``;
        ``seed_se``, ``formula_se`` (DeLong's) and ``bootstrap_se``, standard errors of the mean,
        from seeds and twice from images; ``p_images`` and ``p`` (images alone: normal; both: t with
        seeds - 1 degrees of freedom), each also ``..._holm``, corrected over the rows; ``low`` and
        ``high`` with the formula's error, ``bootstrap_low`` and ``bootstrap_high`` with the
        bootstrap's; ``agree``, whether both intervals give the same verdict, uncorrected.
    """
    rows = []
    for pair in _pairs(predictions):
        seeds = len(pair.seeds)
        weights = np.repeat([1 / seeds, -1 / seeds], seeds)
        logits = np.concatenate([scored.logits for scored in pair.scored])
        tested = delong_contrast(pair.labels, logits, weights)
        rows.append({"comparison": pair.name} | _with_seeds(tested, pair.auc()))
    return _corrected(pd.DataFrame(rows), "p_images", "p")


def decision_tests(predictions: pd.DataFrame, thresholds: Thresholds) -> pd.DataFrame:
    """Test the differences of accuracy, each detector at its own threshold, means over seeds.

    Returns
    -------
    DataFrame
        As `ranking_tests`; the formula is `layerfusion.metrics.significance.paired_mean_test`.

    Raises
    ------
    KeyError
        If a run has no threshold.
    """
    rows = []
    for pair in _pairs(predictions):
        one, two = pair.decisions(thresholds)
        gained = (one == pair.labels).astype(np.float64) - (two == pair.labels)
        tested = paired_mean_test(pair.labels, gained.mean(axis=0))
        drawn = pair.accuracy(one) - pair.accuracy(two)
        rows.append({"comparison": pair.name} | _with_seeds(tested, drawn))
    return _corrected(pd.DataFrame(rows), "p_images", "p")


def ranking_tests_by_seed(predictions: pd.DataFrame) -> pd.DataFrame:
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
    for pair in _pairs(predictions):
        logits = zip(*(scored.logits for scored in pair.scored), strict=True)
        for seed, (one, two), values in zip(pair.seeds, logits, pair.auc(), strict=True):
            found = delong_test(pair.labels, one, two)
            row = {"comparison": pair.name, "seed": seed} | _tested(found, found.p_value)
            rows.append(row | _beside(found, image_interval(values)))
    return _corrected(pd.DataFrame(rows), "p")


def decision_tests_by_seed(predictions: pd.DataFrame, thresholds: Thresholds) -> pd.DataFrame:
    """Test the differences of accuracy, each detector at its own threshold, seed by seed.

    Returns
    -------
    DataFrame
        A row a comparison and seed: ``comparison``, ``seed``; ``only_first`` and ``only_second``,
        the images that one of them alone calls rightly; ``correlation`` of their calls, in [-1, 1],
        the mean of both classes, NaN if one calls all images of a class alike; ``difference`` of
        accuracy with ``low`` and ``high`` (normal); ``p`` (McNemar's exact test) and ``p_holm``,
        corrected over all rows; ``bootstrap_low`` and ``bootstrap_high``; ``agree``, whether p and
        the bootstrap's interval give the same verdict.

    Raises
    ------
    KeyError
        If a run has no threshold.
    """
    rows = []
    for pair in _pairs(predictions):
        both = pair.decisions(thresholds)
        drawn = pair.accuracy(both[0]) - pair.accuracy(both[1])
        for seed, one, two, values in zip(pair.seeds, *both, drawn, strict=True):
            found = mcnemar_test(pair.labels, one, two)
            row = {"comparison": pair.name, "seed": seed, "only_first": found.only_first}
            row |= {"only_second": found.only_second}
            row |= {"correlation": _correlation(pair.labels, [one, two])}
            row |= _tested(found.difference, found.p_value)
            tested = _one_sided_of_zero(found.difference.estimate, found.p_value)
            rows.append(row | _beside(tested, image_interval(values)))
    return _corrected(pd.DataFrame(rows), "p")


class _Pair(NamedTuple):
    """A comparison: both detectors' scores of the same images, seed by seed."""

    name: str
    scored: tuple[ScoredImages, ScoredImages]
    seeds: list[int]

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.scored[0].images["label"].to_numpy(dtype=np.int64)

    def auc(self) -> Values:
        """Return the difference of ROC AUC, shape (seeds, 1 + resamples)."""
        one, two = (scored.auc(np.ones(len(self.labels), dtype=bool)) for scored in self.scored)
        return one - two

    def decisions(self, thresholds: Thresholds) -> list[NDArray[np.bool_]]:
        """Return what both detectors predict synthetic, each of shape (seeds, images)."""
        return [
            np.stack(
                [
                    decide(logits, thresholds[seed, *head])
                    for seed, logits in zip(self.seeds, own.logits, strict=True)
                ]
            )
            for own, head in zip(self.scored, COMPARISONS[self.name], strict=True)
        ]

    def accuracy(self, predicted: NDArray[np.bool_]) -> Values:
        """Return the accuracy of decisions, shape (seeds, 1 + resamples)."""
        counts = self.scored[0].counts
        return np.stack(
            [resampled_rates(self.labels, own, counts)["accuracy"] for own in predicted]
        )


def _pairs(predictions: pd.DataFrame) -> Iterator[_Pair]:
    """Yield every comparison that there are predictions for."""
    seeds = sorted(int(seed) for seed in predictions["seed"].unique())
    for name, heads in COMPARISONS.items():
        try:
            first, second = (scored_images(predictions, h.run, blocks=h.blocks) for h in heads)
        except LookupError:
            continue
        yield _Pair(name, (first, second), seeds)


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
    said: list[Verdict] = [verdict(tested), verdict(drawn)]
    agree = said[0] == said[1]
    return {"bootstrap_low": drawn.low, "bootstrap_high": drawn.high, "agree": agree}


def _one_sided_of_zero(estimate: float, p_value: float) -> Interval:
    """Return an interval that holds 0 just where a p-value is no reason to leave it out."""
    if p_value < 1 - LEVEL:
        return Interval(estimate, estimate, estimate)
    return Interval(estimate, min(estimate, 0.0), max(estimate, 0.0))


def _correlation(labels: NDArray[np.int64], calls: list[NDArray[np.bool_]]) -> float:
    """Return the mean over classes of the correlation of two detectors' calls."""
    with np.errstate(invalid="ignore"):  # a detector may call all of a class alike
        of = [np.corrcoef(*(call[labels == label] for call in calls))[0, 1] for label in (0, 1)]
    return float(np.mean(of))
