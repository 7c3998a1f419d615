"""Where on its ROC curve a run works: recall against false alarms, at its threshold and at others.

The paper finds that broader training data "helps most through recall" (section 5). A recall can
rise for two reasons: the scores tell the classes apart better, or the threshold lets more images
through, photographs too. The two are told apart here, by reading one run at the false-positive rate
of the other.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from layerfusion.analysis.claims import RUNS
from layerfusion.analysis.comparison import Comparison
from layerfusion.metrics.probability import decide
from layerfusion.metrics.uncertainty import image_interval, resampled_rates
from layerfusion.paper import audit
from layerfusion.paper import numbers as paper

_ROWS = 64  # resamples to a step


def recall_at(
    label: ArrayLike, score: ArrayLike, rate: ArrayLike, counts: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return the recall of the lowest threshold whose false-positive rate does not exceed `rate`.

    Thresholds are scores of real images, and images of equal score are called alike. (No curve is
    drawn between them: a detector has only the points that it has.)

    Parameters
    ----------
    label, score
        0 or 1, and real numbers of which only the order matters, shape (n,).
    rate
        In [0, 1], a number or one for each row, shape (rows,).
    counts
        As `layerfusion.metrics.uncertainty.resample_images` returns them; shape (rows, n).

    Returns
    -------
    NDArray
        Shape (rows,), float64; NaN in rows that lack one of the classes.
    """
    labels, scores = np.asarray(label), np.asarray(score, dtype=np.float64)
    if not len(scores):
        return np.full(len(counts), np.nan)
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)[: len(scores)])
    real = labels[order] == 0
    rates = np.broadcast_to(np.asarray(rate, dtype=np.float64), (len(counts),))
    found = [np.empty(0)]
    for start in range(0, len(counts), _ROWS):
        w = counts[start : start + _ROWS, order].astype(np.float64)
        alarms, hits = (np.cumsum(w * kind, axis=1) for kind in (real, ~real))
        allowed = rates[start : start + _ROWS, None] * alarms[:, -1:]
        # Counts are whole, products of rates need not be.
        reached = np.where(alarms[:, last] <= allowed + 1e-9, hits[:, last], 0.0).max(axis=1)
        with np.errstate(invalid="ignore"):
            recall = reached / hits[:, -1]
        found.append(np.where(alarms[:, -1] > 0, recall, np.nan))
    return np.concatenate(found)


def false_positive_rate(
    label: ArrayLike, called: ArrayLike, counts: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return the share of real images that are called synthetic, shape (rows,); NaN without any.

    Parameters are those of `layerfusion.metrics.uncertainty.resampled_rates`.
    """
    # The recall of the opposite question.
    return resampled_rates(1 - np.asarray(label), called, counts)["recall"]


def paper_points() -> pd.DataFrame:
    """Return the paper's own points, of the confusion matrices that its tables leave no choice of.

    Returns
    -------
    DataFrame
        Index: ``on`` (local, official) and ``run``. Columns: ``false_positive_rate`` and
        ``recall``, in [0, 1].
    """
    rows = {}
    for matrix in audit.rebuilt().reset_index().to_dict("records"):
        negatives = matrix["true_negatives"] + matrix["false_positives"]
        rate = matrix["false_positives"] / negatives
        recall = paper.table_1(matrix["split"], matrix["run"]).recall
        rows[matrix["split"], matrix["run"]] = {"false_positive_rate": rate, "recall": recall}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["on", "run"])


def recall_gain(comparison: Comparison, on: str = "local") -> pd.DataFrame:
    """Split the open run's gain in recall into what its scores and what its threshold bring.

    Let R be a run's recall and F its false-positive rate at its own threshold, and R(f) its recall
    where its false-positive rate is f. Then

        R_open - R_constr. = [R_open(F_constr.) - R_constr.] + [R_open - R_open(F_constr.)]

    and the first bracket is the better separation, the second the more permissive threshold.

    Returns
    -------
    DataFrame
        A row for each term of this equation and for the change of F: ``part`` (text),
        ``estimate``, ``low`` and ``high`` over other images.

    Raises
    ------
    LookupError
        If the images have no labels, or were not scored.
    """
    recall = {run: comparison("recall", run, on=on) for run in RUNS}
    alarms = {}
    for run in RUNS:
        table, counts = comparison.measures[run].images(on)
        called = decide(table["logit"], comparison.runs[run].record.threshold)
        alarms[run] = false_positive_rate(table["label"].astype(int), called, counts)
    table, counts = comparison.measures["open"].images(on)
    at_equal = recall_at(table["label"].astype(int), table["logit"], alarms["constrained"], counts)
    parts = {
        "recall, open minus constrained": recall["open"] - recall["constrained"],
        "of this, by better scores": at_equal - recall["constrained"],
        "of this, by a more permissive threshold": recall["open"] - at_equal,
        "false-positive rate, open minus constrained": alarms["open"] - alarms["constrained"],
    }
    rows = [{"part": part} | vars(image_interval(values)) for part, values in parts.items()]
    return pd.DataFrame(rows)


def recall_at_rates(
    comparison: Comparison, rates: Sequence[float] = (0.01, 0.05, 0.1, 0.2), on: str = "local"
) -> pd.DataFrame:
    """Return the recall that each run has where few false alarms are allowed.

    Returns
    -------
    DataFrame
        ``run``, ``false_positive_rate`` (what is allowed), then ``estimate``, ``low``, ``high`` of
        the recall, all in [0, 1].

    Raises
    ------
    LookupError
        If the images have no labels, or were not scored.
    """
    rows = []
    for run in RUNS:
        table, counts = comparison.measures[run].images(on)
        labels, logits = table["label"].astype(int), table["logit"]
        for rate in rates:
            interval = image_interval(recall_at(labels, logits, rate, counts))
            rows.append({"run": run, "false_positive_rate": rate} | vars(interval))
    return pd.DataFrame(rows)
