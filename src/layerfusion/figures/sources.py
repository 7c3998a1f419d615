"""ROC AUC by source, both runs beside each other, drawn from their tables."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerfusion.data.manifest import CLASSES
from layerfusion.figures.style import RUN_STYLES, finish
from layerfusion.metrics.uncertainty import LEVEL

SHIFT = 0.16  # of a run's marks from the middle of a source's line, so that bars do not cover bars


def draw_sources(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw every source's ROC AUC against all images of the other class, a panel a class.

    Parameters
    ----------
    tables
        By run: as `layerfusion.analysis.sources.source_table` returns them. Sources are in the
        order of the last run, its worst below.
    """
    last = list(tables.values())[-1]
    names = {c: last.loc[last["class"] == c, "source"].tolist() for c in CLASSES.values()}
    heights = [max(len(own), 1) for own in names.values()]
    figure, panels = plt.subplots(
        len(names), 1, sharex=True, layout="constrained", height_ratios=heights,
        figsize=(8, 0.26 * sum(heights) + 1.4), squeeze=False,
    )  # fmt: skip
    for axes, (kind, own) in zip(panels.flat, names.items(), strict=True):
        for shift, (run, table) in zip((-SHIFT, SHIFT), tables.items(), strict=False):
            _draw(axes, table[table["class"] == kind].set_index("source"), own, run, shift)
        axes.set_yticks(np.arange(len(own)), own, fontsize="small")
        axes.set_ylim(-0.6, len(own) - 0.4)
        axes.set_title(f"{kind} images of", fontsize="medium", loc="left")
        axes.axvline(0.5, color="0.6", linewidth=1, linestyle=":")
    panels.flat[-1].set_xlabel(f"ROC AUC against all images of the other class; bars: {LEVEL:.0%}")
    lines = panels.flat[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside upper right", ncols=2, frameon=False, fontsize="small")
    return finish(figure)


def _draw(axes: Axes, table: pd.DataFrame, names: list[str], run: str, shift: float) -> None:
    own = table.reindex(names)
    reach = [own["estimate"] - own["low"], own["high"] - own["estimate"]]
    places = np.arange(len(names)) + shift
    style = RUN_STYLES[run] | {"linestyle": "none", "markersize": 4}
    axes.errorbar(own["estimate"], places, xerr=reach, label=run, **style)  # type: ignore[arg-type]
