"""Thresholds and metrics (paper, section 3); they know of labels and scores, nothing of models.

Conventions, everywhere: labels are 0 (real) and 1 (synthetic, the positive class), shape (n,);
logits are float64, shape (n,). Images are *ranked* by logit, because probabilities saturate at 1.0
long before logits tie; they are predicted synthetic where `layerfusion.metrics.probability.decide`
says so.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from layerfusion.metrics.probability import decide, probability
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.metrics.uncertainty import (
    checked,
    cumulative_counts,
    image_interval,
    resample_images,
    resampled_average_precision,
    resampled_rates,
    resampled_roc_auc,
)


@dataclass(frozen=True)
class ThresholdMetrics:
    """What depends on a threshold: rates in [0, 1] and the four counts of the confusion matrix.

    A rate whose denominator is zero is 0, as in scikit-learn.
    """

    threshold: float
    accuracy: float
    precision: float
    recall: float
    f1: float
    true_negatives: int
    false_positives: int
    false_negatives: int
    true_positives: int


@dataclass(frozen=True)
class RankingMetrics:
    """What depends on the order of the scores alone, each in [0, 1]."""

    roc_auc: float
    average_precision: float
    equal_error_rate: float


@dataclass(frozen=True)
class Report:
    """Every number that is reported of one table of predictions.

    `calibrated` uses the threshold chosen on validation images, `half` uses 0.5, and `oracle` the
    threshold that maximises F1 on these very predictions: an upper bound that no one could have
    known beforehand (on the validation images themselves it is the calibrated one).
    """

    images: int
    synthetic_images: int
    ranking: RankingMetrics
    calibrated: ThresholdMetrics
    half: ThresholdMetrics
    oracle: ThresholdMetrics

    def as_dict(self) -> dict[str, Any]:
        """Return the report as nested plain values, ready for JSON."""
        return asdict(self)


def threshold_metrics(label: ArrayLike, synthetic: ArrayLike, threshold: float) -> ThresholdMetrics:
    """Return the metrics of decisions: whether each image is predicted synthetic, shape (n,).

    The threshold is what they were made with; it is reported beside them.

    Raises
    ------
    UserError
        If labels are not 0 and 1, or the arrays differ in length or are empty.
    """
    labels, called = checked(label, np.asarray(synthetic, dtype=bool))
    tn, fp, fn, tp = np.bincount(2 * labels + called.astype(np.int64), minlength=4).tolist()
    rates = resampled_rates(labels, called)
    return ThresholdMetrics(
        threshold=float(threshold),
        **{name: float(np.nan_to_num(values[0])) for name, values in rates.items()},
        true_negatives=tn,
        false_positives=fp,
        false_negatives=fn,
        true_positives=tp,
    )


def ranking_metrics(label: ArrayLike, score: ArrayLike) -> RankingMetrics:
    """Return ROC AUC, average precision and equal error rate.

    Raises
    ------
    UserError
        If labels are not 0 and 1, the arrays differ in length or are empty, or one of the two
        classes is missing.
    """
    labels, scores = checked(label, score, both=True)
    return RankingMetrics(
        roc_auc=float(resampled_roc_auc(labels, scores)[0]),
        average_precision=float(resampled_average_precision(labels, scores)[0]),
        equal_error_rate=_equal_error_rate(labels, scores),
    )


def report(label: ArrayLike, logit: ArrayLike, threshold: float) -> Report:
    """Return every reported number, at a threshold in [0, 1] on the probability.

    Raises
    ------
    UserError
        As `ranking_metrics`.
    """
    labels, logits = checked(label, logit)
    oracle = best_f1_threshold(labels, probability(logits))
    return Report(
        images=len(labels),
        synthetic_images=int(labels.sum()),
        ranking=ranking_metrics(labels, logits),
        calibrated=threshold_metrics(labels, decide(logits, threshold), threshold),
        half=threshold_metrics(labels, decide(logits, 0.5), 0.5),
        oracle=threshold_metrics(labels, decide(logits, oracle), oracle),
    )


def evaluate(
    label: ArrayLike, score: ArrayLike, threshold: float, *, resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the paper's metrics of scored images, each with its interval over other images.

    Parameters
    ----------
    label
        0 (real) or 1 (synthetic), shape (n,).
    score
        Probabilities or logits, shape (n,). Logits rank better: probabilities round to 1.
    threshold
        On the scale of `score`: an image is called synthetic where ``score >= threshold``. Chosen
        on other images than these, or the numbers flatter.
    resamples, seed
        As in `resample_images`.

    Returns
    -------
    DataFrame
        Index: accuracy, precision, recall, f1, roc_auc, average_precision. Columns: ``estimate``,
        ``low`` and ``high``, the interval of confidence `LEVEL`.

    Raises
    ------
    UserError
        If labels are not 0 and 1, one class is missing, the arrays differ in length, or a score is
        NaN.
    """
    labels, scores = checked(label, score, both=True)
    counts = resample_images(labels, resamples=resamples, seed=seed)
    values = resampled_rates(labels, scores >= threshold, counts)
    values["roc_auc"] = resampled_roc_auc(labels, scores, counts)
    values["average_precision"] = resampled_average_precision(labels, scores, counts)
    rows = {name: vars(image_interval(replicates)) for name, replicates in values.items()}
    return pd.DataFrame.from_dict(rows, orient="index", dtype=float)


def _equal_error_rate(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """Return the rate at which the ROC curve crosses FPR = FNR, linear between its points."""
    fpr, tpr = (found[0] / found[0, -1] for found in next(cumulative_counts(labels, scores))[::-1])
    gap = fpr - (1 - tpr)  # ascends from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(fpr[after - 1] + share * (fpr[after] - fpr[after - 1]))
