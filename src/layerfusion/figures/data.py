"""Figures of the files at hand: formats, sizes, compression, and the audit of shortcuts."""

from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from layerfusion.data.manifest import SPLITS, Manifest
from layerfusion.data.metadata import file_properties
from layerfusion.figures.intervals import interval_panels
from layerfusion.figures.style import COLOURS, finish
from layerfusion.metrics.classes import CLASS_NAMES, UNLABELLED
from layerfusion.metrics.uncertainty import LEVEL

# The classes on every figure here, told apart by line and marker too.
SHADES: dict[Any, Any] = COLOURS | {UNLABELLED: "0.35"}
LINES: dict[Any, Any] = dict(zip(CLASS_NAMES, ("-", "--", ":"), strict=True))
MARKERS: dict[Any, Any] = dict(zip(CLASS_NAMES, ("o", "x", "+"), strict=True))

# Beyond this ratio of largest to smallest value an axis is logarithmic.
WIDE = 20


def file_giveaways(manifest: Manifest) -> Figure:
    """Draw formats, shorter sides and bytes per pixel of each class, a row of panels a split.

    Where the curves of the two classes lie apart, a file's size or compression tells its class.
    """
    files = file_properties(manifest.rows)
    splits = [split for split in SPLITS if (files["split"] == split).any()]
    figure, grid = plt.subplots(
        len(splits), 3, figsize=(9, 0.6 + 1.8 * len(splits)), width_ratios=(0.7, 1, 1),
        layout="constrained", sharex="col", squeeze=False,
    )  # fmt: skip
    formats = sorted(files["format"].unique(), reverse=True)
    for split, panels in zip(splits, grid, strict=True):
        members = files[files["split"] == split]
        _formats(panels[0], members, formats)
        _name(panels[0], split)
        for panel, column in zip(panels[1:], ("shorter_side", "bytes_per_pixel"), strict=True):
            _curves(panel, members, column)
            _scale(panel, "x", files[column])
        panels[1].set_ylabel("images at or below")
        panels[2].tick_params(labelleft=False)
    labels = ("share of images", "shorter side (px)", "bytes per pixel of the file")
    for panel, label in zip(grid[-1], labels, strict=True):
        panel.set_xlabel(label)
    _legend(figure, files, {name: {"linestyle": line} for name, line in LINES.items()})
    return finish(figure)


def image_sizes(manifest: Manifest) -> Figure:
    """Draw width and height of the images, a panel a split; the larger a mark, the more of a size.

    Generators make images of few sizes: these stand out as large marks.
    """
    files = file_properties(manifest.rows)
    splits = [split for split in SPLITS if (files["split"] == split).any()]
    figure, grid = plt.subplots(
        1, len(splits), figsize=(3.1 * len(splits) + 0.4, 3.6), layout="constrained", sharex=True,
        sharey=True, squeeze=False,
    )  # fmt: skip
    sides = pd.concat([files["width"], files["height"]])
    limits = (0.92 * sides.min(), 1.08 * sides.max())
    for split, axes in zip(splits, grid.flat, strict=True):
        members = files[files["split"] == split]
        for name, own in members.groupby("class", observed=True):
            sizes = own.groupby(["width", "height"]).size().reset_index(name="images")
            hollow = {"facecolors": "none", "edgecolors": SHADES[name]}
            axes.scatter(
                sizes["width"], sizes["height"], s=12 + 400 * sizes["images"] / len(own), alpha=0.7,
                marker=MARKERS[name], **(hollow if MARKERS[name] == "o" else {"c": SHADES[name]}),
            )  # fmt: skip
        axes.axline((100, 100), (200, 200), color="0.8", linewidth=0.8, zorder=0)
        axes.set(xlabel="width (px)", aspect="equal", xlim=limits, ylim=limits)
        _name(axes, split)
        _scale(axes, "x", sides)
        _scale(axes, "y", sides)
    grid[0, 0].set_ylabel("height (px)")
    marks = {"linestyle": "", "markerfacecolor": "none"}
    _legend(figure, files, {name: marks | {"marker": mark} for name, mark in MARKERS.items()})
    return finish(figure)


def shortcut_audit(audit: pd.DataFrame) -> Figure:
    """Draw the ROC AUC of every shortcut with its interval, for each run's training images.

    Parameters
    ----------
    audit
        As `layerfusion.experiments.shortcuts.run_shortcuts` returns it.
    """
    names = audit["name"].str.replace("_", " ")
    table = audit.assign(name=names, panel="dotted: chance")
    figure = interval_panels(table, "roc_auc", rows="name", panels="panel", line=0.5)
    figure.axes[0].set_xlabel(f"ROC AUC on validation images, {LEVEL:.0%} interval over images")
    return figure


def _formats(axes: Axes, files: pd.DataFrame, formats: list[str]) -> None:
    """Draw the share of each format among each class."""
    shares = pd.crosstab(files["format"], files["class"].astype(str), normalize="columns")
    present = [name for name in reversed(CLASS_NAMES) if name in shares]  # the first on top
    shares = shares[present].reindex(formats, fill_value=0.0)
    shares.plot.barh(ax=axes, color=SHADES, width=0.65, legend=False, xlim=(0, 1), ylabel="")
    margin = 1.0 if len(formats) == 1 else 0.55  # a single bar as wide as its panel is no bar
    axes.set_ylim(-margin, len(formats) - 1 + margin)
    axes.xaxis.set_major_formatter(PercentFormatter(1))


def _curves(axes: Axes, files: pd.DataFrame, column: str) -> None:
    """Draw the share of each class's images at or below each value."""
    for name, own in files.groupby("class", observed=True):
        # Not Axes.ecdf: with equal values its `compress` ends below 1 (seen in matplotlib 3.11.2).
        values, images = np.unique(own[column], return_counts=True)
        shares = np.concatenate([[0.0], np.cumsum(images) / len(own)])
        axes.step(
            np.append(values[:1], values), shares, where="post", linewidth=1.6,
            color=SHADES[name], linestyle=LINES[name],
        )  # fmt: skip
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def _scale(axes: Axes, side: Literal["x", "y"], values: pd.Series) -> None:
    """Make an axis logarithmic where values differ by orders of magnitude."""
    if values.max() > WIDE * values.min():
        axes.set(**{f"{side}scale": "log"})
        axis = axes.xaxis if side == "x" else axes.yaxis
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _name(axes: Axes, split: str) -> None:
    axes.set_title(split, loc="left", fontweight="bold", fontsize="medium")


def _legend(figure: Figure, files: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    present = [name for name in CLASS_NAMES if (files["class"] == name).any()]
    keys = [Line2D([], [], color=SHADES[name], label=name, **styles[name]) for name in present]
    figure.legend(handles=keys, loc="outside upper right", ncols=3, frameon=False)
