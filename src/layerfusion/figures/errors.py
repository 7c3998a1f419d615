"""Figures of the analysis: operating points, calibration, errors by slice, a gallery of them."""

from collections.abc import Mapping
from textwrap import shorten
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import precision_recall_curve, roc_curve

from layerfusion.analysis.calibration import recalibrated, reliability
from layerfusion.analysis.claims import RUNS
from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.operating_points import paper_points
from layerfusion.data.manifest import CLASSES, Manifest
from layerfusion.figures.data import square_picture
from layerfusion.figures.style import COLOURS, RUN_STYLES, finish, say
from layerfusion.metrics.probability import decide, threshold_logit
from layerfusion.metrics.uncertainty import LEVEL

LONGEST_CAPTION = 18

# What an error of each class is called.
ERRORS = {"real": "false alarms", "synthetic": "misses"}


def operating_points(comparison: Comparison, on: str = "local") -> Figure:
    """Draw both runs' ROC curves with the points that their thresholds choose.

    The paper's own points, rebuilt from its tables, are crosses: another world's, for their
    direction.
    """
    figure, axes = plt.subplots(figsize=(5.2, 4.6), layout="constrained")
    theirs = paper_points().loc[on]
    for run in RUNS:
        draw_roc(axes, comparison, run, on)
        colour = RUN_STYLES[run]["color"]
        axes.plot(*theirs.loc[run], color=colour, marker="x", markersize=8, linestyle="")
    axes.axline((0, 0), (1, 1), color="0.7", linestyle=":", linewidth=1)
    axes.plot([], [], color="0.4", marker="x", linestyle="", label="the paper's runs")
    axes.set(xlabel="false-positive rate", ylabel="recall", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(frameon=False, loc="lower right")
    return finish(figure)


def draw_roc(axes: Axes, comparison: Comparison, run: str, on: str) -> None:
    """Draw one run's ROC curve and the point of its threshold."""
    table, _ = comparison.measures[run].images(on)
    labels, colour = table["label"].astype(int), RUN_STYLES[run]["color"]
    fpr, tpr, _ = roc_curve(labels, table["logit"])
    axes.plot(fpr, tpr, color=colour, linewidth=1.4, label=f"{run} run")
    called = decide(table["logit"], comparison.runs[run].record.threshold)
    point = [called[labels == label].mean() for label in (0, 1)]
    axes.plot(*point, color=colour, marker=RUN_STYLES[run]["marker"], markersize=8)


def f1_over_threshold(comparison: Comparison, on: str = "local") -> Figure:
    """Draw F1 over the threshold's logit for both runs, the chosen threshold and 0.5 marked."""
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    for run in RUNS:
        table, _ = comparison.measures[run].images(on)
        labels, colour = table["label"].astype(int), RUN_STYLES[run]["color"]
        precision, recall, thresholds = precision_recall_curve(labels, table["logit"])
        hits = precision[:-1] + recall[:-1]
        f1 = np.divide(2 * precision[:-1] * recall[:-1], hits, where=hits > 0, out=0 * hits)
        axes.plot(thresholds, f1, color=colour, label=f"{run} run")
        chosen = threshold_logit(comparison.runs[run].record.threshold)
        at = float(comparison("f1", run, on=on)[0])
        axes.plot(chosen, at, color=colour, marker=RUN_STYLES[run]["marker"], markersize=8)
    axes.axvline(0, color="0.5", linestyle=":", label="probability 0.5")
    axes.set(xlabel="threshold, as a logit", ylabel="F1")
    axes.legend(frameon=False)
    return finish(figure)


def calibration(comparison: Comparison, on: str = "local") -> Figure:
    """Draw how often images of like scores are synthetic: as the runs score, and recalibrated.

    A panel says so where there are too few images to recalibrate.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.8), sharey=True, layout="constrained")
    for run in RUNS:
        table, _ = comparison.measures[run].images(on)
        labels = table["label"].to_numpy(dtype=np.int64)
        scores = {
            "as scored": table["probability"].to_numpy(),
            "recalibrated (held out)": recalibrated(labels, table["logit"]),
        }
        for ax, (title, probability) in zip(axes, scores.items(), strict=True):
            ax.set(xlabel="mean score", title=title, xlim=(0, 1), ylim=(0, 1), aspect="equal")
            if not np.isnan(probability).any():
                _reliability_line(ax, run, reliability(labels, probability))
    for ax in axes:
        if not ax.lines:
            say(ax, "too few images")
        ax.axline((0, 0), (1, 1), color="0.7", linestyle=":", linewidth=1)
    axes[0].set_ylabel("share that is synthetic")
    axes[0].legend(frameon=False)
    return finish(figure)


def _reliability_line(ax: Axes, run: str, bins: pd.DataFrame) -> None:
    reach = [bins["synthetic"] - bins["low"], bins["high"] - bins["synthetic"]]
    style: dict[str, Any] = dict(RUN_STYLES[run])
    ax.errorbar(bins["probability"], bins["synthetic"], yerr=reach, label=run, **style)


def slices(errors: pd.DataFrame) -> Figure:
    """Draw the shares of `analysis.slices.error_slices`, a panel a class, a row a slice."""
    names = [name for name in CLASSES.values() if (errors["class"] == name).any()]
    rows = {
        name: errors.loc[errors["class"] == name, ["by", "value"]].drop_duplicates()
        for name in names
    }
    most = max(len(own) for own in rows.values())
    size = (4.6 * len(names), 0.9 + 0.3 * most)
    figure, axes = plt.subplots(1, len(names), figsize=size, layout="constrained", squeeze=False)
    for ax, name in zip(axes.flat, names, strict=True):
        _slice_panel(ax, errors[errors["class"] == name], rows[name])
        ax.set_title(f"{name}: {ERRORS[name]}", loc="left")
        ax.set_xlabel(f"share of the slice, {LEVEL:.0%} interval")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2,
                  frameon=False)  # fmt: skip
    return finish(figure)


def _slice_panel(ax: Axes, errors: pd.DataFrame, rows: pd.DataFrame) -> None:
    places = {tuple(row): -number for number, row in enumerate(rows.to_numpy())}
    for number, run in enumerate(RUNS):
        own = errors[errors["run"] == run]
        at = [
            places[row] + 0.15 - 0.3 * number for row in zip(own["by"], own["value"], strict=True)
        ]
        reach = [own["share"] - own["low"], own["high"] - own["share"]]
        style: dict[str, Any] = dict(RUN_STYLES[run])
        ax.errorbar(own["share"], at, xerr=reach, linestyle="", markersize=5, label=run, **style)
    names = [value if by in ("all", "format") else f"{by}: {value}" for by, value in places]
    ax.set_yticks(list(places.values()), [shorten(name, 34, placeholder="...") for name in names])
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(axis="y", color="0.93")
    ax.tick_params(axis="y", length=0)


def error_gallery(
    manifest: Manifest, predictions: pd.DataFrame, threshold: float, *, columns: int = 8
) -> Figure:
    """Show the surest errors of each class: photographs furthest above the threshold, and so on.

    A row without an error says so.

    Parameters
    ----------
    manifest
        Of the predicted images, for their files.
    predictions
        As `layerfusion.scoring.predictions.predict` returns them, with labels.
    threshold
        The probability from which an image is called synthetic.
    columns
        Images to a row. Below each: platform and generator, where known, and by how much its logit
        is beyond the threshold's.
    """
    figure, axes = plt.subplots(
        2, columns, figsize=(1.15 * columns, 3.4), dpi=110, layout="constrained", squeeze=False
    )
    called = decide(predictions["logit"], threshold)
    scored = predictions.assign(beyond=predictions["logit"] - threshold_logit(threshold))
    for row, (label, name) in zip(axes, CLASSES.items(), strict=True):
        wrong = scored[(scored["label"] == label) & (called == (label == 0))]
        wrong = wrong.sort_values("beyond", ascending=label == 1, kind="stable").head(columns)
        for ax in row:
            ax.set_axis_off()
        if wrong.empty:
            say(row[columns // 2], f"no {ERRORS[name]}")
        for ax, image in zip(row, wrong.to_dict("records"), strict=False):
            ax.imshow(square_picture(manifest.root / image["image_id"]))
            ax.set_title(caption(image), fontsize=6)
        row[0].text(
            -0.08, 0.5, f"{name}\n{ERRORS[name]}", transform=row[0].transAxes, rotation=90,
            ha="right", va="center", color=COLOURS[name], fontsize=8,
        )  # fmt: skip
    return finish(figure)


def caption(image: Mapping[Any, Any]) -> str:
    """Return what stands below an image: its platform and generator, and a logit, ``beyond``."""
    known = [image[name] for name in ("platform", "generator") if not pd.isna(image[name])]
    names = [shorten(str(name), LONGEST_CAPTION, placeholder="...") for name in known]
    return "\n".join([*names, f"{image['beyond']:+.2f}"])
