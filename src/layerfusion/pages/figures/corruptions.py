"""Corruptions and what they cost: names, picture strips, curves over strengths, tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from PIL import Image

from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.corruptions import CLEAN
from layerfusion.analysis.robustness import SHOWN, Sweep
from layerfusion.experiments.corruptions import PLATFORMS
from layerfusion.images.degradations import degradation, evaluated
from layerfusion.images.transforms import EvaluationTransform
from layerfusion.metrics.uncertainty import LEVEL
from layerfusion.model.detector import Detector
from layerfusion.pages.figures.formatting import interval_cells
from layerfusion.pages.figures.intervals import draw_band, draw_bars
from layerfusion.pages.figures.style import COLOURS, RUN_STYLES, finish, legend_above
from layerfusion.paper.audit import all_synthetic_f1

# What a strength counts, and whether less of it is more of the condition.
AXES = {
    "jpeg": ("JPEG, quality", True),
    "webp": ("WebP, quality", True),
    "avif": ("AVIF, quality", True),
    "shrink": ("smaller copy, % of each side", True),
    "crop": ("centre, % of each side", True),
    "blur": ("blur, tenths of a pixel", False),
    "noise": ("noise, levels of 256", False),
    "screenshot": ("screenshot, % of the size", True),
}
NAMES = {
    "jpeg": "JPEG {}",
    "webp": "WebP {}",
    "avif": "AVIF {}",
    "shrink": "copy at {} %",
    "crop": "centre {} %",
    "blur": "blur {}/10 px",
    "noise": "noise {}/256",
    "screenshot": "screenshot at {} %",
    "bound": "at most {} px",
}
MARKERS = {True: ("o", "in training"), False: ("D", "not in training")}
GREY: dict[str, Any] = {"color": "0.6", "linewidth": 1, "linestyle": ":"}

# Kinds that the augmentations of the profile `photographs` draw, some of them at other strengths. A
# platform's bound acts on no image here.
IN_TRAINING = ("jpeg", "shrink", "bound")
AMPLIFIED = 10  # times, of the differences in `strips`
LARGEST = 256  # px, of what `strips` shows of an image


def title(condition: str) -> str:
    """Return what people call a condition: ``JPEG 85, then WebP 75`` for ``jpeg-85+webp-75``."""
    if condition in PLATFORMS.values():
        platform = next(name for name, own in PLATFORMS.items() if own == condition)
        return f"{platform} ({title(condition.rpartition('+')[2])})"
    steps = [step.partition("-") for step in condition.split("+")]
    return ", then ".join(NAMES.get(kind, kind).format(strength) for kind, _, strength in steps)


def in_training(condition: str) -> bool:
    """Say whether training had everything that a condition does, one after the other."""
    return {step.partition("-")[0] for step in condition.split("+")} <= {*IN_TRAINING, CLEAN}


def by_training(table: pd.DataFrame) -> pd.DataFrame:
    """Return what conditions cost that training had, and those that it had not.

    Returns
    -------
    DataFrame
        Two rows: ``conditions``, how many; ``change of ROC AUC`` from clean images, mean; ``highest
        FPR`` and ``lowest recall`` with the condition of each.
    """
    rows = table.drop(CLEAN)
    found = {}
    for had, own in rows.groupby([in_training(str(name)) for name in rows.index]):
        alarms, misses = str(own["fpr"].idxmax()), str(own["recall"].idxmin())
        found[MARKERS[bool(had)][1]] = {
            "conditions": len(own),
            "change of ROC AUC": own["difference"].mean(),
            "highest FPR": f"{own['fpr'].max():.0%} ({title(alarms)})",
            "lowest recall": f"{own['recall'].min():.0%} ({title(misses)})",
        }
    return pd.DataFrame.from_dict(found, orient="index").sort_index()


def strips(image: Image.Image, detector: Detector, degradations: Mapping[str, str]) -> Figure:
    """Draw an image, its degraded version and their difference, a row for each degradation.

    The central square is shown, of `LARGEST` px at most. Differences are amplified about a medium
    grey; an image whose size changes is scaled back for them.

    Parameters
    ----------
    image
        Upright, RGB.
    degradations
        Names as `layerfusion.images.degradations.degradation` takes them, by what to call them.
    """
    figure, grid = plt.subplots(
        len(degradations), 3, figsize=(6.4, 2.4 * len(degradations)), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    before, logit = np.asarray(image), _logit(image, None, detector)
    for row, (name, condition) in zip(grid, degradations.items(), strict=True):
        degraded = degradation(condition)(image)
        after = np.asarray(degraded.resize(image.size, Image.Resampling.BICUBIC))
        difference = np.clip(128 + AMPLIFIED * (after.astype(float) - before), 0, 255)
        _picture(row[0], before, f"original: logit {logit:+.2f}")
        _picture(row[1], after, f"{name}: logit {_logit(image, condition, detector):+.2f}")
        _picture(row[2], difference.astype(np.uint8), f"difference x {AMPLIFIED}")
    return finish(figure)


def _logit(image: Image.Image, condition: str | None, detector: Detector) -> float:
    """Return the detector's logit of an image that is degraded first."""
    transform = EvaluationTransform(detector.image_settings)
    change = degradation(condition) if condition else None
    with torch.inference_mode():
        return float(detector(evaluated(transform, np.asarray(image), change)[None]))


def _picture(axes: Axes, pixels: NDArray[np.uint8], text: str) -> None:
    height, width = pixels.shape[:2]
    side = min(height, width, LARGEST)
    top, left = (height - side) // 2, (width - side) // 2
    axes.imshow(pixels[top : top + side, left : left + side], interpolation="nearest")
    axes.set_title(text, fontsize="small")
    axes.set_axis_off()


def draw_shifts(shifts: pd.DataFrame) -> Figure:
    """Draw `analysis.corruptions.logit_shifts`, a row a condition, the largest rise on top."""
    mean = shifts.groupby("condition")["shift"].mean().sort_values(ascending=False)
    places = {name: place for place, name in enumerate(mean.index)}
    figure, axes = plt.subplots(figsize=(7, 0.21 * len(places) + 1.2), layout="constrained")
    had = shifts["condition"].map(in_training)
    for kind, colour in COLOURS.items():
        for trained, (marker, text) in MARKERS.items():
            own = shifts[(shifts["class"] == kind) & (had == trained)]
            face = colour if trained else "white"
            style = {"color": colour, "marker": marker, "markerfacecolor": face}
            at = own["condition"].map(places) + (0.15 if kind == "real" else -0.15)
            draw_bars(axes, own, "shift", at, style | {"label": f"{kind}, {text}"})
    axes.axvline(0, **GREY)
    axes.set_yticks(range(len(places)), map(title, places), fontsize="small")
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.set_xlabel("change of the logit: median and quartiles of the images")
    legend_above(figure, axes)
    return finish(figure)


def draw_corruptions(table: pd.DataFrame, curves: Mapping[str, Sequence[int]]) -> Figure:
    """Draw ROC AUC, recall and FPR over each kind's strength, a panel a kind.

    Clean images are dashed lines, chance a dotted one; strength grows from left to right.
    """
    lines = {
        ("roc_auc", "ROC AUC"): "0.2",
        ("recall", "recall"): COLOURS["synthetic"],
        ("fpr", "FPR"): COLOURS["real"],
    }
    figure, axes = plt.subplots(4, 2, figsize=(7, 9), sharey=True, layout="constrained")
    for ax, (kind, strengths) in zip(axes.flat, curves.items(), strict=True):
        part = table.loc[[f"{kind}-{one}" for one in strengths]].assign(strength=strengths)
        label, falling = AXES[kind]
        for (column, name), color in lines.items():
            draw_band(ax, part, "strength", column, color=color, marker="o", label=name)
            ax.axhline(table.loc[CLEAN, column], color=color, linestyle="--", linewidth=1)
        ax.axhline(0.5, **GREY)
        if falling:
            ax.invert_xaxis()
        ax.set(xlabel=label, ylim=(0, 1))
    legend_above(figure, axes.flat[0])
    text = f"bands: {LEVEL:.0%} over other sources; dashed: clean; dotted: chance (ROC AUC)"
    figure.supxlabel(text, fontsize="small")
    return finish(figure)


def draw_curve(measured: pd.DataFrame, comparison: Comparison, sweep: Sweep) -> Figure:
    """Draw `analysis.robustness.curve`, strength from left to right; clean images are dashed.

    Grey lines are chance (ROC AUC) and the F1 of predicting every image synthetic.
    """
    figure, grid = plt.subplots(2, 2, figsize=(7, 5), sharey=True, layout="constrained")
    label = next(iter(comparison.scored["local"].values())).label
    trivial = {"roc_auc": 0.5, "f1": all_synthetic_f1(*np.bincount(label, minlength=2))}
    for ax, (metric, name) in zip(grid.flat, SHOWN.items(), strict=True):
        for run, style in RUN_STYLES.items():
            part = measured[(measured["run"] == run) & (measured["metric"] == metric)]
            draw_band(ax, part, "strength", "estimate", **style, label=run)
            clean = comparison(metric, run)[0]
            ax.axhline(clean, color=style["color"], linestyle="--", linewidth=1)
        if metric in trivial:
            ax.axhline(trivial[metric], color="0.6", linewidth=1)
        ax.axvline(sweep.paper, **GREY)
        ax.invert_xaxis()
        ax.set(xlabel=sweep.axis, title=name, ylim=(0, 1))
    legend_above(figure, grid.flat[0])
    figure.supxlabel(
        f"bands: {LEVEL:.0%} over other images; dashed: clean images; dotted: the paper's "
        "strength;\ngrey: chance (ROC AUC), every image predicted synthetic (F1)",
        fontsize="small",
    )
    return finish(figure)


def draw_conditions(table: pd.DataFrame, conditions: Sequence[str]) -> Figure:
    """Draw the change of ROC AUC, recall and FPR under some conditions, a row each."""
    rows = table.loc[[CLEAN, *conditions]]
    lines = {
        "difference": ("change of ROC AUC", "0.2", (-0.2, 0.2)),
        "recall": ("recall", COLOURS["synthetic"], (0, 1)),
        "fpr": ("FPR", COLOURS["real"], (0, 1)),
    }
    size = (8, 0.3 * len(rows) + 0.9)
    figure, grid = plt.subplots(1, 3, figsize=size, sharey=True, layout="constrained")
    places = pd.Series(range(len(rows)), rows.index)
    for axes, (column, (name, colour, limits)) in zip(grid, lines.items(), strict=True):
        draw_bars(axes, rows, column, places, {"color": colour, "marker": "o"})
        axes.axvline(rows.loc[CLEAN, column], color=colour, linestyle="--", linewidth=1)
        axes.set(xlabel=name, xlim=limits)
    for axes in grid[1:]:
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    grid[0].set_yticks(places, map(title, rows.index), fontsize="small")
    grid[0].set_ylim(len(rows) - 0.4, -0.6)
    return finish(figure)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of corruptions as a page has room for it, conditions named for people."""
    columns = {
        "ROC AUC": ("roc_auc", ".3f"),
        "change": ("difference", "+.3f"),
        "recall": ("recall", ".0%"),
        "FPR": ("fpr", ".0%"),
    }
    cells = {name: interval_cells(table, *column) for name, column in columns.items()}
    return pd.DataFrame(cells, index=[title(str(name)) for name in table.index])
