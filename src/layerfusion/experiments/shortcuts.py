"""What a study's images give away without being looked at: saved beside its predictions."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from layerfusion.analysis.shortcuts import audit
from layerfusion.errors import UserError
from layerfusion.files import in_place_of
from layerfusion.progress import Reporter
from layerfusion.runs.experiment import Experiment

SHORTCUTS = "shortcuts.csv"


def study_shortcuts(experiment: Experiment, reporter: Reporter) -> pd.DataFrame:
    """Fit the shortcut detectors on the training images of each run, score the validation images.

    Parameters
    ----------
    experiment
        Any of the study's: seeds and heads make no difference.

    Returns
    -------
    DataFrame
        ``run``, then as `layerfusion.analysis.shortcuts.audit` returns it, in its order.

    Raises
    ------
    UserError
        As `layerfusion.analysis.shortcuts.audit`.
    """
    parts = []
    for run in experiment.profile.runs:
        own = replace(experiment, run=run)
        images = len(own.training.rows) + len(own.validation.rows)
        with reporter.bar(f"shortcut features, {run}", images) as bar:
            found = audit(
                own.training,
                own.validation,
                own.profile.images,
                own.profile.loader,
                progress=bar,
            )
        parts.append(found.assign(run=run))
    table = pd.concat(parts, ignore_index=True)
    return table[["run", *(column for column in table if column != "run")]]


def write_shortcuts(table: pd.DataFrame, folder: Path) -> Path:
    """Write a table as `study_shortcuts` returns it into a study's folder; return the file."""
    path = folder / SHORTCUTS
    with in_place_of(path) as partial:
        table.to_csv(partial, index=False, lineterminator="\n")
    return path


def read_shortcuts(folder: Path) -> pd.DataFrame:
    """Read the table from a study's folder, or from where it was published.

    Raises
    ------
    UserError
        If there is no such file, or it is no such table.
    """
    path = folder / SHORTCUTS
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"table of shortcut features not found: {path}") from None
    except (ValueError, OSError):
        raise UserError(f"{path} cannot be read as CSV; download it again") from None
    for column in ("run", "name", "roc_auc"):
        if column not in table:
            raise UserError(f"{path} is not a table of shortcut features: it lacks '{column}'")
    return table
