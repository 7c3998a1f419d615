"""Figures of runs, from their records and predictions; nothing here runs a model."""

from collections.abc import Callable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from layerfusion.analysis.measures import RUNS
from layerfusion.metrics.calibration import recalibrated, reliability
from layerfusion.metrics.probability import probability, threshold_logit
from layerfusion.metrics.rates import COUNTS
from layerfusion.metrics.scored import ScoredImages
from layerfusion.pages.figures.style import COLOURS, RUN_STYLES, finish, legend_above
from layerfusion.paper.audit import all_synthetic_f1
from layerfusion.runs.record import RunRecord

# Of a run's images their probabilities, shape (images,), NaN where there are too few to fit them.
Probabilities = Callable[[ScoredImages], NDArray[np.float64]]

DIAGONAL: dict[str, Any] = {"color": "0.7", "linestyle": ":", "linewidth": 1}
TRIVIAL: dict[str, Any] = {"color": "0.6", "linestyle": "--", "linewidth": 1}  # baselines
RANKING = {"roc_auc": ("ROC AUC", "-"), "average_precision": ("average precision", "--")}

# Of a table of processors: what to call a column, and the value that needs no learning.
PANELS = {
    "first_training_loss": ("training loss, epoch 1", np.log(2)),
    "local roc_auc": ("ROC AUC", 0.5),
    "f1": ("F1", 2 / 3),
    "threshold": ("threshold", None),
}
PROCESSORS: dict[bool, dict[str, str]] = {
    False: {"label": "another processor", "marker": "o", "color": "0.15"},
    True: {"label": "broken on purpose", "marker": "x", "color": "0.5"},
}


def training_curves(records: Mapping[str, RunRecord]) -> Figure:
    """Draw loss, and validation ROC AUC and AP, of runs by name; the kept epoch is ringed."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for run, record in records.items():
        history, style = pd.DataFrame(record.history), RUN_STYLES[run]
        left.plot(history["epoch"], history["training_loss"], label=f"{run} run", **style)
        for column, (name, line) in RANKING.items():
            right.plot(history["epoch"], history[column], line, label=f"{name}, {run}", **style)
        kept = history[history["epoch"] == record.best_epoch]
        right.plot(
            kept["epoch"], kept["roc_auc"], marker="o", markersize=13, linestyle="",
            markerfacecolor="none", color=style["color"],
        )  # fmt: skip
    right.axhline(0.5, **TRIVIAL, label="ROC AUC of chance")
    left.set(xlabel="epoch", ylabel="training loss (binary cross-entropy)")
    right.set(xlabel="epoch (ringed: kept checkpoint)", ylabel="validation")
    longest = max(len(record.history) for record in records.values())
    for axes in (left, right):
        axes.set_xticks(range(1, longest + 1))
        axes.legend(frameon=False, fontsize="small")
    return finish(figure)


def block_weights(records: Mapping[str, RunRecord]) -> Figure:
    """Draw alpha of every block for runs by name, beside the equal weights 1/L of the start."""
    table = pd.DataFrame({f"{run} run": own.block_weights for run, own in records.items()})
    table.index += 1
    figure, axes = plt.subplots(figsize=(8, 2.8), layout="constrained")
    colours: list[Any] = [RUN_STYLES[run]["color"] for run in records]
    table.plot.bar(ax=axes, width=0.8, rot=0, color=colours, legend=False)
    axes.axhline(1 / len(table), **TRIVIAL, label="equal weights, 1/L")
    axes.set(xlabel="transformer block $l$", ylabel=r"weight $\alpha_l$")
    figure.legend(loc="outside upper right", ncols=3, frameon=False)
    return finish(figure)


def confusion(record: RunRecord) -> Figure:
    """Draw the confusion matrix at the calibrated threshold, with counts."""
    counts = [record.metrics["calibrated"][name] for name in COUNTS]
    matrix = pd.DataFrame(np.reshape(counts, (2, 2)), [*COLOURS], [*COLOURS])
    figure, axes = plt.subplots(figsize=(3.6, 3), layout="constrained")
    sns.heatmap(matrix, annot=True, fmt="d", cmap="Greys", cbar=False, square=True, ax=axes)
    axes.set(xlabel="predicted class", ylabel="true class")
    return finish(figure)


def shift(local: pd.DataFrame, official: pd.DataFrame, threshold: float) -> Figure:
    """Draw how logits of each class move from local images to official ones, with the threshold.

    Each table is as `layerfusion.scoring.predictions.predict_each` returns it, with labels.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharex=True, layout="constrained")
    for ax, (label, name) in zip(axes, enumerate(COLOURS), strict=True):
        for table, split, line in ((local, "local", "--"), (official, "official", "-")):
            logits = np.sort(table.loc[table["label"] == label, "logit"].to_numpy())
            share = np.arange(1, len(logits) + 1) / len(logits)
            known = split if len(logits) else f"{split}: no images"
            ax.step(logits, share, where="post", linestyle=line, color=COLOURS[name], label=known)
        ax.axvline(threshold_logit(threshold), color="0.5", linestyle=":")
        ax.set(xlabel="synthetic-image logit (dotted: threshold)", title=name)
        ax.legend(frameon=False)
    axes[0].set_ylabel("share of images at or below")
    return finish(figure)


def score_histogram(predictions: pd.DataFrame, threshold: float) -> Figure:
    """Draw the logits of real and synthetic images, with the threshold on both scales."""
    names = predictions["label"].map(dict(enumerate(COLOURS))).astype(str).rename(None)
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    sns.histplot(
        x=predictions["logit"], hue=names, hue_order=list(COLOURS), palette=COLOURS,
        element="step", bins=40, ax=axes,
    )  # fmt: skip
    at = threshold_logit(threshold)
    axes.axvline(at, color="black", linestyle="--")
    axes.set(xlabel="synthetic-image logit", ylabel="images")
    axes.set_title(
        f"dashed: threshold, logit {at:.2f}, probability {threshold:.3g}", fontsize="medium"
    )
    if legend := axes.get_legend():
        legend.set_title("")
    return finish(figure)


def roc_curves(scored: Mapping[str, ScoredImages], points: pd.DataFrame | None = None) -> Figure:
    """Draw both runs' ROC curves with the points that their thresholds choose.

    Parameters
    ----------
    scored
        The same images by run.
    points
        False-positive rate and recall of the paper's runs, by run: crosses, of other images, for
        their direction.
    """
    figure, axes = plt.subplots(figsize=(5.2, 4.6), layout="constrained")
    for run, own in scored.items():
        colour = RUN_STYLES[run]["color"]
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


def f1_over_threshold(scored: Mapping[str, ScoredImages]) -> Figure:
    """Draw F1 over the threshold's logit for runs by name, their thresholds and 0.5 marked."""
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    for run, own in scored.items():
        colour = RUN_STYLES[run]["color"]
        precision, recall, thresholds = precision_recall_curve(own.label, own.logits[0])
        hits = precision[:-1] + recall[:-1]
        f1 = np.divide(2 * precision[:-1] * recall[:-1], hits, where=hits > 0, out=0 * hits)
        axes.plot(thresholds, f1, color=colour, label=f"{run} run")
        chosen, at = threshold_logit(own.thresholds[0]), float(own.rates["f1"][0, 0])
        axes.plot(chosen, at, color=colour, marker=RUN_STYLES[run]["marker"], markersize=8)
    trivial = all_synthetic_f1(*np.bincount(next(iter(scored.values())).label, minlength=2))
    axes.axhline(trivial, **TRIVIAL, label="all predicted synthetic")
    axes.axvline(0, color="0.5", linestyle=":", label="probability 0.5")
    axes.set(xlabel="threshold, as a logit", ylabel="F1", ylim=(0, 1))
    axes.legend(frameon=False)
    return finish(figure)


def draw_thresholds(table: pd.DataFrame) -> Figure:
    """Draw thresholds (filled) with a line to half of their F1 (hollow), on a logarithmic axis.

    Parameters
    ----------
    table
        As `layerfusion.pages.figures.tables.calibration_table` returns it.
    """
    rows = {
        "the paper": ["paper", "half of the paper's F1"],
        "here, as scored": ["threshold", "half of F1"],
        "here, recalibrated": ["recalibrated threshold", "half of its F1"],
    }
    figure, axes = plt.subplots(figsize=(7, 2.4), layout="constrained")
    for apart, (run, own) in zip((-0.15, 0.15), table.iterrows(), strict=True):
        for place, pair in enumerate(rows.values()):
            style: dict[str, Any] = dict(RUN_STYLES[str(run)])
            axes.plot(own[pair], [place + apart] * 2, color=style["color"], linewidth=1)
            axes.plot(own[pair[0]], place + apart, **style, label="" if place else f"{run} run")
            axes.plot(own[pair[1]], place + apart, **style, markerfacecolor="white")
    axes.set(xscale="log", ylim=(2.5, -0.5), xlabel="threshold (filled) and half of F1 (hollow)")
    axes.set_yticks(range(len(rows)), rows)
    axes.axvline(0.5, **DIAGONAL)
    axes.legend(frameon=False, fontsize="small")
    return finish(figure)


def calibration(scored: Mapping[str, ScoredImages]) -> Figure:
    """Draw how often images of like scores are synthetic: as the runs score, and recalibrated."""
    ways: dict[str, Probabilities] = {
        "as scored": as_scored,
        "recalibrated (held out)": lambda own: recalibrated(own.label, own.logits[0]),
    }
    return reliability_panels(scored, ways)


def as_scored(own: ScoredImages) -> NDArray[np.float64]:
    """Return the probabilities of the first seed, shape (images,)."""
    return probability(own.logits[0])


def reliability_panels(
    scored: Mapping[str, ScoredImages], ways: Mapping[str, Probabilities]
) -> Figure:
    """Draw the share of synthetic images over their mean score, with intervals, a panel a way.

    A panel says so where there are too few images.
    """
    size = (2.9 * len(ways) + 1, 3.4)
    figure, grid = plt.subplots(1, len(ways), figsize=size, sharey=True, layout="constrained")
    for axes, (title, way) in zip(grid, ways.items(), strict=True):
        for run, own in scored.items():
            labels, scores = own.label, way(own)
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
            where: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
            axes.text(0.5, 0.5, "too few images", color="0.4", **where)
        axes.axline((0, 0), (1, 1), **DIAGONAL)
        axes.set(xlabel="mean score", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set_title(title, fontsize="small")
    grid[0].set_ylabel("share that is synthetic")
    for axes in [axes for axes in grid if axes.get_legend_handles_labels()[0]][:1]:
        axes.legend(frameon=False, fontsize="small")
    return finish(figure)


def draw_processors(table: pd.DataFrame) -> Figure:
    """Draw each variant's numbers as a mark, sound ones apart from broken ones.

    Dotted is what learning nothing gives on as many real images as synthetic ones.

    Parameters
    ----------
    table
        As `layerfusion.experiments.processors.measure_processors` returns it.
    """
    figure, axes = plt.subplots(1, len(PANELS), figsize=(9, 2.8), layout="constrained")
    for panel, (column, (name, trivial)) in zip(axes, PANELS.items(), strict=True):
        for broken, style in PROCESSORS.items():
            own = table[table["broken"] == broken]
            at = own["run"].map(RUNS.index) + (0.15 if broken else -0.15)
            panel.plot(at, own[column], linestyle="", **style)
        if trivial is not None:
            panel.axhline(trivial, **DIAGONAL)
        panel.set(xticks=range(len(RUNS)), xticklabels=RUNS, xlim=(-0.5, len(RUNS) - 0.5))
        panel.set_title(name, fontsize="medium")
    legend_above(figure, axes[0])
    return finish(figure)
