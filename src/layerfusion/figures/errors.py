"""Figures of errors: their shares by slice, and prediction flips between runs."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from layerfusion.figures.intervals import interval_panels
from layerfusion.figures.style import COLOURS
from layerfusion.metrics.uncertainty import LEVEL

# What an error of each class is called.
ERRORS = {"real": "false alarms", "synthetic": "misses"}


def slices(errors: pd.DataFrame) -> Figure:
    """Draw the shares of `analysis.slices.error_slices`, a panel a class, a row a slice."""
    plain = errors["by"].isin(["all", "format"])
    names = errors["value"].where(plain, errors["by"] + ": " + errors["value"])
    titles = errors["class"].astype(str) + ": " + errors["class"].astype(str).map(ERRORS)
    table = errors.assign(name=names, title=titles)
    table = pd.concat([table[table["class"] == name] for name in ERRORS])
    figure = interval_panels(table, "share", rows="name", panels="title", line={})
    for axes in figure.axes:
        axes.grid(axis="y", color="0.93")
    axes.set(xlim=(0, 1), xlabel=f"share of the slice, {LEVEL:.0%} interval")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    return figure


def prediction_flips(counted: pd.DataFrame, by: str = "platform") -> Figure:
    """Draw what was corrected to the right and what regressed to the left, a row a group of images.

    Parameters
    ----------
    counted
        As `layerfusion.metrics.flips.count_flips` returns it, divided by the column `by`.
    """
    names = counted[by].astype(str) + counted["images"].map(" ({:,})".format)
    table = counted.assign(name=names)
    black = {kind: {"color": "black", "marker": "o", "zorder": 3} for kind in COLOURS}
    figure = interval_panels(table, "net", rows="name", panels="class", by="class", styles=black)
    for axes, (kind, own) in zip(figure.axes, table.groupby("class", sort=False), strict=True):
        places, colour = np.arange(len(own)), COLOURS[str(kind)]
        axes.barh(places, own["corrected"] / own["images"], color=colour, alpha=0.8)
        axes.barh(places, -own["regressed"] / own["images"], color=colour, alpha=0.35)
    reach = max(map(abs, axes.get_xlim()))
    axes.set_xlim(-reach, reach)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(
        f"share of images: regressed (left), corrected (right); marks: net, {LEVEL:.0%} interval"
    )
    return figure
