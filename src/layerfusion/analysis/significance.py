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
from scipy import stats

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
    for name, first, second in _pairs(predictions):
        labels, seeds = first.images["label"].to_numpy(dtype=np.int64), len(first.logits)
        weights = np.repeat([1 / seeds, -1 / seeds], seeds)
        tested = delong_contrast(labels, np.concatenate([first.logits, second.logits]), weights)
        rows.append({"comparison": name} | _with_seeds(tested, _auc(first) - _auc(second)))
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
    for name, first, second in _pairs(predictions):
        labels = first.images["label"].to_numpy(dtype=np.int64)
        one, two = _calls(predictions, name, (first, second), thresholds)
        gained = (one == labels).astype(np.float64) - (two == labels)
        drawn = [_accuracy(labels, a, first) - _accuracy(labels, b, first)
                 for a, b in zip(one, two, strict=True)]  # fmt: skip
        tested = paired_mean_test(labels, gained.mean(axis=0))
        rows.append({"comparison": name} | _with_seeds(tested, np.stack(drawn)))
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
    for name, first, second in _pairs(predictions):
        labels = first.images["label"].to_numpy(dtype=np.int64)
        values = _auc(first) - _auc(second)
        for number, seed in enumerate(_seeds(predictions)):
            found = delong_test(labels, first.logits[number], second.logits[number])
            drawn = image_interval(values[number])
            row = {"comparison": name, "seed": seed, "difference": found.estimate}
            row |= {"low": found.low, "high": found.high, "p": found.p_value}
            rows.append(row | _beside(found, drawn))
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
    for name, first, second in _pairs(predictions):
        labels = first.images["label"].to_numpy(dtype=np.int64)
        both = _calls(predictions, name, (first, second), thresholds)
        for seed, one, two in zip(_seeds(predictions), *both, strict=True):
            found = mcnemar_test(labels, one, two)
            drawn = image_interval(_accuracy(labels, one, first) - _accuracy(labels, two, first))
            tested = _one_sided_of_zero(found.difference.estimate, found.p_value)
            row = {"comparison": name, "seed": seed, "only_first": found.only_first}
            row |= {"only_second": found.only_second}
            row |= {"correlation": _correlation(labels, [one, two])}
            row |= {"difference": found.difference.estimate, "low": found.difference.low}
            row |= {"high": found.difference.high, "p": found.p_value}
            rows.append(row | _beside(tested, drawn))
    return _corrected(pd.DataFrame(rows), "p")


def _pairs(predictions: pd.DataFrame) -> Iterator[tuple[str, ScoredImages, ScoredImages]]:
    """Yield every comparison that there are predictions for, with both detectors' scores."""
    for name, heads in COMPARISONS.items():
        try:
            first, second = (scored_images(predictions, h.run, blocks=h.blocks) for h in heads)
        except LookupError:
            continue
        yield name, first, second


def _corrected(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Return a table with Holm's correction to the right of each of its columns of p-values."""
    for name in names:
        place = table.columns.tolist().index(name) + 1
        table.insert(place, f"{name}_holm", holm(table[name]))
    return table


def _auc(scored: ScoredImages) -> Values:
    return scored.auc(np.ones(len(scored.images), dtype=bool))


def _accuracy(labels: NDArray[np.int64], called: NDArray[np.bool_], scored: ScoredImages) -> Values:
    return resampled_rates(labels, called, scored.counts)["accuracy"]


def _seeds(predictions: pd.DataFrame) -> list[int]:
    """Return the seeds in the order in which `scored_images` has them."""
    return sorted(int(seed) for seed in predictions["seed"].unique())


def _calls(
    predictions: pd.DataFrame,
    comparison: str,
    scored: tuple[ScoredImages, ScoredImages],
    thresholds: Thresholds,
) -> list[NDArray[np.bool_]]:
    """Return what both detectors call synthetic, each of shape (seeds, images)."""
    return [
        np.stack(
            [
                decide(logits, thresholds[seed, *head])
                for seed, logits in zip(_seeds(predictions), own.logits, strict=True)
            ]
        )
        for own, head in zip(scored, COMPARISONS[comparison], strict=True)
    ]


def _with_seeds(tested: TestedDifference, values: Values) -> dict[str, float | bool]:
    """Return a mean over seeds, tested over images, with seeds, beside what the bootstrap says.

    `values` are of shape (seeds, 1 + resamples).
    """
    drawn = seed_interval(values)
    seed_se, freedom = drawn.seed_sd / np.sqrt(drawn.seeds), drawn.seeds - 1
    error = float(np.hypot(seed_se, tested.standard_error))
    p = float(2 * stats.t.sf(abs(tested.estimate) / error, freedom)) if error > 0 else np.nan
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    interval = Interval(tested.estimate, tested.estimate - reach, tested.estimate + reach)
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
