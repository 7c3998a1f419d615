"""What corruptions cost: ROC AUC beside clean images, and errors at the threshold of these."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.metrics.probability import decide
from layerfusion.metrics.significance import delong_contrast, delong_test, holm, mcnemar_test
from layerfusion.metrics.uncertainty import share_interval

CLEAN = "clean"
RATES = {"recall": 1, "false_alarms": 0}  # the class whose images are predicted synthetic


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
    table["p_holm"] = holm(table["auc_p"])
    table[[f"{rate}_holm" for rate in rates]] = holm(table[rates])
    return table.drop(columns=["auc_p", *rates])


def _row(
    name: str, logits: pd.DataFrame, label: NDArray[np.int_], threshold: float
) -> dict[str, object]:
    own, undegraded = (logits[one].to_numpy(dtype=np.float64) for one in (name, CLEAN))
    auc = delong_contrast(label, own, [1])
    loss = delong_test(label, own, undegraded)
    predicted, clean = (decide(one, threshold) for one in (own, undegraded))
    row: dict[str, object] = {"condition": name, "roc_auc": auc.estimate}
    row |= {"low": max(0.0, auc.low), "high": min(1.0, auc.high)}
    row |= loss.columns("difference") | {"auc_p": loss.p_value}
    for rate, of in RATES.items():
        kind = label == of
        share = share_interval(int(predicted[kind].sum()), int(kind.sum()))
        tested = mcnemar_test(label[kind], predicted[kind], clean[kind])
        row |= share.columns(rate) | {f"{rate}_p": tested.p_value}
    return row
