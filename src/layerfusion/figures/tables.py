"""Tables of one run, filled from its record."""

from typing import Any

import pandas as pd

from layerfusion.runs.record import RunRecord


def threshold_table(record: RunRecord) -> pd.DataFrame:
    """Return what the run's threshold does, beside 0.5 and the oracle, a row a threshold."""
    names = {
        "calibrated": "calibrated (largest F1 on these images)",
        "half": "0.5",
        "oracle": "oracle (knows the labels; here the same images)",
    }
    rows = {title: record.metrics[name] for name, title in names.items()}
    columns = ["threshold", "accuracy", "precision", "recall", "f1"]
    return pd.DataFrame.from_dict(rows, orient="index")[columns].astype(float)


def headline(record: RunRecord) -> dict[str, Any]:
    """Return the numbers that a run is known by: F1, ROC AUC, average precision, threshold."""
    return {
        "F1": record.metrics["calibrated"]["f1"],
        "AUC": record.metrics["ranking"]["roc_auc"],
        "AP": record.metrics["ranking"]["average_precision"],
        "threshold": record.threshold,
    }
