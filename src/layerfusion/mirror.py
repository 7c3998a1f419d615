"""The paper's tables with a run beside every number: same rows, same columns, same order."""

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from layerfusion import paper
from layerfusion.claims import RUNS, Measure, Metric
from layerfusion.comparison import Comparison
from layerfusion.metrics import threshold_metrics
from layerfusion.tables import TABLE_1_COLUMNS
from layerfusion.uncertainty import LEVEL, image_interval

RUN_NAMES = {"constrained": "Constr.", "open": "Open"}  # the paper's


@dataclass(frozen=True)
class Cell:
    """One number of the paper: where its table has it, and what it is."""

    row: str
    column: str
    metric: Metric
    run: str
    on: str


TABLE_1 = tuple(
    Cell(f"{split.capitalize()}, {RUN_NAMES[run]}", column, metric, run, split)  # type: ignore[arg-type]
    for split in ("local", "official")
    for run in RUNS
    for metric, column in TABLE_1_COLUMNS.items()
)

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


def mirror(cells: Sequence[Cell], measure: Measure, *, comparable: bool) -> pd.DataFrame:
    """Return a row for each number of a table of the paper, with the same number of a run.

    Parameters
    ----------
    measure
        The runs' own metrics, such as a `layerfusion.comparison.Comparison`.
    comparable
        Whether the runs are of the profile ``paper``. Only then there is a verdict: ``agrees``
        where they differ by no more than `layerfusion.paper.TOLERANCE`, else ``differs``.

    Returns
    -------
    DataFrame
        Columns ``row``, ``column``, ``paper``, ``run``, ``low``, ``high`` (the interval over other
        images), ``difference`` (run minus paper) and ``verdict``. What was not measured is NaN, its
        verdict ``not measured``.
    """
    return pd.DataFrame([_mirrored(cell, measure, comparable) for cell in cells])


def official_errors(comparison: Comparison) -> pd.DataFrame:
    """Return the errors on official images that section 5 counts, the paper's and a run's.

    Returns
    -------
    DataFrame
        Index: run, and whose counts these are. Columns: ``false_negatives``, ``false_positives``,
        and the images, ``real`` and ``synthetic``. Without labelled test images there are the
        paper's rows only.
    """
    rows = {}
    for run, errors in paper.OFFICIAL_ERRORS.items():
        real, synthetic = paper.IMAGES["official"]
        rows[run, "paper"] = asdict(errors) | {"real": real, "synthetic": synthetic}
        table = comparison.tables[run].get("official")
        if table is not None:
            found = threshold_metrics(
                table["label"], table["probability"], comparison.runs[run].record.threshold
            )
            synthetic = int(table["label"].sum())
            rows[run, "this run"] = {
                "false_negatives": found.false_negatives,
                "false_positives": found.false_positives,
                "real": len(table) - synthetic,
                "synthetic": synthetic,
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["run", "of"])


def styled(table: pd.DataFrame, profile: str) -> Styler:
    """Lay a mirrored table out as the paper does; a cell's lines: paper, run, interval, difference.

    The caption says whose numbers are whose, and whether they can be compared: a picture of the
    table alone must not deceive.
    """
    wide = table.assign(text=[_text(row) for row in table.to_dict("records")]).pivot(
        index="row", columns="column", values="text"
    )
    # pivot sorts; the paper does not.
    wide = wide.loc[table["row"].unique(), table["column"].unique()]
    wide.index.name = wide.columns.name = None
    same = profile == "paper"
    caption = (
        f"In each cell: the paper; {'this run' if same else f'the {profile} profile'} with its "
        f"{LEVEL:.0%} interval over other images; the difference."
    )
    if not same:
        caption += f" The {profile} profile is another world: the two cannot be compared."
    style = wide.style.set_uuid("mirror").set_caption(caption)
    return style.set_table_styles(
        [
            {"selector": "", "props": "font-size: 85%"},
            {"selector": "td", "props": "text-align: right; white-space: nowrap"},
            {"selector": ".paper, .difference", "props": "opacity: 0.65; font-style: italic"},
            {"selector": "caption", "props": "caption-side: top; text-align: left"},
        ]
    )


def _mirrored(cell: Cell, measure: Measure, comparable: bool) -> dict[str, object]:
    printed = paper.reported(cell.metric, cell.run, cell.on)
    assert printed is not None, cell
    row = {"row": cell.row, "column": cell.column, "paper": printed}
    try:
        interval = image_interval(measure(cell.metric, cell.run, on=cell.on))
    except LookupError:
        nothing = dict.fromkeys(("run", "low", "high", "difference"), float("nan"))
        return row | nothing | {"verdict": "not measured"}
    difference = interval.estimate - printed
    verdict = "agrees" if abs(difference) <= paper.TOLERANCE else "differs"
    return row | {
        "run": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "difference": difference,
        "verdict": verdict if comparable else "not comparable",
    }


def _text(row: dict[Hashable, Any]) -> str:
    printed = f'<span class="paper">paper {row["paper"]:.4f}</span>'
    if row["verdict"] == "not measured":
        return f"{printed}<br>not measured"
    run = f"<b>{row['run']:.4f}</b><br>[{row['low']:.3f}, {row['high']:.3f}]"
    verdict = "" if row["verdict"] == "not comparable" else f" {row['verdict']}"
    return (
        f'{printed}<br>{run}<br><span class="difference">{row["difference"]:+.4f}{verdict}</span>'
    )
