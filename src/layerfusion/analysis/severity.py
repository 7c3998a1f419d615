"""What conditions cost: ROC AUC beside clean images, and errors at the threshold of these."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.metrics.rates import probability
from layerfusion.metrics.significance import delong_contrast, delong_test, holm
from layerfusion.metrics.uncertainty import share_interval

CLEAN = "clean"


def severity_table(predictions: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Return a row a condition, in their order.

    Parameters
    ----------
    predictions
        As `layerfusion.studies.severity.FinishedSeverity` holds them.
    threshold
        A probability; the same for every condition.

    Returns
    -------
    DataFrame
        Indexed by ``condition``: ``roc_auc`` with ``low`` and ``high`` (DeLong); ``difference`` of
        ROC AUC from clean images, with ``difference_low``, ``difference_high`` and ``p_holm``, its
        p-value corrected for the number of conditions (NaN for clean images); ``recall`` and
        ``false_alarms`` at the threshold, each with ``_low`` and ``_high`` (Wilson); these two are
        not tested against those of clean images.
    """
    logits = predictions.pivot(index="image_id", columns="condition", values="logit")
    label = predictions.groupby("image_id")["label"].first().loc[logits.index].to_numpy(dtype=int)
    conditions = predictions["condition"].unique()
    rows = [_row(name, logits, label, threshold) for name in conditions]
    table = pd.DataFrame(rows).set_index("condition")
    others = table.index != CLEAN
    table["p_holm"] = np.nan
    table.loc[others, "p_holm"] = holm(table.loc[others, "p"].to_numpy())
    return table.drop(columns="p")


def _row(
    name: str,
    logits: pd.DataFrame,
    label: NDArray[np.int_],
    threshold: float,
) -> dict[str, object]:
    own = logits[name].to_numpy(dtype=np.float64)
    auc = delong_contrast(label, own, [1])
    loss = delong_test(label, own, logits[CLEAN].to_numpy(dtype=np.float64))
    called = probability(own) >= threshold
    row: dict[str, object] = {
        "condition": name,
        "roc_auc": auc.estimate,
        "low": max(0.0, auc.low),
        "high": min(1.0, auc.high),
        "difference": loss.estimate,
        "difference_low": loss.low,
        "difference_high": loss.high,
        "p": loss.p_value,
    }
    for rate, of in (("recall", 1), ("false_alarms", 0)):
        share = share_interval(int(called[label == of].sum()), int((label == of).sum()))
        row |= {rate: share.estimate, f"{rate}_low": share.low, f"{rate}_high": share.high}
    return row
