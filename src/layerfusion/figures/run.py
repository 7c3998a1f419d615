"""Figures of runs, from their records and predictions; nothing here runs a model."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from layerfusion.figures.style import COLOURS, RUN_STYLES, finish
from layerfusion.metrics.probability import threshold_logit
from layerfusion.runs.record import RunRecord

RANKING = {"roc_auc": ("ROC AUC", "-"), "average_precision": ("average precision", "--")}


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
    left.set(xlabel="epoch", ylabel="training loss (binary cross-entropy)")
    right.set(xlabel="epoch (ringed: kept checkpoint)", ylabel="validation")
    longest = max(len(record.history) for record in records.values())
    for axes in (left, right):
        axes.set_xticks(range(1, longest + 1))
        axes.legend(frameon=False, fontsize="small")
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


def confusion(record: RunRecord) -> Figure:
    """Draw the confusion matrix at the calibrated threshold, with counts."""
    counts = record.metrics["calibrated"]
    names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    matrix = pd.DataFrame(
        np.reshape([counts[name] for name in names], (2, 2)), list(COLOURS), list(COLOURS)
    )
    figure, axes = plt.subplots(figsize=(3.6, 3), layout="constrained")
    sns.heatmap(matrix, annot=True, fmt="d", cmap="Greys", cbar=False, square=True, ax=axes)
    axes.set(xlabel="predicted", ylabel="is")
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
    """Draw the logits of real and synthetic images, with the threshold on the same axis."""
    names = predictions["label"].map(dict(enumerate(COLOURS))).astype(str).rename(None)
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    sns.histplot(
        x=predictions["logit"], hue=names, hue_order=list(COLOURS), palette=COLOURS,
        element="step", bins=40, ax=axes,
    )  # fmt: skip
    axes.axvline(threshold_logit(threshold), color="black", linestyle="--")
    axes.set(xlabel="synthetic-image logit (dashed: threshold)", ylabel="images")
    if legend := axes.get_legend():
        legend.set_title("")
    return finish(figure)
