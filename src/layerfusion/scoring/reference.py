"""Scores of labelled images that a detector is read against: beside it, without an image."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.data.csv_tables import read_csv
from layerfusion.data.parquet import read_parquet
from layerfusion.errors import UserError

REFERENCE = "validation.csv"  # in a detector's folder
PREDICTIONS = "predictions.parquet"  # in a run's folder, which holds the detector's
COLUMNS = ["label", "logit"]


class ReferenceScores(NamedTuple):
    """Validation images as a detector scores them.

    Attributes
    ----------
    label
        0 (real) or 1 (synthetic), shape (n,), both of them.
    logit
        Shape (n,), float64, finite.
    """

    label: NDArray[np.int64]
    logit: NDArray[np.float64]


def read_reference(detector: Path) -> ReferenceScores:
    """Read the scores beside a detector, or those of the run whose folder it lies in.

    Raises
    ------
    UserError
        If there are none, or they are no scores of images of both classes.
    """
    own, of_run = detector / REFERENCE, detector.absolute().parent / PREDICTIONS
    if own.is_file():
        return _checked(read_csv(own), own)
    if of_run.is_file():
        return _checked(read_parquet(of_run), of_run)
    raise UserError(
        f"{detector} has no {REFERENCE}: without scores of labelled images nothing says what its "
        "scores mean; use a finished run's detector, or one that `layerfusion export` made"
    )


def write_reference(predictions: pd.DataFrame, detector: Path) -> None:
    """Write the label and logit of predictions beside a detector, by logit, without their names."""
    table = predictions[COLUMNS].sort_values(COLUMNS[::-1], ignore_index=True)
    table.to_csv(detector / REFERENCE, index=False, float_format="%.4f", lineterminator="\n")


def _checked(table: pd.DataFrame, path: Path) -> ReferenceScores:
    if not set(COLUMNS) <= set(table.columns):
        raise UserError(f"{path} lacks the columns {' and '.join(COLUMNS)}")
    label = pd.to_numeric(table["label"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    logit = pd.to_numeric(table["logit"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if set(np.unique(label)) != {0.0, 1.0} or not np.isfinite(logit).all():
        raise UserError(f"{path} must hold a label 0 or 1, both of them, and a finite logit a row")
    return ReferenceScores(label.astype(np.int64), logit)
