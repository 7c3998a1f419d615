"""Every reported number of a table of predictions."""

import numpy as np
import pandas as pd

from layerfusion.metrics.rates import Report, report


def report_predictions(predictions: pd.DataFrame, threshold: float) -> Report:
    """Return every reported number of a table of predictions, at a threshold on the probability.

    Raises
    ------
    UserError
        If the table is empty, unlabelled or holds one class only.
    """
    return report(
        predictions["label"].to_numpy(dtype=float, na_value=np.nan),
        predictions["logit"].to_numpy(),
        threshold,
    )
