"""Scores made into probabilities, with curves fitted on some sources and used on others.

`layerfusion.analysis.calibration.recalibrated` fits its curve on other images of the same sources.
Whoever uses a detector has images of sources that no curve was fitted on; here both stand side by
side.

In every fit both classes weigh the same, however many images of them the folds hold: what comes out
are probabilities where half of the images are synthetic. `at_prevalence` takes them to another
share.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from layerfusion.analysis.calibration import FOLDS, expected_calibration_error
from layerfusion.analysis.source_splits import SPLITTING_SEED, source_names
from layerfusion.analysis.sources import ScoredImages
from layerfusion.errors import UserError
from layerfusion.metrics.probability import probability
from layerfusion.metrics.uncertainty import seed_interval

REPEATS = 3  # divisions into folds

Array = NDArray[np.float64]
Curve = Callable[[Array], Array]  # from logits to probabilities


def fit_shift(label: ArrayLike, logit: ArrayLike) -> Curve:
    """Fit p = sigmoid(z + b), the b with which the mean probability is the share of synthetic ones.

    It is that of the largest likelihood. Label and logit are 0 or 1, both of them, and real, shape
    (n,); so everywhere below.
    """
    labels, logits, weights = _weighed(label, logit)

    def excess(shift: float) -> float:
        return float(np.average(probability(logits + shift) - labels, weights=weights))

    reach = float(np.abs(logits).max()) + 40.0
    shift = float(brentq(excess, -reach, reach))
    return lambda z: probability(z + shift)


def fit_temperature(label: ArrayLike, logit: ArrayLike) -> Curve:
    """Fit p = sigmoid(z / T), largest likelihood (Guo, Pleiss, Sun and Weinberger 2017)."""
    return _logistic(label, logit, shifted=False)


def fit_platt(label: ArrayLike, logit: ArrayLike) -> Curve:
    """Fit p = sigmoid(z / T + b), largest likelihood (Platt 1999)."""
    return _logistic(label, logit, shifted=True)


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
    "temperature": fit_temperature,
    "temperature and shift": fit_platt,
    "isotonic": fit_isotonic,
}
AS_SCORED = "as scored"
FITTED_ON = ("other images, same sources", "other sources")


def at_prevalence(balanced: ArrayLike, prevalence: float) -> Array:
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


def held_out_probabilities(
    images: pd.DataFrame, logit: ArrayLike, method: str, fitted_on: str, *, seed: int = 0
) -> Array:
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
    whole = fitted_on == FITTED_ON[1]
    names = source_names(images) if whole else np.arange(len(labels)).astype(str)
    fewest = min(len(np.unique(names[labels == label])) for label in (0, 1))
    if fewest < 2:
        raise UserError("to fit a curve on other folds, each class needs two sources or images")
    kind = StratifiedGroupKFold if whole else StratifiedKFold
    folds = kind(min(FOLDS, fewest), shuffle=True, random_state=seed)
    found = np.full(len(labels), np.nan)
    for fitted, left in folds.split(logits[:, None], labels, groups=names if whole else None):
        found[left] = METHODS[method](labels[fitted], logits[fitted])(logits[left])
    return found


def recalibration_table(scored: ScoredImages, *, repeats: int = REPEATS) -> pd.DataFrame:
    """Return how good probabilities are, as scored and recalibrated.

    Returns
    -------
    DataFrame
        A row a method and where its curve was fitted, ``as scored`` first: ``method``,
        ``fitted_on``; ``ece``, ``brier`` and ``log_loss`` (nats), all 0 at best, means over seeds
        and repeated divisions; ``change``, of the Brier score to that as scored, below 0 where the
        method helps, with ``low`` and ``high`` of `layerfusion.metrics.uncertainty.seed_interval`
        (over other seeds and other images of the same sources; curves held fast).
    """
    raw = [probability(own)[None] for own in scored.logits]
    rows = [_row(scored, raw, raw) | {"method": AS_SCORED, "fitted_on": ""}]
    for method in METHODS:
        for fitted_on in FITTED_ON:
            made = [_repeated(scored, own, method, fitted_on, repeats) for own in scored.logits]
            rows.append(_row(scored, made, raw) | {"method": method, "fitted_on": fitted_on})
    columns = ["method", "fitted_on", "ece", "brier", "log_loss", "change", "low", "high"]
    return pd.DataFrame(rows)[columns]


def _repeated(
    scored: ScoredImages, logits: Array, method: str, fitted_on: str, repeats: int
) -> Array:
    """Return `held_out_probabilities` of several divisions, shape (repeats, images)."""
    seeds = range(SPLITTING_SEED, SPLITTING_SEED + repeats)
    return np.stack(
        [held_out_probabilities(scored.images, logits, method, fitted_on, seed=s) for s in seeds]
    )


def _row(scored: ScoredImages, made: list[Array], raw: list[Array]) -> dict[str, float | str]:
    """Return the numbers of probabilities, each seed's of shape (repeats, images)."""
    labels = scored.images["label"].to_numpy(dtype=np.int64)
    errors = [expected_calibration_error(labels, p) for own in made for p in own]
    squares = [((own - labels) ** 2).mean(axis=0) for own in made]
    change = [
        scored.counts @ (new - ((old[0] - labels) ** 2)) / scored.counts.sum(axis=1)
        for new, old in zip(squares, raw, strict=True)
    ]
    found = seed_interval(np.stack(change))
    return {
        "ece": float(np.mean(errors)),
        "brier": float(np.mean(squares)),
        "log_loss": float(np.mean([_log_loss(labels, own) for own in made])),
        "change": found.estimate,
        "low": found.low,
        "high": found.high,
    }


def _log_loss(labels: NDArray[np.int64], probabilities: Array) -> float:
    given = np.where(labels == 1, probabilities, 1 - probabilities)
    return float(-np.log(np.maximum(given, np.finfo(np.float64).tiny)).mean())


def _weighed(label: ArrayLike, logit: ArrayLike) -> tuple[NDArray[np.int64], Array, Array]:
    labels, logits = np.asarray(label, dtype=np.int64), np.asarray(logit, dtype=np.float64)
    images = np.bincount(labels, minlength=2)
    if images.min() == 0:
        raise UserError("a curve needs both real and synthetic images, and one of them is missing")
    return labels, logits, (len(labels) / 2 / images)[labels]


def _logistic(label: ArrayLike, logit: ArrayLike, *, shifted: bool) -> Curve:
    labels, logits, weights = _weighed(label, logit)
    # Two numbers are fitted: Newton's steps need few looks at the images.
    curve = LogisticRegression(C=np.inf, fit_intercept=shifted, solver="newton-cholesky")
    curve.fit(logits[:, None], labels, sample_weight=weights)
    return lambda z: np.asarray(curve.predict_proba(z[:, None])[:, 1], dtype=np.float64)
