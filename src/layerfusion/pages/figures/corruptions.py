"""Corruptions and what they cost: a sentence, curves over their strengths, a table."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.corruptions import CLEAN
from layerfusion.analysis.robustness import SHOWN, Sweep
from layerfusion.experiments.record import FinishedStudy
from layerfusion.metrics.uncertainty import LEVEL
from layerfusion.pages.figures.formatting import interval_cells, with_interval
from layerfusion.pages.figures.intervals import draw_band
from layerfusion.pages.figures.style import COLOURS, RUN_STYLES, finish, legend_above

# What a strength counts, and whether less of it is more of the condition.
AXES = {
    "jpeg": ("JPEG, quality", True),
    "webp": ("WebP, quality", True),
    "avif": ("AVIF, quality", True),
    "shrink": ("smaller copy, % of each side", True),
    "crop": ("centre, % of each side", True),
    "blur": ("blur, px / 10", False),
    "noise": ("noise, levels of 256", False),
    "screenshot": ("drawn on a screen at %", True),
}


# Kinds that the augmentations of the profile `photographs` draw, some of them at other strengths. A
# platform's bound acts on no image here.
IN_TRAINING = ("jpeg", "shrink", "bound")


def in_a_sentence(table: pd.DataFrame) -> str:
    """Return what the conditions cost, as Markdown.

    Parameters
    ----------
    table
        As `layerfusion.analysis.corruptions.corruption_table` returns it.
    """
    clean, rows = table.loc[CLEAN], table.drop(CLEAN)
    clear = int(((rows["roc_auc_p_holm"] < 1 - LEVEL) & (rows["difference"] < 0)).sum())
    worst, finds = rows["difference"].idxmin(), rows["recall"].idxmin()
    alarms = rows["fpr"].idxmax()
    loss = with_interval(rows.to_dict("index")[worst], "difference", "+.3f")
    changed = {
        rate: ", ".join(f"`{name}`" for name in rows.index[rows[f"{rate}_p_holm"] < 1 - LEVEL])
        for rate in ("fpr", "recall")
    }
    return (
        f"**Of {len(rows)} conditions {clear or 'none'} can be shown to cost ROC AUC** "
        f"(corrected for their number), which is {clean['roc_auc']:.3f} on clean images; so few "
        f"images do not rule out losses of up to {-rows['difference_low'].min():.3f}, and the "
        f"largest that was measured is {loss} under `{worst}`. **The threshold is another "
        f"matter**: at that of clean images, the false-positive rate goes from "
        f"{clean['fpr']:.0%} to "
        f"{rows['fpr'].max():.0%} under `{alarms}`, recall from "
        f"{clean['recall']:.0%} to {rows['recall'].min():.0%} under `{finds}`, the most "
        "extreme of all conditions. Corrected for the number of tests, "
        f"the false-positive rate can be shown to change under {changed['fpr'] or 'none of them'}, "
        f"recall under {changed['recall'] or 'none of them'}."
    )


def by_training(table: pd.DataFrame) -> pd.DataFrame:
    """Return what conditions cost that training had, and those that it had not.

    Returns
    -------
    DataFrame
        Two rows: ``conditions``, how many; ``difference`` of ROC AUC from clean images, mean;
        ``highest FPR`` and ``lowest recall`` with the condition of each.
    """
    rows = table.drop(CLEAN)
    # Chains of nothing else count as had: training draws both, one after the other.
    had = [set(_kinds(name)) <= set(IN_TRAINING) for name in rows.index]
    found = {}
    for title, own in rows.groupby(had):
        alarms, misses = own["fpr"].idxmax(), own["recall"].idxmin()
        found["in training" if title else "not in training"] = {
            "conditions": len(own),
            "difference": own["difference"].mean(),
            "highest FPR": f"{own['fpr'].max():.0%} ({alarms})",
            "lowest recall": f"{own['recall'].min():.0%} ({misses})",
        }
    return pd.DataFrame.from_dict(found, orient="index").sort_index()


def _kinds(name: str) -> list[str]:
    return [part.partition("-")[0] for part in name.split("+")]


def what_was_measured(study: FinishedStudy) -> str:
    """Return which images were scored with what, as Markdown."""
    record, longest = study.record, int(study.predictions[["width", "height"]].to_numpy().max())
    each, threshold = record.data["per_class"], record.cells[0].threshold
    return (
        f"{each} photographs and {each} generated images, drawn from the "
        f"validation images of the profile `{record.profile}`, which chose the detector's "
        f"threshold ({threshold:.4f}); {len(record.conditions)} conditions; by "
        f"`{record.command}`, {record.date}. The longest side of all is {longest} px."
    )


def draw_corruptions(table: pd.DataFrame, curves: Mapping[str, Sequence[int]]) -> Figure:
    """Draw ROC AUC, recall and FPR over each kind's strength, a panel a kind.

    Clean images are dashed lines; strength grows from left to right.
    """
    lines = {
        ("roc_auc", "ROC AUC"): "0.2",
        ("recall", "recall"): COLOURS["synthetic"],
        ("fpr", "FPR"): COLOURS["real"],
    }
    figure, axes = plt.subplots(2, 4, figsize=(10, 5), sharey=True, layout="constrained")
    for ax, (kind, strengths) in zip(axes.flat, curves.items(), strict=True):
        part = table.loc[[f"{kind}-{one}" for one in strengths]].assign(strength=strengths)
        label, falling = AXES[kind]
        for (column, name), color in lines.items():
            draw_band(ax, part, "strength", column, color=color, marker="o", label=name)
            ax.axhline(table.loc[CLEAN, column], color=color, linestyle="--", linewidth=1)
        if falling:
            ax.invert_xaxis()
        ax.set(xlabel=label, ylim=(0, 1))
    legend_above(figure, axes.flat[0])
    figure.supxlabel(f"bands: {LEVEL:.0%} over other sources; dashed: clean", fontsize="small")
    return finish(figure)


def draw_curve(measured: pd.DataFrame, comparison: Comparison, sweep: Sweep) -> Figure:
    """Draw `analysis.robustness.curve`, strength from left to right; clean images are dashed."""
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(9, 3.2), layout="constrained")
    for ax, (metric, title) in zip(axes, SHOWN.items(), strict=True):
        for run, style in RUN_STYLES.items():
            part = measured[(measured["run"] == run) & (measured["metric"] == metric)]
            draw_band(ax, part, "strength", "estimate", **style, label=run)
            clean = comparison(metric, run)[0]
            ax.axhline(clean, color=style["color"], linestyle="--", linewidth=1)
        ax.axvline(sweep.paper, color="0.7", linestyle=":")
        ax.invert_xaxis()
        ax.set(xlabel=sweep.axis, title=title)
    axes[0].legend(frameon=False)
    figure.supxlabel(
        f"bands: {LEVEL:.0%} over other images; dashed: clean images; dotted: the paper's strength",
        fontsize="small",
    )
    return finish(figure)


def shown(table: pd.DataFrame, conditions: Mapping[str, str]) -> pd.DataFrame:
    """Return rows of the table as a page has room for them, clean images first.

    Parameters
    ----------
    conditions
        What to call them, by the condition's name.
    """
    columns = {
        "ROC AUC": ("roc_auc", ".3f"),
        "difference": ("difference", "+.3f"),
        "recall": ("recall", ".0%"),
        "FPR": ("fpr", ".0%"),
    }
    names = {CLEAN: CLEAN, **conditions}
    own = table.loc[list(names)]
    cells = {title: interval_cells(own, *column) for title, column in columns.items()}
    return pd.DataFrame({"condition": list(names), **cells}, index=list(names.values()))
