r"""How small a difference 10,000 images could show, and whether the paper's differences are larger.

Two detectors that see the same images err on many of the same ones, and the more so, the smaller a
difference can be shown. How alike the paper's runs err was not published, so everything here is a
function of it: of the correlation r of their predictions, the same among real images
and among synthetic ones.

Rates: real images that are predicted synthetic and synthetic ones that are, FP and TP, are binomial
and their covariance between the runs is :math:`n\,r\sqrt{p_c(1-p_c)\,p_o(1-p_o)}`, with r no larger
than two shares that differ allow; accuracy, precision, recall and F1 follow by the delta method.
ROC AUC and AP: r is taken for the correlation of the numbers themselves (that of calls is a little
lower), with the standard errors of Hanley and McNeil (1982) and of Boyd, Eng and Page (2013), the
binomial one. Other seeds are not in any of it.
"""

from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from layerfusion.errors import UserError
from layerfusion.metrics.uncertainty import LEVEL
from layerfusion.paper import numbers as paper
from layerfusion.paper.audit import (
    OFFICIAL_RUNS,
    RATES,
    Confusion,
    auc_standard_error,
    gains,
    matrices,
    rates,
)

Shown = Literal["shown", "not shown", "depends on the correlation"]

POWER = 0.8
CORRELATIONS = (0.0, 0.5, 0.9)

_STEP = 1e-20j
_CRITICAL = float(stats.norm.ppf((1 + LEVEL) / 2))


def average_precision_standard_error(average_precision: float, synthetic: int) -> float:
    """Return the binomial standard error of an AP in [0, 1] (Boyd, Eng and Page 2013).

    As if AP were a share of the synthetic images: an approximation, for without the scores there is
    nothing better.
    """
    return float(np.sqrt(average_precision * (1 - average_precision) / synthetic))


def difference_error(metric: str, split: str, correlation: float) -> float:
    """Return the standard error of the paper's open minus constrained, over other images.

    Parameters
    ----------
    metric
        One of `layerfusion.paper.audit.METRICS`.
    split
        ``local`` or ``official``.
    correlation
        r, in [0, 1].

    Raises
    ------
    UserError
        If the correlation is out of range.
    """
    if not 0 <= correlation <= 1:
        raise UserError(f"a correlation of {correlation} is not between 0 and 1")
    if metric in RATES:
        return _rate_error(metric, split, correlation)
    images = paper.IMAGES[split]
    rows = [paper.table_1(split, run) for run in OFFICIAL_RUNS]
    if metric == "roc_auc":
        one, two = (auc_standard_error(row.roc_auc, *images) for row in rows)
    else:
        precisions = [row.average_precision for row in rows]
        one, two = (average_precision_standard_error(value, images[1]) for value in precisions)
    return float(np.sqrt(one**2 + two**2 - 2 * correlation * one * two))


def sampling_error(metric: str, run: str, on: str) -> float:
    """Return the standard error of a number of the paper's tables, over other images.

    Of a degraded or small image's number it is that of the clean local ones, whose confusion matrix
    can be rebuilt: how many small images there were was not published, so theirs is too small. Of a
    threshold it is 0: without the scores nobody knows it.

    Parameters
    ----------
    metric, run, on
        As `layerfusion.paper.numbers.reported` takes them.
    """
    if metric == "threshold":
        return 0.0
    split = on if on in paper.IMAGES else "local"
    row, images = paper.table_1(split, run), paper.IMAGES[split]
    if metric == "roc_auc":
        return auc_standard_error(row.roc_auc, *images)
    if metric == "average_precision":
        return average_precision_standard_error(row.average_precision, images[1])
    matrix = _confusions(split)[OFFICIAL_RUNS.index(run)]
    return float(np.linalg.norm(_spread(metric, matrix, split)[1]))


def smallest_difference(metric: str, split: str, correlation: float) -> float:
    r"""Return the true difference that so many images show in four of five cases.

    .. math:: \delta = (z_{0.975} + z_{0.8})\,\mathrm{SE}(r)

    for a two-sided test at 5 % (parameters as in `difference_error`).
    """
    return (_CRITICAL + float(stats.norm.ppf(POWER))) * difference_error(metric, split, correlation)


def differences(correlations: Sequence[float] = CORRELATIONS) -> pd.DataFrame:
    """Say of each difference between the paper's runs whether its images can show it.

    Returns
    -------
    DataFrame
        Index: ``split`` and ``metric``. Columns: ``difference`` (the paper's, open minus
        constrained); ``smallest at r = ...``, `smallest_difference` for each correlation;
        ``verdict``: *shown* if the 95 % interval of the difference leaves out 0 at every
        correlation from 0 on, *not shown* if at none, otherwise *depends on the correlation*;
        ``needs``, the correlation from which it does, 0 if at every one, NaN if at none.
    """
    rows = {}
    for split in ("local", "official"):
        for metric, difference in gains(split).items():
            row: dict[str, float | str] = {"difference": difference}
            for r in correlations:
                row[f"smallest at r = {r:.2g}"] = smallest_difference(metric, split, r)
            needs = needed_correlation(difference, metric, split)
            rows[split, metric] = row | {"verdict": _verdict(needs), "needs": needs}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["split", "metric"])


def needed_correlation(difference: float, metric: str, split: str) -> float:
    """Return the lowest r at which the 95 % interval of a difference leaves out 0; NaN if none."""

    def too_small(r: float) -> float:
        return _CRITICAL * difference_error(metric, split, r) - abs(difference)

    if too_small(0.0) < 0:
        return 0.0
    return np.nan if too_small(1.0) >= 0 else float(brentq(too_small, 0.0, 1.0))


@cache
def _confusions(split: str) -> list[Confusion]:
    """Return the confusion matrices behind both runs' rows of Table 1; to find them takes time."""
    images = paper.IMAGES[split]
    return [matrices(paper.table_1(split, run), *images)[0] for run in OFFICIAL_RUNS]


def _verdict(needs: float) -> Shown:
    if np.isnan(needs):
        return "not shown"
    return "depends on the correlation" if needs > 0 else "shown"


def _rate_error(metric: str, split: str, correlation: float) -> float:
    """Return `difference_error` of a rate: pairs are of synthetic images, then of real ones."""
    shares, spreads = zip(*(_spread(metric, one, split) for one in _confusions(split)), strict=True)
    low, high = np.minimum(*shares), np.maximum(*shares)
    # Of two events of which the rarer one never comes alone.
    largest = np.sqrt(low * (1 - high) / (high * (1 - low)))
    covariance = np.minimum(correlation, largest) * spreads[0] * spreads[1]
    return float(np.sqrt((spreads[0] ** 2 + spreads[1] ** 2 - 2 * covariance).sum()))


def _spread(
    metric: str, matrix: Confusion, split: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return TP and FP as shares of their class, and what the chance in each adds to a rate."""
    sizes = np.array(paper.IMAGES[split][::-1])
    share = np.array([matrix.true_positives, matrix.false_positives]) / sizes
    return share, _slopes(metric, matrix) * np.sqrt(sizes * share * (1 - share))


def _slopes(metric: str, matrix: Confusion) -> NDArray[np.float64]:
    """Return the derivatives of a rate by TP and by FP, shape (2,), class sizes held fast.

    By the complex step (Squire and Trapp 1998), exact to the last digits: f'(x) = Im f(x + ih) / h.
    """
    tn, fp, fn, tp = matrix
    if metric == "fpr":
        return np.array([0.0, 1 / (tn + fp)])
    steps = (Confusion(tn, fp, fn - _STEP, tp + _STEP), Confusion(tn - _STEP, fp + _STEP, fn, tp))
    return np.array([rates(one)[metric].imag for one in steps]) / _STEP.imag
