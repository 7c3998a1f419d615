"""What corruptions cost: ROC AUC beside clean images, and errors at the threshold of these."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.metrics.probability import decide
from layerfusion.metrics.significance import delong_contrast, delong_test, holm, mcnemar_test
from layerfusion.metrics.uncertainty import share_interval

CLEAN = "clean"
RATES = {"recall": 1, "false_alarms": 0}  # the class whose images are called synthetic


def corruption_table(predictions: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Return a row a condition, in their order.

    Parameters
    ----------
    predictions
        Of one detector: ``condition``, ``image_id``, ``label`` and ``logit``.
    threshold
        A probability; the same for every condition.

    Returns
    -------
    DataFrame
        Indexed by ``condition``: ``roc_auc`` with ``low`` and ``high`` (DeLong); ``difference`` of
        ROC AUC from clean images, with ``difference_low``, ``difference_high`` and ``p_holm``, its
        p-value corrected for the number of conditions (NaN for clean images); ``recall`` and
        ``false_alarms`` at the threshold, each with ``_low`` and ``_high`` (Wilson) and
        ``_p_holm``, McNemar's exact test against the same images clean, corrected over both rates
        of all conditions.
    """
    logits = predictions.pivot(index="image_id", columns="condition", values="logit")
    label = predictions.groupby("image_id")["label"].first().loc[logits.index].to_numpy(dtype=int)
    conditions = predictions["condition"].unique()
    rows = [_row(name, logits, label, threshold) for name in conditions]
    table = pd.DataFrame(rows).set_index("condition")
    table.loc[CLEAN, [f"{name}_p" for name in ("auc", *RATES)]] = np.nan
    rates = [f"{rate}_p" for rate in RATES]
    table["p_holm"] = holm(table["auc_p"].to_numpy())
    table[[f"{rate}_p_holm" for rate in RATES]] = holm(table[rates].to_numpy().ravel()).reshape(
        -1, 2
    )
    return table.drop(columns=["auc_p", *rates])


def _row(
    name: str,
    logits: pd.DataFrame,
    label: NDArray[np.int_],
    threshold: float,
) -> dict[str, object]:
    own, undegraded = (logits[one].to_numpy(dtype=np.float64) for one in (name, CLEAN))
    auc = delong_contrast(label, own, [1])
    loss = delong_test(label, own, undegraded)
    called, clean = (decide(one, threshold) for one in (own, undegraded))
    row: dict[str, object] = {
        "condition": name,
        "roc_auc": auc.estimate,
        "low": max(0.0, auc.low),
        "high": min(1.0, auc.high),
        "difference": loss.estimate,
        "difference_low": loss.low,
        "difference_high": loss.high,
        "auc_p": loss.p_value,
    }
    for rate, of in RATES.items():
        kind = label == of
        share = share_interval(int(called[kind].sum()), int(kind.sum()))
        tested = mcnemar_test(label[kind], called[kind], clean[kind])
        row |= {rate: share.estimate, f"{rate}_low": share.low, f"{rate}_high": share.high}
        row[f"{rate}_p"] = tested.p_value
    return row
