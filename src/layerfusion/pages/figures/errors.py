"""Errors in figures: their shares by group of images, and flips between runs."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.metrics.groups import EVERY
from layerfusion.metrics.uncertainty import LEVEL
from layerfusion.pages.figures.intervals import interval_panels
from layerfusion.pages.figures.style import COLOURS

# What an error of each class is called.
ERRORS: dict[Any, str] = {"real": "false positives", "synthetic": "false negatives"}


def clear_groups(errors: pd.DataFrame) -> pd.DataFrame:
    """Return the groups that err more often than chance allows, corrected for their number."""
    return errors[(errors["by"] != EVERY) & (errors["p_holm"] < 1 - LEVEL)]


def slices(errors: pd.DataFrame) -> Figure:
    """Draw the shares of `analysis.slices.error_slices`, a panel a class, a row a slice."""
    plain = errors["by"].isin(["all", "format"])
    names = errors["value"].where(plain, errors["by"] + ": " + errors["value"])
    titles = errors["class"] + ": " + errors["class"].map(ERRORS)
    table = errors.assign(name=names, title=titles).sort_values("class", kind="stable")
    label = f"share of the slice, {LEVEL:.0%} interval"
    figure = interval_panels(
        table, "share", label, rows="name", panels="title", line={}, percent=True
    )
    for axes in figure.axes:
        axes.grid(axis="y", color="0.93")
    axes.set_xlim(0, 1)
    return figure


def prediction_flips(counted: pd.DataFrame) -> Figure:
    """Draw what was corrected to the right and what regressed to the left, a row a platform.

    Parameters
    ----------
    counted
        As `layerfusion.metrics.flips.count_flips` returns it, divided by ``platform``.
    """
    table = counted.assign(name=counted["platform"] + counted["images"].map(" ({:,})".format))
    black = {kind: {"color": "black", "marker": "o", "zorder": 3} for kind in COLOURS}
    label = "share of images: regressed (left), corrected (right); marks: net, "
    label += f"{LEVEL:.0%} interval"
    figure = interval_panels(
        table, "net", label, rows="name", panels="class", by="class", styles=black, percent=True
    )
    for axes, (kind, own) in zip(figure.axes, table.groupby("class", sort=False), strict=True):
        places, colour = np.arange(len(own)), COLOURS[str(kind)]
        axes.barh(places, own["corrected"] / own["images"], color=colour, alpha=0.8)
        axes.barh(places, -own["regressed"] / own["images"], color=colour, alpha=0.35)
    reach = max(map(abs, axes.get_xlim()))
    axes.set_xlim(-reach, reach)
    return figure
