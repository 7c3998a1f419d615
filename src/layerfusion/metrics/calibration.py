"""Scores as probabilities: reliability, and curves fitted on some images and used on others.

In every fitted curve but Platt's of `recalibrated` both classes weigh the same, however many images
of them the folds hold: what comes out are probabilities where half of the images are synthetic.
`at_prevalence` takes them to another share.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from layerfusion.errors import UserError
from layerfusion.metrics.held_out import (
    EVALUATED_ON,
    SPLITTING_SEED,
    folds,
    out_of_fold,
    source_names,
)
from layerfusion.metrics.probability import probability
from layerfusion.metrics.rates import threshold_metrics
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.metrics.uncertainty import Labels, Values, share_interval

BINS = 10
REPEATS = 3  # divisions into folds
NEAREST = 1e-5  # of a threshold to 0 or 1: nearer, a few images would decide nothing else

Curve = Callable[[Values], Values]  # from logits to probabilities


def reliability(label: ArrayLike, probability: ArrayLike) -> pd.DataFrame:
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
    for members in np.array_split(np.argsort(scores, kind="stable"), min(BINS, len(scores))):
        share = share_interval(int(labels[members].sum()), len(members))
        row = {"images": len(members), "probability": scores[members].mean()}
        rows.append(row | share.row("synthetic"))
    return pd.DataFrame(rows)


def expected_calibration_error(label: ArrayLike, probability: ArrayLike) -> float:
    """Return the mean distance of score and share over the bins of `reliability`, in [0, 1]."""
    bins = reliability(label, probability)
    distance = (bins["probability"] - bins["synthetic"]).abs()
    return float(np.average(distance, weights=bins["images"]))


def brier_score(label: ArrayLike, probability: ArrayLike) -> float:
    """Return the mean squared distance of probability and label, in [0, 1]."""
    return float(np.mean((np.asarray(probability) - np.asarray(label)) ** 2))


def fit_shift(label: ArrayLike, logit: ArrayLike) -> Curve:
    """Fit p = sigmoid(z + b), of the `balancing_shift`."""
    shift = balancing_shift(label, logit)
    return lambda z: probability(z + shift)


def balancing_shift(label: ArrayLike, logit: ArrayLike) -> float:
    """Return the b with which the mean of sigmoid(z + b) is the share of synthetic images.

    It is that of the largest likelihood. Label and logit are 0 or 1, both of them, and real, shape
    (n,); so everywhere below.
    """
    labels, logits, weights = _weighed(label, logit)

    def excess(shift: float) -> float:
        return float(np.average(probability(logits + shift) - labels, weights=weights))

    reach = float(np.abs(logits).max()) + 40.0
    return float(brentq(excess, -reach, reach))


def balancing_threshold(label: ArrayLike, logit: ArrayLike) -> float:
    r"""Return the threshold on the probability at which both errors weigh the same.

    To shift logits by the `balancing_shift` b and predict synthetic from 0 on, or to leave them and
    predict synthetic from :math:`t = \sigma(-b)` on, is the same. It takes all images in, where the
    threshold of the largest F1 or accuracy depends on the few beside it.

    Returns
    -------
    float
        In [`NEAREST`, 1 - `NEAREST`].

    Raises
    ------
    UserError
        If a class is missing.
    """
    shift = balancing_shift(label, logit)
    return float(np.clip(1 - probability(shift), NEAREST, 1 - NEAREST))


def fit_platt(label: ArrayLike, logit: ArrayLike, *, fit_intercept: bool = True) -> Curve:
    """Fit p = sigmoid(z / T + b), largest likelihood (Platt 1999).

    Without an intercept b is 0: a temperature alone (Guo, Pleiss, Sun and Weinberger 2017).
    """
    labels, logits, weights = _weighed(label, logit)
    # Two numbers are fitted: Newton's steps need few looks at the images.
    curve = LogisticRegression(C=np.inf, fit_intercept=fit_intercept, solver="newton-cholesky")
    return _fitted(curve.fit(logits[:, None], labels, sample_weight=weights))


def fit_isotonic(label: ArrayLike, logit: ArrayLike) -> Curve:
    """Fit the ascending step function of least squares (Zadrozny and Elkan 2002).

    Its ends would be 0 and 1, of which one error costs an infinite log loss: of n images they are
    1 / (n + 2) and 1 - 1 / (n + 2), as in Laplace's rule of succession.
    """
    labels, logits, weights = _weighed(label, logit)
    end = 1 / (len(labels) + 2)
    curve = IsotonicRegression(y_min=end, y_max=1 - end, out_of_bounds="clip")
    curve.fit(logits, labels, sample_weight=weights)
    return lambda z: np.asarray(curve.predict(z), dtype=np.float64)


METHODS: dict[str, Callable[[ArrayLike, ArrayLike], Curve]] = {
    "shift": fit_shift,
    "temperature": partial(fit_platt, fit_intercept=False),
    "temperature and shift": fit_platt,
    "isotonic": fit_isotonic,
}
AS_SCORED = "as scored"
FITTED_ON = tuple(EVALUATED_ON)


def at_prevalence(balanced: ArrayLike, prevalence: float) -> Values:
    """Return probabilities at another share of synthetic images, by Bayes' rule.

    Parameters
    ----------
    balanced
        Probabilities where half of the images are synthetic, in [0, 1], shape (n,).
    prevalence
        In (0, 1).

    Raises
    ------
    UserError
        If the prevalence is out of range.
    """
    if not 0 < prevalence < 1:
        raise UserError(f"a prevalence lies between 0 and 1, and {prevalence} does not")
    p = np.asarray(balanced, dtype=np.float64)
    return p * prevalence / (p * prevalence + (1 - p) * (1 - prevalence))


def recalibrated(label: ArrayLike, logit: ArrayLike) -> Values:
    """Return probabilities that a logistic curve of the logit gives (Platt scaling, unweighted).

    Each image's curve is fitted on the other folds of a stratified division (into five, if there
    are enough images), never on the image itself. With fewer than two images of a class there is no
    such curve, and all are NaN.
    """
    labels, logits = np.asarray(label, dtype=np.int64), np.asarray(logit, dtype=np.float64)
    if np.bincount(labels, minlength=2).min() < 2:
        return np.full(len(labels), np.nan)
    return out_of_fold(_unweighted, folds(labels), labels, logits)


def held_out_probabilities(
    images: pd.DataFrame, logit: ArrayLike, method: str, fitted_on: str, *, seed: int = 0
) -> Values:
    """Return each image's probability from a curve that was fitted on other folds.

    Parameters
    ----------
    images
        With ``label`` and ``source``, a row an image, both classes.
    logit
        Shape (n,).
    method
        A key of `METHODS`.
    fitted_on
        One of `FITTED_ON`: whether a source may be in several folds, or is in one of them whole.
    seed
        Of the division into five folds, or as many as the scarcer class has sources (images).

    Raises
    ------
    UserError
        If a class has fewer than two sources (images) to divide.
    """
    labels, logits = images["label"].to_numpy(dtype=np.int64), np.asarray(logit, dtype=np.float64)
    divided = folds(labels, source_names(images) if fitted_on == FITTED_ON[1] else None, seed=seed)
    return out_of_fold(METHODS[method], divided, labels, logits)


def recalibration_table(scored: ScoredImages) -> pd.DataFrame:
    """Return how good probabilities are, as scored and recalibrated.

    Returns
    -------
    DataFrame
        A row a method and where its curve was fitted, ``as scored`` first: ``method``,
        ``fitted_on``; ``ece``, ``brier`` and ``log_loss`` (nats), all 0 at best, means over seeds
        and repeated divisions; ``change``, of the Brier score to that as scored, below 0 where the
        method helps, with ``low`` and ``high`` of `layerfusion.metrics.uncertainty.interval` (over
        other seeds and other images of the same sources; curves held fast).
    """
    raw = [probability(own)[None] for own in scored.logits]
    rows = [{"method": AS_SCORED, "fitted_on": ""} | _quality(scored, raw, raw)]
    seeds = range(SPLITTING_SEED, SPLITTING_SEED + REPEATS)
    for method in METHODS:
        for on in FITTED_ON:
            made = [
                np.stack([held_out_probabilities(scored.images, own, method, on, seed=s)
                          for s in seeds])
                for own in scored.logits
            ]  # fmt: skip
            rows.append({"method": method, "fitted_on": on} | _quality(scored, made, raw))
    return pd.DataFrame(rows)


def calibration_row(scored: ScoredImages) -> dict[str, float]:
    """Return a threshold beside what calibrated scores would ask for, of the first seed.

    If outputs *were* calibrated, the threshold that maximises F1 would be half of that F1 (Lipton,
    Elkan and Narayanaswamy 2014, arXiv:1402.1892).

    Returns
    -------
    dict
        ``threshold`` and ``half of F1``; ``recalibrated threshold`` and ``half of its F1`` (the
        same of recalibrated scores); ``Brier`` and ``ECE``, each also ``recalibrated`` (0 is
        perfect). What is of recalibrated scores is NaN where `recalibrated` is.
    """
    labels, raw = scored.label, probability(scored.logits[0])
    again = recalibrated(labels, scored.logits[0])
    threshold = f1 = np.nan
    if not np.isnan(again).any():
        threshold = best_f1_threshold(labels, again)
        f1 = threshold_metrics(labels, again >= threshold, threshold)["f1"]
    return {
        "threshold": float(scored.thresholds[0]),
        "half of F1": float(scored.rates["f1"][0, 0]) / 2,
        "recalibrated threshold": threshold,
        "half of its F1": f1 / 2,
        "Brier": brier_score(labels, raw),
        "Brier recalibrated": brier_score(labels, again),
        "ECE": expected_calibration_error(labels, raw),
        "ECE recalibrated": expected_calibration_error(labels, again),
    }


def _quality(scored: ScoredImages, made: list[Values], raw: list[Values]) -> dict[str, float]:
    """Return the numbers of probabilities, each seed's of shape (repeats, images)."""
    labels = scored.label
    errors = [expected_calibration_error(labels, p) for own in made for p in own]
    squares = [((own - labels) ** 2).mean(axis=0) for own in made]
    change = np.stack([new - (old[0] - labels) ** 2 for new, old in zip(squares, raw, strict=True)])

    def mean(images: ScoredImages) -> Values:
        return np.asarray(change @ images.counts.T / images.counts.sum(axis=1))

    found = scored.measure(mean, bounds=(-1, 1)).interval()
    return {
        "ece": float(np.mean(errors)),
        "brier": float(np.mean(squares)),
        "log_loss": float(np.mean([_log_loss(labels, own) for own in made])),
    } | found.row("change")


def _log_loss(labels: Labels, probabilities: Values) -> float:
    given = np.where(labels == 1, probabilities, 1 - probabilities)
    return float(-np.log(np.maximum(given, np.finfo(np.float64).tiny)).mean())


def _weighed(label: ArrayLike, logit: ArrayLike) -> tuple[Labels, Values, Values]:
    labels, logits = np.asarray(label, dtype=np.int64), np.asarray(logit, dtype=np.float64)
    images = np.bincount(labels, minlength=2)
    if images.min() == 0:
        raise UserError("a curve needs both real and synthetic images, and one of them is missing")
    return labels, logits, (len(labels) / 2 / images)[labels]


def _unweighted(labels: Labels, logits: Values) -> Curve:
    return _fitted(LogisticRegression(C=np.inf).fit(logits[:, None], labels))


def _fitted(curve: LogisticRegression) -> Curve:
    return lambda z: np.asarray(curve.predict_proba(z[:, None])[:, 1], dtype=np.float64)
