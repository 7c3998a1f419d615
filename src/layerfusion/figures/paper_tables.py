"""The paper's tables with a run beside every number: same rows, same columns, same order."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.io.formats.style import Styler

from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.measures import RUNS
from layerfusion.figures.formatting import bounds
from layerfusion.figures.html_tables import lay_out, pivoted
from layerfusion.metrics.scored import Metric
from layerfusion.metrics.uncertainty import LEVEL, Interval, image_interval, share_interval
from layerfusion.paper import numbers as paper

# Columns of Table 1, in the paper's order and words.
TABLE_1_COLUMNS: dict[Metric, str] = {
    "accuracy": "Acc.",
    "precision": "Prec.",
    "recall": "Rec.",
    "f1": "F1",
    "roc_auc": "AUC",
    "average_precision": "AP",
}

RUN_NAMES = {"constrained": "Constr.", "open": "Open"}  # the paper's


class Cell(NamedTuple):
    """One number of the paper: where its table has it, and what it is."""

    row: str
    column: str
    metric: Metric
    run: str
    on: str


TABLE_1 = tuple(
    Cell(f"{split.capitalize()}, {RUN_NAMES[run]}", column, metric, run, split)
    for split in ("local", "official")
    for run in RUNS
    for metric, column in TABLE_1_COLUMNS.items()
)


def local_row(run: str) -> tuple[Cell, ...]:
    """Return the cells of a run's local row of Table 1."""
    return tuple(cell for cell in TABLE_1 if (cell.run, cell.on) == (run, "local"))


TABLE_2_COLUMNS: dict[str, tuple[Metric, str]] = {
    "JPEG F1": ("f1", "jpeg"),
    "JPEG AUC": ("roc_auc", "jpeg"),
    "Launder F1": ("f1", "launder"),
    "Launder AUC": ("roc_auc", "launder"),
    "Small F1": ("f1", "small"),
}

TABLE_2 = tuple(
    Cell(RUN_NAMES[run], column, metric, run, on)
    for run in RUNS
    for column, (metric, on) in TABLE_2_COLUMNS.items()
)

ERROR_COLUMNS = [
    "paper", "of", "paper share", "this run", "of these", "share", "low", "high", "difference",
]  # fmt: skip

# What a row holds of a number that there is not.
NOTHING = dict.fromkeys(("run", "low", "high", "difference"), float("nan"))


def side_by_side(cells: Sequence[Cell], runs: Comparison, profile: str) -> pd.DataFrame:
    """Return a row for each number of a table of the paper, with the same number of a run.

    Parameters
    ----------
    profile
        Of the runs. Only for ``paper`` there is a verdict: ``agrees`` where they differ by no more
        than `layerfusion.paper.numbers.TOLERANCE`, else ``differs``.

    Returns
    -------
    DataFrame
        Columns ``row``, ``column``, ``paper``, ``run``, ``low``, ``high`` (the interval over other
        images), ``difference`` (run minus paper) and ``verdict``. What was not measured is NaN, its
        verdict ``not measured``; what these images do not define (ROC AUC of one class) is NaN and
        ``not defined``. Bounds alone are NaN where an interval is not defined.
    """
    return pd.DataFrame([_compared(cell, runs, profile == "paper") for cell in cells])


def official_errors(comparison: Comparison) -> pd.DataFrame:
    """Return the errors on official images that section 5 counts, the paper's and a run's.

    Counts of two benchmarks of different size cannot be compared, shares of a class can.

    Returns
    -------
    DataFrame
        Index: ``run`` and ``errors`` (false negatives, false positives). Columns: ``paper`` (the
        count), ``of`` (images of that class) and ``paper share``; ``this run``, ``of these`` and
        ``share`` with ``low`` and ``high`` (Wilson's interval); ``difference`` of the shares.
        Without labelled test images the run's columns are missing values, and without any of a
        class the share is.
    """
    rows = {}
    for run, errors in paper.OFFICIAL_ERRORS.items():
        official = comparison.scored.get("official")
        for kind, label in (("false_negatives", 1), ("false_positives", 0)):
            printed, images = getattr(errors, kind), paper.IMAGES["official"][label]
            row = {"paper": printed, "of": images, "paper share": printed / images}
            if official is not None:
                own = official[run].label == label
                wrong, images = int(official[run].wrong[0, own].sum()), int(own.sum())
                share = share_interval(wrong, images)
                row |= {"this run": wrong, "of these": images} | share.row("share")
                row["difference"] = share.estimate - row["paper share"]
            rows[run, kind.replace("_", " ")] = row
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=ERROR_COLUMNS)
    counts = dict.fromkeys(["this run", "of these"], "Int64")
    return table.astype(counts).rename_axis(["run", "errors"])


def styled(table: pd.DataFrame, profile: str) -> Styler:
    """Lay `side_by_side` out as the paper does; a cell: paper, run, interval, difference.

    The caption says whose numbers are whose, and whether they can be compared: a picture of the
    table alone must not deceive.
    """
    cells = table.assign(text=[_text(row) for row in table.to_dict("records")])
    caption = (
        f"In each cell: the paper; {of_profile(profile)} with its {LEVEL:.0%} interval over other "
        f"images; the difference. {not_to_be_compared(profile)}"
    )
    return lay_out(pivoted(cells, "row", "column", "text"), "mirror", caption)


def of_profile(profile: str) -> str:
    """Return what a table calls the runs that stand beside the paper's."""
    return "this run" if profile == "paper" else f"the {profile} profile"


def not_to_be_compared(profile: str) -> str:
    """Return the sentence that keeps a table of another world from being taken for the paper's."""
    if profile == "paper":
        return ""
    return f"The {profile} profile is another world: the two cannot be compared."


def measured(replicates: Callable[[], NDArray[np.float64]]) -> Interval | str:
    """Return a number with its interval over images, or ``not measured`` or ``not defined``.

    Parameters
    ----------
    replicates
        Returns the number and its replicates, shape (1 + resamples,); raises a LookupError where
        there are no such images.
    """
    try:
        interval = image_interval(replicates())
    except LookupError:
        return "not measured"
    return "not defined" if np.isnan(interval.estimate) else interval


def _compared(cell: Cell, runs: Comparison, comparable: bool) -> dict[str, object]:
    printed = paper.reported(cell.metric, cell.run, cell.on)
    assert printed is not None, cell
    row = {"row": cell.row, "column": cell.column, "paper": printed}
    found = measured(lambda: runs(cell.metric, cell.run, on=cell.on))
    if isinstance(found, str):
        return row | NOTHING | {"verdict": found}
    difference = found.estimate - printed
    verdict = "agrees" if abs(difference) <= paper.TOLERANCE else "differs"
    return row | {
        "run": found.estimate,
        "low": found.low,
        "high": found.high,
        "difference": difference,
        "verdict": verdict if comparable else "not comparable",
    }


def _text(row: dict[Hashable, Any]) -> str:
    printed = f'<span class="paper">paper {row["paper"]:.4f}</span>'
    if row["verdict"] in ("not measured", "not defined"):
        return f"{printed}<br>{row['verdict']}"
    run = f"<b>{row['run']:.4f}</b><br>{bounds(row, '.3f')}"
    verdict = "" if row["verdict"] == "not comparable" else f" {row['verdict']}"
    return (
        f'{printed}<br>{run}<br><span class="difference">{row["difference"]:+.4f}{verdict}</span>'
    )
