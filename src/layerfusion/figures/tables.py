"""Tables of runs: of one from its record, of both from their scores."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from layerfusion.metrics.calibration import calibration_row
from layerfusion.metrics.scored import ScoredImages
from layerfusion.paper import numbers as paper
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


def calibration_table(scored: Mapping[str, ScoredImages]) -> pd.DataFrame:
    """Return both runs' thresholds beside what calibrated scores would ask for.

    Returns
    -------
    DataFrame
        Index: ``run``. Columns: ``paper`` (the paper's threshold, of its author's repository),
        ``half of the paper's F1`` (local, Table 1), and those of
        `layerfusion.metrics.calibration.calibration_row`.
    """
    rows = {
        run: {
            "paper": paper.THRESHOLDS[run],
            "half of the paper's F1": paper.table_1("local", run).f1 / 2,
        }
        | calibration_row(own)
        for run, own in scored.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")
