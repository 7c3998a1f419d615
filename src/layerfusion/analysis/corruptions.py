"""What corruptions cost: ROC AUC, recall and false positives beside those of clean images."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.scored import Metric, ScoredImages
from layerfusion.metrics.significance import holm
from layerfusion.metrics.uncertainty import LEVEL

CLEAN = "clean"
RATES: tuple[Metric, ...] = ("recall", "fpr")


def corruption_table(scored: Mapping[str, ScoredImages]) -> pd.DataFrame:
    """Return a row a condition, in their order.

    Parameters
    ----------
    scored
        The same images by condition, as one detector scores them at its threshold.

    Returns
    -------
    DataFrame
        Indexed by ``condition``: ``roc_auc``, ``recall`` and ``fpr`` at the threshold, each with
        ``_low`` and ``_high``, over other sources where these are known, and ``_p_holm``, that it
        is that of the same images clean: corrected for the number of conditions (`RATES` together),
        NaN for clean images; and ``difference`` of ROC AUC from clean images, with
        ``difference_low`` and ``difference_high``.
    """
    rows = {name: _row(own, scored[CLEAN]) for name, own in scored.items()}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("condition")
    columns = [f"{rate}_p_holm" for rate in RATES]
    table["roc_auc_p_holm"] = holm(table["roc_auc_p_holm"])
    table[columns] = holm(table[columns])
    return table


def clearly_changed(table: pd.DataFrame, metric: Metric) -> list[str]:
    """Return the conditions under which a metric differs from clean images, corrected by Holm."""
    return [str(name) for name in table.index[table[f"{metric}_p_holm"] < 1 - LEVEL]]


def logit_shifts(scored: Mapping[str, ScoredImages]) -> pd.DataFrame:
    """Return how far each condition moves the logits of each class, of the first seed.

    Returns
    -------
    DataFrame
        A row a condition and class, without clean images: ``condition``, ``class``, ``shift`` (the
        median over images of the change of the logit), ``low`` and ``high`` (its quartiles).
    """
    clean, rows = scored[CLEAN].logits[0], []
    for name, own in scored.items():
        for label, kind in CLASSES.items() if name != CLEAN else ():
            change = (own.logits[0] - clean)[own.label == label]
            low, shift, high = np.quantile(change, [0.25, 0.5, 0.75]).tolist()
            row = {"condition": name, "class": kind, "shift": shift}
            rows.append(row | {"low": low, "high": high})
    return pd.DataFrame(rows)


def _row(own: ScoredImages, clean: ScoredImages) -> dict[str, float]:
    row: dict[str, float] = {}
    metrics: tuple[Metric, ...] = ("roc_auc", *RATES)
    for metric in metrics:
        measured = own.measured(metric)
        change = (measured - clean.measured(metric)).interval()
        row |= measured.interval().columns(metric) | {f"{metric}_p_holm": change.p_value}
        if metric == "roc_auc":
            row |= change.columns("difference")
    return row
