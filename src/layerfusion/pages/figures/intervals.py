"""Estimates with their intervals, a named row each: one drawing for every table that has them."""

from collections.abc import Mapping
from textwrap import shorten
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from layerfusion.pages.figures.formatting import bound_columns
from layerfusion.pages.figures.style import RUN_STYLES, finish, legend_above

Styles = Mapping[str, Mapping[str, Any]]

LONGEST_NAME = 60
APART = 0.3  # distance of the marks of one name, as a share of a row


def draw_intervals(
    axes: Axes,
    table: pd.DataFrame,
    value: str,
    *,
    rows: str,
    by: str = "run",
    styles: Styles = RUN_STYLES,
) -> None:
    """Draw a mark and an interval for every row of a table; the first name is on top.

    Parameters
    ----------
    table
        Holds the columns `value`, its interval's (see `formatting.bound_columns`), `rows` and `by`.
    value
        Column of the estimates.
    rows
        Column of the names on the left.
    by
        Column that divides a name's marks: drawn below each other, by the styles of `styles`.
    """
    places = {name: place for place, name in enumerate(dict.fromkeys(table[rows]))}
    groups = list(dict.fromkeys(table[by]))
    for number, group in enumerate(groups):
        own = table[table[by] == group]
        at = own[rows].map(places) + APART * (number - (len(groups) - 1) / 2)
        draw_bars(axes, own, value, at, {"label": str(group)} | dict(styles.get(group, {})))
    names = [shorten(str(name), LONGEST_NAME, placeholder="...") for name in places]
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def draw_bars(
    axes: Axes, table: pd.DataFrame, value: str, at: pd.Series, style: Mapping[str, Any]
) -> None:
    """Draw marks with horizontal intervals at heights `at`, one for every row of a table."""
    low, high = bound_columns(table, value)
    reach = np.array([table[value] - table[low], table[high] - table[value]], dtype=float)
    axes.errorbar(table[value], at, xerr=reach, linestyle="", markersize=5, **style)


def draw_band(
    axes: Axes, table: pd.DataFrame, x: str, value: str, *, color: str, **style: Any
) -> None:
    """Draw a column over another one as a line, with its interval as a band around it."""
    low, high = bound_columns(table, value)
    axes.plot(table[x], table[value], color=color, **style)
    axes.fill_between(table[x], table[low], table[high], color=color, alpha=0.15, linewidth=0)


def interval_panels(
    table: pd.DataFrame,
    value: str,
    label: str,
    *,
    rows: str,
    panels: str,
    by: str = "run",
    line: float | Mapping[str, float] = 0.0,
    styles: Styles = RUN_STYLES,
    percent: bool = False,
) -> Figure:
    """Draw `draw_intervals`, a panel for each value of a column, below each other.

    Parameters
    ----------
    label
        Of the horizontal axis.
    panels
        The column that divides the table; its values stand above their panels.
    line
        Where a panel has a dotted vertical line: in all, or by the panel's value.
    percent
        Whether the axis counts in percent.
    """
    parts = {str(name): table[table[panels] == name] for name in dict.fromkeys(table[panels])}
    heights = [part[rows].nunique() for part in parts.values()]
    figure, grid = plt.subplots(
        len(parts), 1, sharex=True, layout="constrained", squeeze=False, height_ratios=heights,
        figsize=(8, 0.3 * sum(heights) + 0.5 * len(parts) + 0.9),
    )  # fmt: skip
    for axes, (name, part) in zip(grid.flat, parts.items(), strict=True):
        draw_intervals(axes, part, value, rows=rows, by=by, styles=styles)
        axes.set_title(name, fontsize="medium", loc="left")
        at = line.get(name) if isinstance(line, Mapping) else line
        if at is not None:
            axes.axvline(at, color="0.5", linewidth=1, linestyle=":")
    axes.set_xlabel(label)
    if percent:
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    if by != panels:
        legend_above(figure, grid.flat[0])
    return finish(figure)


def draw_by_source(
    table: pd.DataFrame,
    value: str,
    label: str,
    *,
    line: float | Mapping[str, float],
    percent: bool = False,
) -> Figure:
    """Draw a number of every source with its interval, a panel a class.

    Parameters
    ----------
    table
        Indexed by ``run``: ``class``, ``source``, the column `value` and its interval. Sources are
        in the order of the last run, its first on top.
    label, line, percent
        As `interval_panels` takes them; a panel is ``<class> images of``.
    """
    last = table.loc[table.index[-1]].sort_values("class", kind="stable")
    order = pd.MultiIndex.from_frame(last[["class", "source"]])
    drawn = table.reset_index().set_index(["class", "source"]).loc[order].reset_index()
    drawn["panel"] = drawn["class"] + " images of"
    drawn["name"] = source_names(drawn["source"])
    return interval_panels(
        drawn, value, label, rows="name", panels="panel", line=line, percent=percent
    )


def source_names(sources: pd.Series) -> pd.Series:
    """Return the names of sources as people read them, without what their folders need."""
    return sources.str.removeprefix("photosite_").str.replace("_", " ")
