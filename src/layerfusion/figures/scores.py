"""Figures of scores: ROC curves, F1 over the threshold, reliability."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from layerfusion.analysis.measures import RUNS
from layerfusion.figures.style import RUN_STYLES, finish, say
from layerfusion.metrics.calibration import recalibrated, reliability
from layerfusion.metrics.probability import probability, threshold_logit

if TYPE_CHECKING:  # it loads torch, which takes seconds
    from layerfusion.analysis.comparison import Comparison

LabelsAndScores = tuple[NDArray[np.int64], NDArray[np.float64]]
DIAGONAL: dict[str, Any] = {"color": "0.7", "linestyle": ":", "linewidth": 1}


def roc_curves(
    comparison: "Comparison", on: str = "local", *, points: pd.DataFrame | None = None
) -> Figure:
    """Draw both runs' ROC curves with the points that their thresholds choose.

    Parameters
    ----------
    points
        False-positive rate and recall of the paper's runs, by run: crosses, of other images, for
        their direction.
    """
    figure, axes = plt.subplots(figsize=(5.2, 4.6), layout="constrained")
    for run in RUNS:
        own, colour = comparison.scored[on][run], RUN_STYLES[run]["color"]
        fpr, tpr, _ = roc_curve(own.label, own.logits[0])
        axes.plot(fpr, tpr, color=colour, linewidth=1.4, label=f"{run} run")
        point = [own.predicted[0, own.label == label].mean() for label in (0, 1)]
        axes.plot(*point, color=colour, marker=RUN_STYLES[run]["marker"], markersize=8)
        if points is not None:
            axes.plot(*points.loc[run], color=colour, marker="x", markersize=8, linestyle="")
    axes.axline((0, 0), (1, 1), **DIAGONAL)
    if points is not None:
        axes.plot([], [], color="0.4", marker="x", linestyle="", label="the paper's runs")
    axes.set(xlabel="false-positive rate", ylabel="recall", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(frameon=False, loc="lower right")
    return finish(figure)


def f1_over_threshold(comparison: "Comparison", on: str = "local") -> Figure:
    """Draw F1 over the threshold's logit for both runs, the chosen threshold and 0.5 marked."""
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    for run in RUNS:
        own, colour = comparison.scored[on][run], RUN_STYLES[run]["color"]
        precision, recall, thresholds = precision_recall_curve(own.label, own.logits[0])
        hits = precision[:-1] + recall[:-1]
        f1 = np.divide(2 * precision[:-1] * recall[:-1], hits, where=hits > 0, out=0 * hits)
        axes.plot(thresholds, f1, color=colour, label=f"{run} run")
        chosen, at = threshold_logit(own.thresholds[0]), float(own.rates["f1"][0, 0])
        axes.plot(chosen, at, color=colour, marker=RUN_STYLES[run]["marker"], markersize=8)
    axes.axvline(0, color="0.5", linestyle=":", label="probability 0.5")
    axes.set(xlabel="threshold, as a logit", ylabel="F1")
    axes.legend(frameon=False)
    return finish(figure)


def calibration(comparison: "Comparison", on: str = "local") -> Figure:
    """Draw how often images of like scores are synthetic: as the runs score, and recalibrated.

    A panel says so where there are too few images to recalibrate.
    """
    scored, held_out = {}, {}
    for run in RUNS:
        own = comparison.scored[on][run]
        scored[run] = (own.label, probability(own.logits[0]))
        held_out[run] = (own.label, recalibrated(own.label, own.logits[0]))
    return reliability_panels({"as scored": scored, "recalibrated (held out)": held_out})


def reliability_panels(panels: Mapping[str, Mapping[str, LabelsAndScores]]) -> Figure:
    """Draw the share of synthetic images over their mean score, with intervals.

    Parameters
    ----------
    panels
        By title and run: labels, shape (images,), and probabilities, of which NaN are not drawn.
    """
    count = len(panels)
    size = (2.9 * count + 1, 3.4)
    figure, grid = plt.subplots(1, count, figsize=size, sharey=True, layout="constrained")
    for axes, (title, runs) in zip(grid, panels.items(), strict=True):
        for run, (labels, scores) in runs.items():
            if np.isnan(scores).any():
                continue
            bins = reliability(labels, scores)
            style: dict[str, Any] = dict(RUN_STYLES[run])
            reach = [bins["synthetic"] - bins["low"], bins["high"] - bins["synthetic"]]
            axes.errorbar(
                bins["probability"], bins["synthetic"], yerr=reach, label=run, markersize=4,
                linewidth=1, **style,
            )  # fmt: skip
        if not axes.lines:
            say(axes, "too few images")
        axes.axline((0, 0), (1, 1), **DIAGONAL)
        axes.set(xlabel="mean score", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set_title(title, fontsize="small")
    grid[0].set_ylabel("share that is synthetic")
    drawn = [axes for axes in grid if axes.get_legend_handles_labels()[0]]
    for axes in drawn[:1]:
        axes.legend(frameon=False, fontsize="small")
    return finish(figure)
