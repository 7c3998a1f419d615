"""What a threshold says of the scores: calibration, and how sure the choice of a threshold is.

The paper's thresholds are "very small", and its section 5 reads this as a sign that raw outputs are
no calibrated probabilities. There is a yardstick for how small is small: if outputs *were*
calibrated, the threshold that maximises F1 would be half of that F1 (Lipton, Elkan and
Narayanaswamy 2014, arXiv:1402.1892). Here that value stands beside the threshold, and beside it the
threshold that is best once the outputs have been calibrated.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from layerfusion.analysis.claims import RUNS
from layerfusion.analysis.comparison import Comparison
from layerfusion.metrics.rates import best_f1_threshold, threshold_metrics
from layerfusion.metrics.uncertainty import LEVEL, resample_images, share_interval
from layerfusion.paper import numbers as paper

BINS = 10
FOLDS = 5
CHOICES = 500  # resamples on which a threshold is chosen anew


def reliability(label: ArrayLike, probability: ArrayLike, bins: int = BINS) -> pd.DataFrame:
    """Return how often images of like scores are synthetic, in bins of equally many images.

    Equal numbers rather than equal widths: small thresholds come of scores that crowd near 0.

    Parameters
    ----------
    label, probability
        0 or 1, and in [0, 1], shape (n,). Images of equal score may fall into two bins.

    Returns
    -------
    DataFrame
        From the lowest scores up: ``images``, ``probability`` (mean), ``synthetic`` (share), with
        ``low`` and ``high`` (Wilson's interval of that share).
    """
    labels, scores = np.asarray(label, dtype=np.int64), np.asarray(probability, dtype=np.float64)
    rows = []
    for members in np.array_split(np.argsort(scores, kind="stable"), min(bins, len(scores))):
        synthetic = int(labels[members].sum())
        share = share_interval(synthetic, len(members))
        row = {"images": len(members), "probability": scores[members].mean()}
        rows.append(row | {"synthetic": share.estimate, "low": share.low, "high": share.high})
    return pd.DataFrame(rows)


def expected_calibration_error(label: ArrayLike, probability: ArrayLike) -> float:
    """Return the mean distance of score and share over the bins of `reliability`, in [0, 1]."""
    bins = reliability(label, probability)
    distance = (bins["probability"] - bins["synthetic"]).abs()
    return float(np.average(distance, weights=bins["images"]))


def recalibrated(label: ArrayLike, logit: ArrayLike, *, seed: int = 0) -> NDArray[np.float64]:
    """Return probabilities that a logistic curve of the logit gives (Platt scaling).

    Each image's curve is fitted on the other folds of a stratified division (into five, if there
    are enough images), never on the image itself. With fewer than two images of a class there is no
    such curve, and all are NaN.

    Parameters
    ----------
    label, logit
        0 or 1, and real, shape (n,).
    """
    labels = np.asarray(label, dtype=np.int64)
    logits = np.asarray(logit, dtype=np.float64)[:, None]
    fewest = int(np.bincount(labels, minlength=2).min())
    if fewest < 2:
        return np.full(len(labels), np.nan)
    folds = StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
    curve = LogisticRegression(C=np.inf)
    chances: NDArray[np.float64] = cross_val_predict(
        curve, logits, labels, cv=folds, method="predict_proba"
    )
    return chances[:, 1]


def calibration_table(comparison: Comparison, on: str = "local") -> pd.DataFrame:
    """Return both runs' thresholds beside what calibrated scores would ask for.

    Returns
    -------
    DataFrame
        Index: ``run``. Columns: ``paper`` (the paper's threshold, of its author's repository) and
        ``half of the paper's F1`` (local, Table 1); ``threshold`` and ``half of F1`` (what it would
        be if outputs were calibrated); ``recalibrated threshold`` and ``half of its F1`` (the same
        of recalibrated scores); ``Brier`` and ``ECE``, each also ``recalibrated`` (0 is perfect).
        What is of recalibrated scores is NaN where `recalibrated` is.

    Raises
    ------
    LookupError
        If the images have no labels, or were not scored.
    """
    rows = {}
    for run in RUNS:
        table, _ = comparison.measures[run].images(on)
        labels, raw = table["label"].to_numpy(dtype=np.int64), table["probability"].to_numpy()
        again = _of_recalibrated(labels, recalibrated(labels, table["logit"]))
        rows[run] = {
            "paper": paper.THRESHOLDS[run],
            "half of the paper's F1": paper.table_1("local", run).f1 / 2,
            "threshold": comparison.runs[run].record.threshold,
            "half of F1": float(comparison("f1", run, on=on)[0]) / 2,
            "recalibrated threshold": again["threshold"],
            "half of its F1": again["F1"] / 2,
            "Brier": float(brier_score_loss(labels, raw)),
            "Brier recalibrated": again["Brier"],
            "ECE": expected_calibration_error(labels, raw),
            "ECE recalibrated": again["ECE"],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


def _of_recalibrated(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> dict[str, float]:
    """Return threshold, F1 there, Brier score and ECE of what `recalibrated` gives."""
    if np.isnan(scores).any():
        return dict.fromkeys(("threshold", "F1", "Brier", "ECE"), np.nan)
    threshold = best_f1_threshold(labels, scores)
    return {
        "threshold": threshold,
        "F1": threshold_metrics(labels, scores >= threshold, threshold).f1,
        "Brier": float(brier_score_loss(labels, scores)),
        "ECE": expected_calibration_error(labels, scores),
    }


def choices(label: ArrayLike, logit: ArrayLike, *, seed: int = 0) -> pd.DataFrame:
    """Choose the threshold anew on bootstrap resamples, and try it on the images left out.

    Parameters
    ----------
    label, logit
        0 or 1, and real, shape (n,).

    Returns
    -------
    DataFrame
        A row a resample (stratified): ``logit`` (the chosen threshold), ``f1`` on the resample that
        chose it, and ``f1_left_out`` on the images that were not drawn (about a third).
        Resamples that leave out no image of one of the classes have no row.
    """
    labels, logits = np.asarray(label, dtype=np.int64), np.asarray(logit, dtype=np.float64)
    rows = []
    for drawn in resample_images(labels, resamples=CHOICES, seed=seed)[1:]:
        own, left = np.repeat(np.arange(len(labels)), drawn), drawn == 0
        if len(np.unique(labels[left])) < 2:
            continue
        threshold = best_f1_threshold(labels[own], logits[own])
        rows.append(
            {
                "logit": threshold,
                "f1": threshold_metrics(labels[own], logits[own] >= threshold, threshold).f1,
                "f1_left_out": threshold_metrics(
                    labels[left], logits[left] >= threshold, threshold
                ).f1,
            }
        )
    return pd.DataFrame(rows, columns=["logit", "f1", "f1_left_out"])


def choice_table(comparison: Comparison, on: str = "local") -> pd.DataFrame:
    """Return how far a threshold, and the F1 that it was chosen for, hang on the images.

    Returns
    -------
    DataFrame
        Index: ``run``. Columns: ``threshold`` with ``low`` and ``high`` (95 % of the choices on
        resamples), ``F1`` (on the images that chose it) and ``optimism`` (by how much F1 on the
        choosing images exceeds that on the others, the mean over resamples). The checkpoint, chosen
        on the same images, is not part of this optimism.

    Raises
    ------
    LookupError
        If the images have no labels, or were not scored.
    """
    rows = {}
    for run in RUNS:
        table, _ = comparison.measures[run].images(on)
        chosen = choices(table["label"].astype(int), table["logit"])
        low, high = chosen["logit"].quantile([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        rows[run] = {
            "threshold": comparison.runs[run].record.threshold,
            "low": expit(low),
            "high": expit(high),
            "F1": float(comparison("f1", run, on=on)[0]),
            "optimism": float((chosen["f1"] - chosen["f1_left_out"]).mean()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")
