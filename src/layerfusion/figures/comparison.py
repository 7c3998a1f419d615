"""Figures of both runs, one over the other: what the open run does otherwise."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from layerfusion.analysis.claims import RUNS
from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.sides import NONE
from layerfusion.data.manifest import Manifest
from layerfusion.figures.data import square_picture
from layerfusion.figures.errors import caption, draw_roc
from layerfusion.figures.style import COLOURS, RUN_STYLES, finish
from layerfusion.metrics.uncertainty import LEVEL
from layerfusion.runs.record import RunRecord


def training_curves(records: Mapping[str, RunRecord]) -> Figure:
    """Draw training loss and validation ROC AUC of runs by name, the kept epoch of each ringed."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for run, record in records.items():
        history, style = pd.DataFrame(record.history), RUN_STYLES[run]
        left.plot(history["epoch"], history["training_loss"], label=f"{run} run", **style)
        right.plot(history["epoch"], history["roc_auc"], **style)
        kept = history[history["epoch"] == record.best_epoch]
        right.plot(
            kept["epoch"], kept["roc_auc"], marker="o", markersize=13, linestyle="",
            markerfacecolor="none", color=style["color"],
        )  # fmt: skip
    left.set(xlabel="epoch", ylabel="training loss (binary cross-entropy)")
    right.set(xlabel="epoch (ringed: kept checkpoint)", ylabel="validation ROC AUC")
    left.legend(frameon=False)
    longest = max(len(record.history) for record in records.values())
    for axes in (left, right):
        axes.set_xticks(range(1, longest + 1))
    return finish(figure)


def block_weights(records: Mapping[str, RunRecord]) -> Figure:
    """Draw the softmax weight of every block for runs by name, beside the 1/L of the start."""
    figure, axes = plt.subplots(figsize=(8, 2.8), layout="constrained")
    width = 0.8 / len(records)
    for number, (run, record) in enumerate(records.items()):
        alpha = np.array(record.block_weights)
        place = np.arange(1, len(alpha) + 1) + width * (number - (len(records) - 1) / 2)
        axes.bar(place, alpha, width, color=RUN_STYLES[run]["color"], label=f"{run} run")
    axes.axhline(1 / len(alpha), color="black", linewidth=1, linestyle="--", label="start: 1/L")
    axes.set(xlabel="transformer block $l$", ylabel=r"weight $\alpha_l$")
    axes.set_xticks(np.arange(1, len(alpha) + 1))
    figure.legend(loc="outside upper right", ncols=3, frameon=False)
    return finish(figure)


def roc_curves(comparison: Comparison, on: str = "local") -> Figure:
    """Draw both runs' ROC curves with the points that their thresholds choose."""
    figure, axes = plt.subplots(figsize=(5.2, 4.6), layout="constrained")
    for run in RUNS:
        draw_roc(axes, comparison, run, on)
    axes.axline((0, 0), (1, 1), color="0.7", linestyle=":", linewidth=1)
    axes.set(xlabel="false-positive rate", ylabel="recall", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(frameon=False, loc="lower right")
    return finish(figure)


def changed_sides(counted: pd.DataFrame, by: str = "platform") -> Figure:
    """Draw what was fixed to the right and what was broken to the left, a row a group of images.

    Parameters
    ----------
    counted
        As `layerfusion.analysis.sides.count_sides` returns it, divided by the column `by`.
    """
    names = [name for name in COLOURS if (counted["class"] == name).any()]
    most = max((counted["class"] == name).sum() for name in names)
    size = (4.4 * len(names), 0.9 + 0.3 * most)
    figure, axes = plt.subplots(1, len(names), figsize=size, layout="constrained", squeeze=False)
    for ax, name in zip(axes.flat, names, strict=True):
        own = counted[counted["class"] == name]
        _sides_panel(ax, own, [str(value) for value in own[by]], COLOURS[name])
        ax.set_title(name, loc="left")
    reach = max(abs(value) for ax in axes.flat for value in ax.get_xlim())
    for ax in axes.flat:
        ax.set_xlim(-reach, reach)
        ax.xaxis.set_major_formatter(PercentFormatter(1))
    figure.supxlabel(
        f"share of the images: broken (left), fixed (right); marks: net, {LEVEL:.0%} interval",
        fontsize="small",
    )
    return finish(figure)


def _sides_panel(ax: Axes, own: pd.DataFrame, names: list[str], colour: str) -> None:
    place = -np.arange(len(own))
    ax.barh(place, own["fixed"] / own["images"], color=colour, alpha=0.8)
    ax.barh(place, -own["broken"] / own["images"], color=colour, alpha=0.35)
    reach = [own["net"] - own["low"], own["high"] - own["net"]]
    style: dict[str, Any] = {"color": "black", "marker": "o", "markersize": 4, "linestyle": ""}
    ax.errorbar(own["net"], place, xerr=reach, **style)
    ax.axvline(0, color="0.5", linewidth=1)
    ax.set_yticks(place, [f"{n} ({i:,})" for n, i in zip(names, own["images"], strict=True)])
    ax.tick_params(axis="y", length=0)


def sides_gallery(manifest: Manifest, sides: pd.DataFrame, *, columns: int = 8) -> Figure:
    """Show the images that changed sides and moved furthest: fixed ones above, broken ones below.

    Parameters
    ----------
    manifest
        Of the images, for their files.
    sides
        As `layerfusion.analysis.sides.image_sides` returns it.
    columns
        Images to a row. Below each: class, platform, generator, and by how much its logit moved.
    """
    figure, axes = plt.subplots(
        2, columns, figsize=(1.15 * columns, 3.6), dpi=110, layout="constrained", squeeze=False
    )
    for row, side in zip(axes, ("fixed", "broken"), strict=True):
        own = sides[sides["side"] == side].rename(columns={"moved": "beyond"})
        own = own.replace({NONE: None})  # of what an image has not, nothing is said
        own = own.sort_values("beyond", ascending=side == "broken", kind="stable").head(columns)
        for ax in row:
            ax.set_axis_off()
        for ax, image in zip(row, own.to_dict("records"), strict=False):
            ax.imshow(square_picture(manifest.root / image["image_id"]))
            ax.set_title(f"{image['class']}\n{caption(image)}", fontsize=6)
        row[0].text(
            -0.08, 0.5, side, transform=row[0].transAxes, rotation=90, ha="right", va="center",
            fontsize=8,
        )  # fmt: skip
    return finish(figure)
