"""Tables that chapters show: the rows and columns of the paper, filled from run records."""

from dataclasses import asdict
from typing import Any

import pandas as pd

from layerfusion import paper
from layerfusion.runs import RunRecord

# Columns of Table 1, in the paper's order and words.
TABLE_1_COLUMNS = {
    "accuracy": "Acc.",
    "precision": "Prec.",
    "recall": "Rec.",
    "f1": "F1",
    "roc_auc": "AUC",
    "average_precision": "AP",
}


def table_1_row(record: RunRecord) -> pd.DataFrame:
    """Return the local row of Table 1 for a run: the paper's numbers, then this run's.

    The index names whose numbers they are; only rows of the same profile can be compared.
    """
    calibrated, ranking = record.metrics["calibrated"], record.metrics["ranking"]
    rows = {f"this run ({record.profile} profile)": {**calibrated, **ranking}}
    if record.run in {row.run for row in paper.TABLE_1}:
        rows = {"the paper": asdict(paper.table_1("local", record.run))} | rows
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table[list(TABLE_1_COLUMNS)].rename(columns=TABLE_1_COLUMNS).astype(float)


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
