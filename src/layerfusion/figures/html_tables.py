"""Tables of HTML cells with a caption: readable on a phone and in the dark."""

import pandas as pd
from pandas.io.formats.style import Styler


def lay_out(table: pd.DataFrame, name: str, caption: str) -> Styler:
    """Return a table of numbers as HTML cells, its caption above.

    Parameters
    ----------
    name
        Tells the tables of a page apart.
    """
    return _styled(
        table,
        name,
        caption,
        {
            "": "font-size: 85%",
            "td": "text-align: right; white-space: nowrap",
            ".paper, .difference": "opacity: 0.65; font-style: italic",
            "caption": "caption-side: top; text-align: left",
        },
    )


def lay_out_text(table: pd.DataFrame, name: str, caption: str) -> Styler:
    """Return a table of sentences as HTML cells, its caption below."""
    return _styled(
        table,
        name,
        caption,
        {
            "": "font-size: 0.8em",
            "td, th": "text-align: left; vertical-align: top",
            # Of addresses and paths, not of names.
            "td": "overflow-wrap: anywhere; min-width: 5.5em",
            "caption": "caption-side: bottom; text-align: left",
        },
    )


def pivoted(table: pd.DataFrame, row: str, column: str, cell: str) -> pd.DataFrame:
    """Return the texts `cell` of a long table, in the order of its rows and columns."""
    wide = table.pivot(index=row, columns=column, values=cell)
    wide = wide.loc[table[row].unique(), table[column].unique()]  # pivot sorts
    return wide.rename_axis(index=None, columns=None)


def _styled(table: pd.DataFrame, name: str, caption: str, styles: dict[str, str]) -> Styler:
    style = table.style.set_uuid(name).set_caption(caption.strip())
    return style.set_table_styles(
        [{"selector": selector, "props": props} for selector, props in styles.items()]
    )
