"""Shortcut baselines of a study's runs: a table beside its predictions."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from layerfusion.analysis.shortcuts import shortcut_baselines
from layerfusion.errors import UserError
from layerfusion.progress import Reporter
from layerfusion.runs.experiment import Experiment

SHORTCUTS = "shortcuts.csv"


def run_shortcuts(experiment: Experiment, runs: Iterable[str], reporter: Reporter) -> pd.DataFrame:
    """Fit the shortcut baselines on the training images of runs, score the validation images.

    Parameters
    ----------
    experiment
        Of any of the runs, seeds and heads: these make no difference.

    Returns
    -------
    DataFrame
        ``run``, then as `layerfusion.analysis.shortcuts.shortcut_baselines` returns it, in its
        order.

    Raises
    ------
    UserError
        As `layerfusion.analysis.shortcuts.shortcut_baselines`.
    """
    tables = []
    for run in runs:
        own = replace(experiment, run=run)
        train, validation, profile = own.training, own.validation, own.profile
        images = len(train.rows) + len(validation.rows)
        with reporter.bar(f"shortcut features, {run}", images) as bar:
            table = shortcut_baselines(
                train, profile.images, profile.loader, validation=validation, progress=bar
            )
        table.insert(0, "run", run)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


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
