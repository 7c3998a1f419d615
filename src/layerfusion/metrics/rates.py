"""Thresholds and metrics (paper, section 3); they know of labels and scores, nothing of models.

Conventions, everywhere: labels are 0 (real) and 1 (synthetic, the positive class), shape (n,);
logits are float64, shape (n,). Images are *ranked* by logit, because probabilities saturate at 1.0
long before logits tie; they are predicted synthetic where `layerfusion.metrics.probability.decide`
says so.
"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from layerfusion.errors import UserError
from layerfusion.metrics.probability import decide, probability
from layerfusion.metrics.scored import Rate, ScoredImages
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.metrics.uncertainty import (
    checked,
    cumulative_counts,
    resample_images,
    resampled_average_precision,
    resampled_rates,
    resampled_roc_auc,
)

COUNTS = ("true_negatives", "false_positives", "false_negatives", "true_positives")


def threshold_metrics(label: ArrayLike, synthetic: ArrayLike, threshold: float) -> dict[str, Any]:
    """Return the metrics of decisions: whether each image is predicted synthetic, shape (n,).

    Returns
    -------
    dict
        ``threshold``, that they were made with; ``accuracy``, ``precision``, ``recall`` and ``f1``
        in [0, 1], 0 where the denominator is zero, as in scikit-learn; and the four `COUNTS` of the
        confusion matrix.

    Raises
    ------
    UserError
        If labels are not 0 and 1, or the arrays differ in length or are empty.
    """
    labels, predicted = checked(label, np.asarray(synthetic, dtype=bool))
    counts = np.bincount(2 * labels + predicted.astype(np.int64), minlength=4).tolist()
    rates = resampled_rates(labels, predicted)
    return {
        "threshold": float(threshold),
        **{name: float(np.nan_to_num(values[0])) for name, values in rates.items()},
        **dict(zip(COUNTS, counts, strict=True)),
    }


def ranking_metrics(label: ArrayLike, score: ArrayLike) -> dict[str, float]:
    """Return ``roc_auc``, ``average_precision`` and ``equal_error_rate``, each in [0, 1].

    Raises
    ------
    UserError
        If labels are not 0 and 1, the arrays differ in length or are empty, or one of the two
        classes is missing.
    """
    labels, scores = checked(label, score, both=True)
    return {
        "roc_auc": float(resampled_roc_auc(labels, scores)[0]),
        "average_precision": float(resampled_average_precision(labels, scores)[0]),
        "equal_error_rate": _equal_error_rate(labels, scores),
    }


def report(label: ArrayLike, logit: ArrayLike, threshold: float) -> dict[str, Any]:
    """Return every reported number, at a threshold in [0, 1] on the probability.

    Returns
    -------
    dict
        ``images`` and ``synthetic_images``, how many; ``ranking``; and the threshold's metrics:
        ``calibrated`` at the given one, ``half`` at 0.5, and ``oracle`` at the one that maximises
        F1 on these very predictions: an upper bound that no one could have known beforehand (on the
        validation images themselves it is the calibrated one). Ready for JSON.

    Raises
    ------
    UserError
        As `ranking_metrics`; missing labels are none.
    """
    labels, logits = checked(pd.Series(label).to_numpy(dtype=float, na_value=np.nan), logit)
    thresholds = {
        "calibrated": threshold,
        "half": 0.5,
        "oracle": best_f1_threshold(labels, probability(logits)),
    }
    return {
        "images": len(labels),
        "synthetic_images": int(labels.sum()),
        "ranking": ranking_metrics(labels, logits),
    } | {name: threshold_metrics(labels, decide(logits, t), t) for name, t in thresholds.items()}


def evaluate(
    label: ArrayLike,
    score: ArrayLike,
    threshold: float,
    *,
    groups: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the paper's metrics of scored images, each with its interval.

    Parameters
    ----------
    label
        0 (real) or 1 (synthetic), shape (n,).
    score
        Probabilities or logits, shape (n,). Logits rank better: probabilities round to 1.
    threshold
        On the scale of `score`: an image is predicted synthetic where ``score >= threshold``.
        Chosen on other images than these, or the numbers are optimistic.
    groups
        Where each image comes from (a camera, a generator's gallery), shape (n,). Images of one
        source are alike, so that few sources say less than their many images seem to.
    resamples, seed
        As in `resample_images`.

    Returns
    -------
    DataFrame
        Index: accuracy, precision, recall, f1, roc_auc, average_precision, fpr. Columns:
        ``estimate``; ``low`` and ``high``, the interval of confidence `LEVEL` over other
        ``sources``, where each class has two at least, or over other ``images``: ``over`` says
        which; ``images_low`` and ``images_high``, over images in any case.

    Raises
    ------
    UserError
        If labels are not 0 and 1, one class is missing, the arrays differ in length, or a score is
        NaN, or a group is missing.
    """
    labels, scores = checked(label, score, both=True)
    images = pd.DataFrame({"label": labels})
    if groups is not None:
        images["source"] = _checked_groups(groups, len(labels))
    counts = resample_images(labels, resamples=resamples, seed=seed)
    scored = ScoredImages(images, scores[None], counts, decisions=scores[None] >= threshold)
    rows = {name: scored.interval(name).row() for name in get_args(Rate)}
    return pd.DataFrame.from_dict(rows, orient="index")


def _checked_groups(groups: ArrayLike, images: int) -> pd.Series[str]:
    names = pd.Series(np.asarray(groups, dtype=object))
    if len(names) != images or names.isna().any():
        raise UserError(f"groups must name the source of each of the {images} images, every one")
    return names.astype(str)


def _equal_error_rate(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """Return the rate at which the ROC curve crosses FPR = FNR, linear between its points."""
    fpr, tpr = (found[0] / found[0, -1] for found in next(cumulative_counts(labels, scores))[::-1])
    gap = fpr - (1 - tpr)  # ascends from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(fpr[after - 1] + share * (fpr[after] - fpr[after - 1]))
