"""How a detector does on each folder of somebody's images, those of one class alone included."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from layerfusion.analysis.own_threshold import right_by_class
from layerfusion.analysis.sources import FEWEST_IMAGES
from layerfusion.data.manifest import CLASSES
from layerfusion.metrics.uncertainty import (
    Interval,
    image_interval,
    resample_images,
    resampled_roc_auc,
    share_interval,
    with_known_spread,
)


def folder_table(
    folder: ArrayLike, label: ArrayLike, logit: ArrayLike, called: ArrayLike
) -> pd.DataFrame:
    """Return the rates of each folder, the one with most errors first.

    Parameters
    ----------
    folder, label, logit, called
        Where an image comes from, 0 or 1 (both of them), its score, and whether it is called
        synthetic; shape (n,).

    Returns
    -------
    DataFrame
        ``folder``, ``real`` and ``synthetic`` (images); for each of ``roc_auc``, ``accuracy``,
        ``recall`` (of synthetic images) and ``false_alarms`` (of real ones) the estimate, ``_low``
        and ``_high``, in [0, 1], NaN where the folder has no such image. The AUC of a folder of one
        class is against all images of the other class; ``against`` says what it is against,
        ``itself`` or the other class.
    """
    names, labels, logits, calls = (np.asarray(one) for one in (folder, label, logit, called))
    rows = []
    for name in np.unique(names):
        own = names == name
        kinds = np.unique(labels[own])
        against = "itself" if len(kinds) == 2 else f"all {CLASSES[1 - int(kinds[0])]}"
        held = own if len(kinds) == 2 else own | (labels != kinds[0])
        right = calls[own] == labels[own]
        alarms, recall = right_by_class(labels[own], calls[own])
        rates = {
            "roc_auc": auc_interval(labels[held], logits[held]),
            "accuracy": share_interval(int(right.sum()), len(right)),
            "recall": recall,
            "false_alarms": Interval(1 - alarms.estimate, 1 - alarms.high, 1 - alarms.low),
        }
        counts = {CLASSES[kind]: int((labels[own] == kind).sum()) for kind in CLASSES}
        rows.append({"folder": str(name)} | counts | {"against": against} | _columns(rates))
    table = pd.DataFrame(rows)
    return table.sort_values(["accuracy", "folder"], kind="stable", ignore_index=True)


def worst_folder(table: pd.DataFrame) -> pd.Series | None:
    """Return the row with most errors of the folders with ten images or more; None without any."""
    enough = table[table["real"] + table["synthetic"] >= FEWEST_IMAGES]
    return None if enough.empty else enough.iloc[0]


def auc_interval(label: ArrayLike, logit: ArrayLike) -> Interval:
    """Return ROC AUC with its interval over other images; its ends are NaN of a lone image."""
    labels: NDArray[np.int64] = np.asarray(label, dtype=np.int64)
    counts = with_known_spread(labels, resample_images(labels))
    return image_interval(resampled_roc_auc(labels, logit, counts))


def _columns(rates: dict[str, Interval]) -> dict[str, float]:
    return {
        name + end: value
        for name, rate in rates.items()
        for end, value in (("", rate.estimate), ("_low", rate.low), ("_high", rate.high))
    }
