"""The paper's numbers compared with each other: nothing here needs an image or a model.

A confusion matrix follows from four rounded rates and the number of images; every other number can
then be computed from it, and the chance in it estimated.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.metrics.uncertainty import image_interval
from layerfusion.paper import numbers as paper

OFFICIAL_RUNS = tuple(paper.OFFICIAL_ERRORS)
RATES = ("accuracy", "precision", "recall", "f1")
METRICS = (*RATES, "roc_auc", "average_precision")
DRAWS = 20_000  # of every confusion matrix, for intervals: their ends are sure to about .0002
_HALF_DIGIT = 0.5e-4 + 1e-9  # Table 1 is printed with four decimals

# How a narrow table calls the counts of a `Confusion`.
SHORT_NAMES = {
    "true_negatives": "TN",
    "false_positives": "FP",
    "false_negatives": "FN",
    "true_positives": "TP",
}


class Confusion(NamedTuple):
    """Counts of a confusion matrix, or arrays of them."""

    true_negatives: Any
    false_positives: Any
    false_negatives: Any
    true_positives: Any


def rates(matrix: Confusion) -> dict[str, NDArray[np.float64]]:
    """Return accuracy, precision, recall and F1 of a confusion matrix, or of arrays of them.

    A rate whose denominator is zero is NaN.
    """
    tn, fp, fn, tp = map(np.asarray, matrix)
    with np.errstate(invalid="ignore"):
        return {
            "accuracy": (tp + tn) / (tn + fp + fn + tp),
            "precision": tp / (tp + fp),
            "recall": tp / (tp + fn),
            "f1": 2 * tp / (2 * tp + fp + fn),
        }


def matrices(row: paper.PaperRow, real: int, synthetic: int) -> list[Confusion]:
    """Return every confusion matrix of so many images whose rates round to those of the row."""
    tp, fp = np.meshgrid(np.arange(synthetic + 1), np.arange(real + 1), indexing="ij")
    recall = np.abs(tp[:, 0] / synthetic - row.recall) <= _HALF_DIGIT
    tp, fp = tp[recall], fp[recall]
    every = Confusion(real - fp, fp, synthetic - tp, tp)
    fits = _fits(row, every)
    return [Confusion(*one) for one in np.stack([count[fits] for count in every], 1).tolist()]


def divisions(images: int) -> list[tuple[int, int]]:
    """Return every number of real and synthetic official images that Tables and section 5 allow.

    The misses of section 5 and the recall of Table 1 bound the synthetic ones; of what is left,
    those remain with which both runs' errors give the four rates of both rows.
    """
    synthetic = np.arange(1, images)
    real, left = images - synthetic, np.ones(images - 1, dtype=bool)
    for run, errors in paper.OFFICIAL_ERRORS.items():
        fn, fp = errors.false_negatives, errors.false_positives
        matrix = Confusion(real - fp, fp, fn, synthetic - fn)
        left &= (synthetic > fn) & (real >= fp) & _fits(paper.table_1("official", run), matrix)
    return list(zip(real[left].tolist(), synthetic[left].tolist(), strict=True))


def rebuilt() -> pd.DataFrame:
    """Return the confusion matrix behind each row of Table 1.

    Returns
    -------
    DataFrame
        Index: split and run. Columns: the four counts and ``matrices``, how many fit the printed
        rates; the counts are those of the first.
    """
    rows = {}
    for row in paper.TABLE_1:
        found = matrices(row, *paper.IMAGES[row.split])
        rows[row.split, row.run] = found[0]._asdict() | {"matrices": len(found)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["split", "run"])


def statements() -> pd.DataFrame:
    """Check every sentence of the paper that states a number or compares two.

    Returns
    -------
    DataFrame
        A row a statement: ``place``, ``statement`` (in our words), ``stated``, ``recomputed``
        (from Tables 1 and 2 and the confusion matrices behind them) and ``agrees``.
    """
    rows = [*_stated_numbers(), *_stated_directions()]
    columns = ["place", "statement", "stated", "recomputed"]
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    return table.assign(agrees=table["stated"] == table["recomputed"])


def operating_points() -> pd.DataFrame:
    """Return the paper's own points, of the confusion matrices that its tables leave no choice of.

    Returns
    -------
    DataFrame
        Index: ``on`` (local, official) and ``run``. Columns: ``false_positive_rate`` and
        ``recall``, in [0, 1].
    """
    table = rebuilt()
    rate = table["false_positives"] / (table["false_positives"] + table["true_negatives"])
    recalls = [paper.table_1(*key).recall for key in table.index]
    points = pd.DataFrame({"false_positive_rate": rate, "recall": recalls})
    return points.rename_axis(["on", "run"])


def official_intervals() -> pd.DataFrame:
    """Put intervals of confidence on the official results, and on open minus constrained.

    Thresholded rates: counts are drawn from the confusion matrix (binomial in each class, what a
    stratified bootstrap of the images would do). ROC AUC: normal, with Hanley and McNeil's
    standard error. For AP no interval can be had without the scores.

    Returns
    -------
    DataFrame
        Index: metric. Columns ``constrained``, ``open`` and ``difference``, each with ``estimate``,
        ``low`` and ``high``. Both runs saw the same images, but their scores were not published:
        the difference is computed as if the images had been others. Images that are hard for both
        make the true interval narrower.
    """
    draws = {run: _draws(run, number) for number, run in enumerate(OFFICIAL_RUNS)}
    rows = {}
    for metric in (*RATES, "roc_auc"):
        values = {run: draws[run][metric] for run in draws}
        values["difference"] = values["open"] - values["constrained"]
        rows[metric] = {
            (name, bound): value
            for name, drawn in values.items()
            for bound, value in image_interval(drawn).row().items()
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


def auc_standard_error(auc: float, real: int, synthetic: int) -> float:
    """Return the standard error of an ROC AUC in [0, 1] (Hanley and McNeil, 1982)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (synthetic - 1) * (q1 - auc**2) + (real - 1) * (q2 - auc**2)
    return float(np.sqrt(variance / (real * synthetic)))


def all_synthetic_f1(real: int, synthetic: int) -> float:
    """Return the F1 of predicting every image synthetic: what an F1 must be compared with."""
    return 2 * synthetic / (2 * synthetic + real)


def _fits(row: paper.PaperRow, matrix: Confusion) -> NDArray[np.bool_]:
    """Return of which confusion matrices, given as arrays, the rates round to those of a row."""
    found = rates(matrix)
    near = [np.abs(found[name] - getattr(row, name)) <= _HALF_DIGIT for name in RATES]
    return np.asarray(np.all(near, axis=0))


def _draws(run: str, number: int) -> dict[str, NDArray[np.float64]]:
    """Return estimate and replicates of an official row's metrics, independent between runs."""
    row, images = paper.table_1("official", run), paper.IMAGES["official"]
    drawn = _draw_rates(matrices(row, *images)[0], seed=number)
    rng = np.random.default_rng([number, 1])
    error = auc_standard_error(row.roc_auc, *images)
    drawn["roc_auc"] = np.append(row.roc_auc, rng.normal(row.roc_auc, error, DRAWS))
    return drawn


def _draw_rates(matrix: Confusion, *, seed: int) -> dict[str, NDArray[np.float64]]:
    """Return rates, shape (1 + draws,): the matrix's own, then those of other images' counts."""
    rng = np.random.default_rng(seed)
    tn, fp, fn, tp = matrix
    drawn_tp = np.append(tp, rng.binomial(tp + fn, tp / (tp + fn), DRAWS))
    drawn_fp = np.append(fp, rng.binomial(tn + fp, fp / (tn + fp), DRAWS))
    return rates(Confusion(tn + fp - drawn_fp, drawn_fp, tp + fn - drawn_tp, drawn_tp))


def gains(split: str) -> dict[str, float]:
    """Return open minus constrained of each metric of Table 1, ``local`` or ``official``."""
    constrained, opened = (paper.table_1(split, run) for run in OFFICIAL_RUNS)
    return {name: getattr(opened, name) - getattr(constrained, name) for name in METRICS}


Statement = tuple[str, str, float | bool, float | bool]


def _stated_numbers() -> Iterator[Statement]:
    """Yield rates of Table 1, gains and counts, from the confusion matrices behind the table."""
    for row in paper.TABLE_1:
        found = rates(matrices(row, *paper.IMAGES[row.split])[0])
        for name in RATES:
            text = f"{row.split} {name.replace('f1', 'F1')} of the {row.run} run"
            yield "Table 1", text, getattr(row, name), round(float(found[name]), 4)
    for metric, (name, stated) in {"f1": ("F1", 0.0137), "roc_auc": ("ROC AUC", 0.0097)}.items():
        yield "section 4", f"official gain in {name}", stated, round(gains("official")[metric], 4)
    for run, errors in paper.OFFICIAL_ERRORS.items():
        matrix = matrices(paper.table_1("official", run), *paper.IMAGES["official"])[0]
        for name, count in asdict(errors).items():
            what = f"official {name.replace('_', ' ')} of the {run} run"
            yield "section 5", what, count, getattr(matrix, name)


def _stated_directions() -> Iterator[Statement]:
    """Yield comparisons of section 4, which all say that something is so."""
    local, official = gains("local"), gains("official")
    degraded = {
        (on, metric): value - paper.TABLE_2[on, "constrained"][metric]
        for (on, run), row in paper.TABLE_2.items()
        if run == "open"
        for metric, value in row.items()
    }

    def below_local(metric: str, run: str, value: float) -> bool:
        return value < float(getattr(paper.table_1("local", run), metric))

    found = {
        "the open run is better in every local metric": all(gain > 0 for gain in local.values()),
        "recall has the largest local gain of a rate": max(RATES, key=lambda n: local[n])
        == "recall",
        "official scores are lower than local ones": all(
            below_local(name, run, getattr(paper.table_1("official", run), name))
            for run in OFFICIAL_RUNS
            for name in METRICS
        ),
        "the open run is best by official F1 and ROC AUC": min(official["f1"], official["roc_auc"])
        > 0,
        "the official gain, too, is recall more than precision": official["recall"]
        > official["precision"],
        "official AP is lower for the open run": official["average_precision"] < 0,
        "the open run is better in every column of Table 2": all(g > 0 for g in degraded.values()),
        "small images gain most": max(degraded, key=lambda name: degraded[name])[0] == "small",
        "every slice and degradation lies below the clean images": all(
            below_local(metric, run, value)
            for (_, run), row in paper.TABLE_2.items()
            for metric, value in row.items()
        ),
    }
    yield from (("section 4", text, True, holds) for text, holds in found.items())
