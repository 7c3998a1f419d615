"""Numbers by source of the images, all runs beside each other, drawn from their tables."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from layerfusion.figures.intervals import interval_panels, stacked


def draw_by_source(
    tables: Mapping[str, pd.DataFrame], value: str, label: str, line: float | Mapping[str, float]
) -> Figure:
    """Draw a number of every source with its interval, a panel a class.

    Parameters
    ----------
    tables
        By run: ``class``, ``source``, the column `value` and its interval. Sources are in the order
        of the last run, its first on top.
    label
        Of the horizontal axis.
    line
        Where a panel has a dotted vertical line, as `intervals.interval_panels` takes it.
    """
    last = list(tables.values())[-1].sort_values("class", kind="stable")
    order = list(zip(last["class"], last["source"], strict=True))
    table = stacked(tables).set_index(["class", "source"]).loc[order].reset_index()
    figure = interval_panels(table, value, rows="source", panels="class", line=line)
    for axes in figure.axes:
        axes.set_title(f"{axes.get_title(loc='left')} images of", fontsize="medium", loc="left")
    axes.set_xlabel(label)
    return figure
