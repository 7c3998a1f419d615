"""Numbers with their intervals as text, and tables of such texts, the same on every page."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from layerfusion.metrics.uncertainty import Interval

Row = Mapping[Any, Any] | Mapping[Hashable, Any]

# Of a table of numbers, its caption above, and of one of sentences, its caption below: readable on
# a phone and in the dark.
NUMBERS = {
    "": "font-size: 85%",
    "td": "text-align: right; white-space: nowrap",
    ".paper, .difference": "opacity: 0.65; font-style: italic",
    "caption": "caption-side: top; text-align: left",
}
SENTENCES = {
    "": "font-size: 0.8em",
    "td, th": "text-align: left; vertical-align: top",
    "td": "overflow-wrap: anywhere; min-width: 5.5em",  # of addresses and paths, not of names
    "caption": "caption-side: bottom; text-align: left",
}


def bound_columns(columns: Any, name: str) -> tuple[str, str]:
    """Return the columns of an interval: ``<name>_low`` and ``<name>_high``, or ``low``, ``high``.

    Parameters
    ----------
    columns
        The names that a table or a row has.
    name
        Column of the estimate.
    """
    own = (f"{name}_low", f"{name}_high")
    return own if own[0] in columns else ("low", "high")


def bounds(row: Row, form: str, name: str = "") -> str:
    """Return the ends of a row's interval in a format, or that it has none.

    An interval over other images is not defined where a class has one image alone.
    """
    low, high = bound_columns(row, name)
    if pd.isna(row[low]):
        return "[no interval]"
    return f"[{row[low]:{form}}, {row[high]:{form}}]"


def with_interval(row: Row, name: str, form: str = ".3f") -> str:
    """Return an estimate and its interval, such as ``0.912 [0.901, 0.923]``; nothing of NaN.

    Parameters
    ----------
    row
        Holds the estimate under `name` and the ends of its interval as `bound_columns` names them.
    form
        Format of each number.
    """
    return "" if pd.isna(row[name]) else f"{row[name]:{form}} {bounds(row, form, name)}"


def share_text(share: Interval) -> str:
    """Return a share and its interval in percent."""
    return with_interval(share.columns("share"), "share", ".0%")


def signed(value: float) -> str:
    """Return a difference with its sign and four decimals, ``none`` of NaN."""
    return "none" if pd.isna(value) else f"{value:+.4f}"


def interval_cells(table: pd.DataFrame, name: str, form: str = ".3f") -> list[str]:
    """Return `with_interval` of every row of a table."""
    return [with_interval(row, name, form) for row in table.to_dict("records")]


def rate_cells(table: pd.DataFrame) -> dict[str, Any]:
    """Return ROC AUC with its interval, average precision and F1 of every row, as columns."""
    return {
        "ROC AUC": interval_cells(table, "roc_auc"),
        "average precision": table["average_precision"].map("{:.3f}".format),
        "F1": table["f1"].map("{:.3f}".format),
    }


def lay_out(
    table: pd.DataFrame, name: str, caption: str, styles: Mapping[str, str] = NUMBERS
) -> Styler:
    """Return a table as HTML cells with a caption.

    Parameters
    ----------
    name
        Tells the tables of a page apart.
    styles
        `NUMBERS` or `SENTENCES`.
    """
    return (
        table.style.set_uuid(name)
        .set_caption(caption.strip())
        .set_table_styles([{"selector": one, "props": props} for one, props in styles.items()])
    )


def pivoted(table: pd.DataFrame, row: str, column: str, cell: str) -> pd.DataFrame:
    """Return the texts `cell` of a long table, in the order of its rows and columns."""
    wide = table.pivot(index=row, columns=column, values=cell)
    wide = wide.loc[table[row].unique(), table[column].unique()]  # pivot sorts
    return wide.rename_axis(index=None, columns=None)
