"""The folders of detectors: those that come with the package, and the scores they are read by."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.data.tables import read_csv, read_parquet
from layerfusion.errors import UserError
from layerfusion.model.folder import read_description
from layerfusion.model.known_weights import KNOWN
from layerfusion.paths import PACKAGE

DEMO = "demo"  # what the toy is called wherever a detector can be named

# The toy: trained on pictures that this project makes, on top of a small encoder. Its scores mean
# nothing for real photographs, as its `notice` says.
DEMO_FOLDER = PACKAGE / "scoring" / "demo_detector"
DEFAULT_FOLDER = PACKAGE / "scoring" / "photographs_detector"

# What else comes with the package, by name: the paper's head on the images of the default, and the
# default of before December 2026.
SHIPPED = {
    DEMO: DEMO_FOLDER,
    "photographs": DEFAULT_FOLDER,
    "photographs-paper": PACKAGE / "scoring" / "photographs_paper_detector",
    "photographs-2026-11": PACKAGE / "scoring" / "photographs_2026_11_detector",
}

_OR_THE_TOY = f" (or try the toy: --detector {DEMO})"


def detector_folder(named: str | Path | None = None, *, weights: str | None = None) -> Path:
    """Return the folder of a detector that a person names, once it is known that it can be loaded.

    Nothing large is read for that, so it can come before anything that takes time.

    Parameters
    ----------
    named
        One of `SHIPPED`, such as ``"demo"``, the toy; a folder, such as ``detector`` of a finished
        run (one that is called demo is ``"./demo"``, or a `Path`); None for the default,
        ``"photographs"``.
    weights
        Where the frozen weights lie, or what they are called, if not as the description says.

    Raises
    ------
    UserError
        If the weights are known by a name and not on this machine.
    """
    if named is None:
        folder, called, otherwise = DEFAULT_FOLDER, "the default detector", _OR_THE_TOY
    elif named in SHIPPED:
        folder, called, otherwise = SHIPPED[str(named)], f"the {named} detector", ""
    else:
        folder, called, otherwise = Path(named), f"the detector in {named}", ""
    needed = KNOWN.get(weights or _described_weights(folder))
    if needed and needed.file() is None:
        raise UserError(
            f"{called} needs the weights '{needed.name}', which are not on this machine; get them "
            f"with: {needed.command}{otherwise}"
        )
    return folder


def _described_weights(folder: Path) -> str:
    """Return `encoder.weights` of a description; nothing if it is none, as loading it will say."""
    try:
        return read_description(folder).encoder.weights
    except UserError:
        return ""


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
    table = table.astype({"logit": "float32"})  # as detectors compute: no digit is lost
    table.to_csv(detector / REFERENCE, index=False, lineterminator="\n")


def _checked(table: pd.DataFrame, path: Path) -> ReferenceScores:
    if not set(COLUMNS) <= set(table.columns):
        raise UserError(f"{path} lacks the columns {' and '.join(COLUMNS)}")
    label = pd.to_numeric(table["label"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    logit = pd.to_numeric(table["logit"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if set(np.unique(label)) != {0.0, 1.0} or not np.isfinite(logit).all():
        raise UserError(f"{path} must hold a label 0 or 1, both of them, and a finite logit a row")
    return ReferenceScores(label.astype(np.int64), logit)
