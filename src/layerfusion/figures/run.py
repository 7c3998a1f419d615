"""Figures of a run, drawn from its record and predictions; nothing here runs a model."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from layerfusion.figures.style import COLOURS, finish
from layerfusion.metrics.probability import threshold_logit
from layerfusion.runs.record import RunRecord


def training_curves(record: RunRecord) -> Figure:
    """Draw training loss and validation ROC AUC and AP over the epochs, the best one marked."""
    history = pd.DataFrame(record.history)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    left.plot(history["epoch"], history["training_loss"], marker="o", color="0.25")
    left.set(xlabel="epoch", ylabel="training loss (binary cross-entropy)")
    for column, name in {"roc_auc": "ROC AUC", "average_precision": "average precision"}.items():
        right.plot(history["epoch"], history[column], marker="o", label=name)
    right.axvline(record.best_epoch, color="0.7", linestyle=":", label="kept checkpoint")
    right.set(xlabel="epoch", ylabel="validation")
    right.legend(frameon=False)
    for axes in (left, right):
        axes.set_xticks(history["epoch"])
    return finish(figure)


def block_weights(record: RunRecord) -> Figure:
    """Draw the softmax weight of every block, beside the 1/L that each starts with."""
    alpha = record.block_weights
    figure, axes = plt.subplots(figsize=(8, 2.8), layout="constrained")
    axes.bar(np.arange(1, len(alpha) + 1), alpha, color="0.45")
    axes.axhline(1 / len(alpha), color="black", linewidth=1, linestyle="--", label="start: 1/L")
    axes.set(xlabel="transformer block $l$", ylabel=r"weight $\alpha_l$")
    axes.set_xticks(np.arange(1, len(alpha) + 1))
    axes.legend(frameon=False, loc="upper left")
    return finish(figure)


def confusion(record: RunRecord) -> Figure:
    """Draw the confusion matrix at the calibrated threshold, with counts."""
    counts = record.metrics["calibrated"]
    matrix = pd.DataFrame(
        [
            [counts["true_negatives"], counts["false_positives"]],
            [counts["false_negatives"], counts["true_positives"]],
        ],
        index=["real", "synthetic"],
        columns=["real", "synthetic"],
    )
    figure, axes = plt.subplots(figsize=(3.6, 3), layout="constrained")
    sns.heatmap(matrix, annot=True, fmt="d", cmap="Greys", cbar=False, square=True, ax=axes)
    axes.set(xlabel="called", ylabel="is")
    return finish(figure)


def shift(local: pd.DataFrame, official: pd.DataFrame, threshold: float) -> Figure:
    """Draw how logits of each class move from local images to official ones, with the threshold.

    Each table is as `layerfusion.scoring.predictions.predict` returns it, with labels.
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
    names = predictions["label"].map({0: "real", 1: "synthetic"}).astype(str)
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    sns.histplot(
        x=predictions["logit"],
        hue=names,
        hue_order=list(COLOURS),
        palette=COLOURS,
        element="step",
        bins=40,
        ax=axes,
    )
    axes.axvline(threshold_logit(threshold), color="black", linestyle="--")
    axes.set(xlabel="synthetic-image logit (dashed: threshold)", ylabel="images")
    if legend := axes.get_legend():
        legend.set_title("")
    return finish(figure)
