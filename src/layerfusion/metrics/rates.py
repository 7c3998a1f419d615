"""Thresholds and metrics (paper, section 3); they know of labels and scores, nothing of models.

Conventions, everywhere: labels are 0 (real) and 1 (synthetic, the positive class), shape (n,);
logits are float64, shape (n,). Images are *ranked* by logit, because probabilities saturate at 1.0
long before logits tie; they are predicted synthetic where `layerfusion.metrics.probability.decide`
says so.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score, roc_curve

from layerfusion.errors import UserError
from layerfusion.metrics.probability import decide, probability


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
    labels, called = _checked(label, np.asarray(synthetic, dtype=bool))
    (tn, fp), (fn, tp) = confusion_matrix(labels, called, labels=[0, 1]).tolist()
    return ThresholdMetrics(
        threshold=float(threshold),
        accuracy=(tp + tn) / len(labels),
        precision=tp / (tp + fp) if tp + fp else 0.0,
        recall=tp / (tp + fn) if tp + fn else 0.0,
        f1=2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
        true_negatives=tn,
        false_positives=fp,
        false_negatives=fn,
        true_positives=tp,
    )


def best_f1_threshold(label: ArrayLike, score: ArrayLike) -> float:
    """Return the observed score that, used as threshold, gives the largest F1 (section 2).

    Exact: every distinct observed score is tried, F1 = 2 TP / (called synthetic + synthetic).
    Among equals the lowest threshold wins, which calls more images synthetic.

    Raises
    ------
    UserError
        If labels are not 0 and 1, the arrays differ in length or are empty, or no image is
        synthetic (F1 is 0 everywhere then).
    """
    labels, scores = _checked(label, score)
    synthetic = int(labels.sum())
    if synthetic == 0:
        raise UserError("no threshold maximises F1: the validation images hold no synthetic one")
    order = np.argsort(scores, kind="stable")[::-1]
    ranked = scores[order]
    last_of_its_value = np.append(ranked[1:] != ranked[:-1], True)
    true_positives = np.cumsum(labels[order])[last_of_its_value]
    called = np.flatnonzero(last_of_its_value) + 1
    f1 = 2 * true_positives / (called + synthetic)
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    return float(ranked[last_of_its_value][best])


def ranking_metrics(label: ArrayLike, score: ArrayLike) -> RankingMetrics:
    """Return ROC AUC, average precision and equal error rate.

    Raises
    ------
    UserError
        If labels are not 0 and 1, the arrays differ in length or are empty, or one of the two
        classes is missing.
    """
    labels, scores = _checked(label, score)
    if len(np.unique(labels)) < 2:
        raise UserError("ROC AUC needs both real and synthetic images, and one of them is missing")
    return RankingMetrics(
        roc_auc=float(roc_auc_score(labels, scores)),
        average_precision=float(average_precision_score(labels, scores)),
        equal_error_rate=_equal_error_rate(labels, scores),
    )


def report(label: ArrayLike, logit: ArrayLike, threshold: float) -> Report:
    """Return every reported number, at a threshold in [0, 1] on the probability.

    Raises
    ------
    UserError
        As `ranking_metrics`.
    """
    labels, logits = _checked(label, logit)
    oracle = best_f1_threshold(labels, probability(logits))
    return Report(
        images=len(labels),
        synthetic_images=int(labels.sum()),
        ranking=ranking_metrics(labels, logits),
        calibrated=threshold_metrics(labels, decide(logits, threshold), threshold),
        half=threshold_metrics(labels, decide(logits, 0.5), 0.5),
        oracle=threshold_metrics(labels, decide(logits, oracle), oracle),
    )


def _equal_error_rate(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """Return the rate at which the ROC curve crosses FPR = FNR, linear between its points."""
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    gap = fpr - (1 - tpr)  # ascends from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(fpr[after - 1] + share * (fpr[after] - fpr[after - 1]))


def _checked(label: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    labels, scores = np.asarray(label), np.asarray(score, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape or len(labels) == 0:
        raise UserError(
            f"labels {labels.shape} and scores {scores.shape} must be two lists of equal length, "
            "not empty"
        )
    if not np.isin(labels, (0, 1)).all():
        raise UserError("labels must be 0 (real) or 1 (synthetic), every one of them")
    if np.isnan(scores).any():
        raise UserError(f"{int(np.isnan(scores).sum())} scores are not numbers (NaN)")
    return labels.astype(np.int64), scores
