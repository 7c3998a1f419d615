"""Figures of degraded images: how both runs fare over the strength of a degradation."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.robustness import SHOWN, Sweep
from layerfusion.figures.intervals import draw_band
from layerfusion.figures.style import RUN_STYLES, finish
from layerfusion.metrics.uncertainty import LEVEL


def draw_curve(measured: pd.DataFrame, comparison: Comparison, sweep: Sweep) -> Figure:
    """Draw a `curve`, strength from left to right, the clean images' values as dashed lines."""
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(9, 3.2), layout="constrained")
    for ax, (metric, title) in zip(axes, SHOWN.items(), strict=True):
        for run, style in RUN_STYLES.items():
            part = measured[(measured["run"] == run) & (measured["metric"] == metric)]
            color, mark = style["color"], style["marker"]
            draw_band(ax, part, "strength", "estimate", color=color, marker=mark, label=run)
            clean = comparison(metric, run)[0]
            ax.axhline(clean, color=color, linestyle="--", linewidth=1)
        ax.axvline(sweep.paper, color="0.7", linestyle=":")
        ax.invert_xaxis()
        ax.set(xlabel=sweep.axis, title=title)
    axes[0].legend(frameon=False)
    figure.supxlabel(
        f"bands: {LEVEL:.0%} over other images; dashed: clean images; dotted: the paper's strength",
        fontsize="small",
    )
    return finish(figure)
