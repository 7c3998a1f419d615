"""Tables of runs: of one from its record, and the paper's own with a run beside every number.

Numbers of a run of the profile `paper` can be compared with the paper's. Of any other profile only
the direction of a claim can, and verdicts speak of nothing else.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.measures import RUNS
from layerfusion.metrics.calibration import calibration_row
from layerfusion.metrics.scored import METRIC_NAMES, Metric, ScoredImages
from layerfusion.metrics.uncertainty import LEVEL, image_interval, share_interval
from layerfusion.pages.figures.formatting import bounds, lay_out, pivoted
from layerfusion.paper import numbers as paper
from layerfusion.paths import shown
from layerfusion.runs.record import Run, RunRecord

# Columns of Table 1, in the paper's order and words.
TABLE_1_COLUMNS: dict[Metric, str] = {
    "accuracy": "Acc.",
    "precision": "Prec.",
    "recall": "Rec.",
    "f1": "F1",
    "roc_auc": "AUC",
    "average_precision": "AP",
}
TABLE_2_COLUMNS: dict[str, tuple[Metric, str]] = {
    "JPEG F1": ("f1", "jpeg"),
    "JPEG AUC": ("roc_auc", "jpeg"),
    "Launder F1": ("f1", "launder"),
    "Launder AUC": ("roc_auc", "launder"),
    "Small F1": ("f1", "small"),
}
METRICS = METRIC_NAMES
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
TABLE_2 = tuple(
    Cell(RUN_NAMES[run], column, metric, run, on)
    for run in RUNS
    for column, (metric, on) in TABLE_2_COLUMNS.items()
)


def threshold_table(record: RunRecord) -> pd.DataFrame:
    """Return the rates at the run's threshold and at 0.5, a row a threshold."""
    names = {"calibrated": "largest F1", "half": "0.5"}
    rows = {title: record.metrics[name] for name, title in names.items()}
    columns = ["threshold", "accuracy", "precision", "recall", "f1"]
    return pd.DataFrame.from_dict(rows, orient="index")[columns].astype(float)


def run_differences(scored: Mapping[str, ScoredImages]) -> pd.DataFrame:
    """Return metrics of both runs and their differences, open minus constrained.

    Parameters
    ----------
    scored
        The same images by run, of one seed.

    Returns
    -------
    DataFrame
        Index: ``metric``, of `METRICS`. Columns: ``constrained`` and ``open``, in [0, 1], and
        ``difference``, in [-1, 1], with ``low`` and ``high`` over other images.
    """
    rows = {}  # both runs on the same resamples of the images
    for metric in METRICS:
        before, after = (scored[run].values(metric)[0] for run in RUNS)
        difference = image_interval(after - before).row("difference")
        rows[metric] = {"constrained": before[0], "open": after[0]} | difference
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


def headline(run: Run) -> str:
    """Return the numbers that a run is known by, a line each, and where its record lies."""
    ranking = run.record.metrics["ranking"]
    numbers = {
        "F1": run.record.metrics["calibrated"]["f1"],
        "AUC": ranking["roc_auc"],
        "AP": ranking["average_precision"],
        "threshold": run.record.threshold,
    }
    lines = [f"{k:<10}{v:.4f}" if v >= 1e-3 else f"{k:<10}{v:.4g}" for k, v in numbers.items()]
    return "\n".join([*lines, f"{'record':<10}{shown(run.directory)}/record.json"])


def by_run(
    scored: Mapping[str, ScoredImages], table: Callable[[ScoredImages], pd.DataFrame]
) -> pd.DataFrame:
    """Return a table of each run's images, below each other and indexed by ``run``."""
    tables = {run: table(own) for run, own in scored.items()}
    return pd.concat(tables, names=["run"]).droplevel(1)


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
    rows = []
    for cell in cells:
        printed = paper.reported(cell.metric, cell.run, cell.on)
        assert printed is not None, cell
        row: dict[str, Any] = {"row": cell.row, "column": cell.column, "paper": printed}
        try:
            found = image_interval(runs(cell.metric, cell.run, on=cell.on))
        except LookupError:
            rows.append(row | {"verdict": "not measured"})
            continue
        if np.isnan(found.estimate):
            rows.append(row | {"verdict": "not defined"})
            continue
        difference = found.estimate - printed
        judged = "agrees" if abs(difference) <= paper.TOLERANCE else "differs"
        row |= found.row("run") | {"difference": difference}
        rows.append(row | {"verdict": judged if profile == "paper" else "not comparable"})
    columns = ["row", "column", "paper", "run", "low", "high", "difference", "verdict"]
    return pd.DataFrame(rows, columns=columns)


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
    rows, official = {}, comparison.scored.get("official")
    for run, errors in paper.OFFICIAL_ERRORS.items():
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
    columns = ["paper", "of", "paper share", "this run", "of these", "share", "low", "high"]
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=[*columns, "difference"])
    counts = dict.fromkeys(["this run", "of these"], "Int64")
    return table.astype(counts).rename_axis(["run", "errors"])


def styled(table: pd.DataFrame, profile: str) -> Styler:
    """Lay `side_by_side` out as the paper does; a cell: paper, run, interval, difference.

    The caption says whose numbers are whose, and whether they can be compared: a picture of the
    table alone must not deceive.
    """
    cells = table.assign(text=[_text(row) for row in table.to_dict("records")])
    caption = (
        f"In each cell: the paper; {_of_profile(profile)} with its {LEVEL:.0%} interval over other "
        f"images; the difference. {_not_to_be_compared(profile)}"
    )
    return lay_out(pivoted(cells, "row", "column", "text"), "mirror", caption)


def _of_profile(profile: str) -> str:
    """Return what a table calls the runs that stand beside the paper's."""
    return "this run" if profile == "paper" else f"the {profile} profile"


def _not_to_be_compared(profile: str) -> str:
    """Return the sentence that keeps a table of another world from being taken for the paper's."""
    if profile == "paper":
        return ""
    return f"The {profile} profile is another world: the two cannot be compared."


def _text(row: dict[Hashable, Any]) -> str:
    printed = f'<span class="paper">paper {row["paper"]:.4f}</span>'
    if row["verdict"] in ("not measured", "not defined"):
        return f"{printed}<br>{row['verdict']}"
    run = f"<b>{row['run']:.4f}</b><br>{bounds(row, '.3f')}"
    judged = "" if row["verdict"] == "not comparable" else f" {row['verdict']}"
    return f'{printed}<br>{run}<br><span class="difference">{row["difference"]:+.4f}{judged}</span>'
