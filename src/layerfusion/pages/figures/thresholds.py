"""Choosing a threshold: tables and figures made of predictions and of the paper's tables."""

from collections.abc import Mapping
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from pandas.io.formats.style import Styler

from layerfusion.metrics.calibration import FITTED_ON, at_prevalence, held_out_probabilities
from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.held_out import EVALUATED_ON
from layerfusion.metrics.probability import threshold_logit
from layerfusion.metrics.scored import METRIC_NAMES, ScoredImages
from layerfusion.metrics.uncertainty import LEVEL
from layerfusion.pages.figures.formatting import interval_cells
from layerfusion.pages.figures.intervals import draw_by_source, draw_intervals
from layerfusion.pages.figures.run import as_scored, reliability_panels
from layerfusion.pages.figures.style import COLOURS, finish, legend_above

SAME, OTHER = EVALUATED_ON
RATE, TARGET_ERROR = 0.05, 0.10  # what sentences and figures are about
SHOWN_PROBABILITIES = (0.001, 0.1, 0.5, 0.9, 0.999)  # above the axis of logits
METRICS = METRIC_NAMES
METHOD = "temperature and shift"  # of `layerfusion.metrics.calibration.METHODS`, that is drawn
HEADS = {
    "target_fpr": "target FPR", "target_error": "target error", "evaluated_on": "evaluated on",
    "within_target": "within target", "violation_rate": "violated", "no_coverage": "none predicted",
    "prevalence": "synthetic", "n_predicted_synthetic": "predicted synthetic",
    "n_true_positives": "true positives", "fitted_on": "fitted on", "ece": "ECE",
    "brier": "Brier score", "log_loss": "log loss",
}  # fmt: skip
EVALUATED_STYLES = {
    SAME: {"color": "0.6", "marker": "o"},
    OTHER: {"color": "0.15", "marker": "s"},
}


def stream_table(alarms: pd.DataFrame, prevalences: tuple[float, ...]) -> pd.DataFrame:
    """Return what a thousand images of a stream come to, at thresholds chosen on other sources.

    Parameters
    ----------
    alarms
        As `metrics.transfer.fpr_table` returns them.
    prevalences
        Shares of synthetic images, in (0, 1).

    Returns
    -------
    DataFrame
        A row a rate and prevalence: ``target_fpr``, ``prevalence``; of 1,000 images on average
        ``n_predicted_synthetic``, ``n_true_positives`` and ``n_false_negatives``; ``precision``.
    """
    others = alarms.loc[alarms["evaluated_on"] == OTHER].reset_index(drop=True)
    table = others.merge(pd.DataFrame({"prevalence": prevalences}), how="cross")
    hits = 1000 * table["prevalence"] * table["recall"]
    predicted = hits + 1000 * (1 - table["prevalence"]) * table["false_positive_rate"]
    return table[["target_fpr", "prevalence"]].assign(
        n_predicted_synthetic=predicted,
        n_true_positives=hits,
        n_false_negatives=1000 * table["prevalence"] - hits,
        precision=hits / predicted,  # Bayes' rule; NaN where none is predicted synthetic
    )


def picture_table(probabilities: tuple[float, ...], prevalences: tuple[float, ...]) -> pd.DataFrame:
    """Return what a recalibrated probability means where another share of images is synthetic.

    Returns
    -------
    DataFrame
        Index: ``balanced``, the probability where half are. A column a prevalence.
    """
    columns = {f"{share:.0%} synthetic": at_prevalence(probabilities, share)
               for share in prevalences}  # fmt: skip
    return pd.DataFrame(columns, index=pd.Index(probabilities, name="balanced"))


def by_metric(table: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the rows of one split of `paper.detectable.differences`, metrics by their names."""
    own = table.xs(split)
    assert isinstance(own, pd.DataFrame)
    return own.rename(METRICS)


def cells_by_run(table: pd.DataFrame, value: str, *rows: str, form: str = ".3f") -> pd.DataFrame:
    """Return a number of both runs beside each other, each with its interval in one cell.

    Parameters
    ----------
    table
        Indexed by ``run``: the column `value`, its interval and `rows`.
    value
        Column of the estimates.
    rows
        Columns that name a row of what is returned, in their order.
    """
    own = table.reset_index().assign(cell=interval_cells(table, value, form))
    cells = own.set_index([*rows, "run"])["cell"]
    return cells.unstack("run", sort=False).rename_axis(columns=None)


def shown_rules(rules: pd.DataFrame) -> pd.DataFrame:
    """Return `metrics.transfer.rule_table`, indexed by its rules, as a page has room for it."""
    shown = rules[["logit", "probability"]].round(3)
    cells = interval_cells(rules, "false_positive_rate", ".1%")
    return shown.assign(FPR=cells, recall=rules["recall"].map("{:.1%}".format)).rename_axis(None)


def shown_costs(costs: pd.DataFrame) -> Styler:
    """Return `metrics.transfer.cost_table` of one run as a page has room for it."""
    shown = {
        "synthetic": costs["prevalence"].map("{:.0%}".format),
        "a miss costs": costs["fn_cost"].map("{:.0f}".format),
        "threshold (probability)": costs["threshold"].map("{:.3f}".format),
        "cost / trivial": (costs[f"cost, {OTHER}"] / costs["trivial_cost"]).map("{:.2f}".format),
        "cheaper in": costs["beats_trivial"].map("{:.0%}".format),
    }
    return pd.DataFrame(shown).style.hide()


def shown_stream(stream: pd.DataFrame) -> Styler:
    """Return `stream_table` as a page has room for it: counts of 1,000 images."""
    shown = stream.drop(columns="n_false_negatives").rename(columns=HEADS)
    return (
        shown.style.hide()
        .format("{:.0f}")
        .format("{:.0%}", ["target FPR", "synthetic", "precision"])
    )


def draw_rules(scored: ScoredImages, rules: pd.DataFrame) -> Figure:
    """Draw how much of each class is predicted synthetic at every threshold, and what rules choose.

    Parameters
    ----------
    scored
        Scores of all seeds, drawn together.
    rules
        As `metrics.transfer.rule_table` returns it: each is a vertical line at its ``logit``.
    """
    figure, axes = plt.subplots(figsize=(8, 3.8), layout="constrained")
    low, high = np.quantile(scored.logits, [0.01, 0.99])
    thresholds = np.linspace(low, high, 300)
    for label, name in CLASSES.items():
        own = np.sort(scored.logits[:, scored.label == label], axis=None)
        above = 1 - np.searchsorted(own, thresholds) / own.size
        axes.plot(thresholds, above, color=COLOURS[name], label=f"{name} images")
    for number, (rule, logit) in enumerate(rules["logit"].items()):
        axes.axvline(logit, color="0.4", linewidth=1, linestyle="--")
        at = (logit, 0.9 - 0.08 * number)
        axes.annotate(str(rule), at, (4, 0), textcoords="offset points", fontsize="small")
    axes.set(xlabel="threshold (logit)", ylabel="share predicted synthetic", ylim=(0, 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    upper = axes.secondary_xaxis("top")
    upper.set_xticks(
        [threshold_logit(value) for value in SHOWN_PROBABILITIES],
        [f"{value:g}" for value in SHOWN_PROBABILITIES],
    )
    upper.set_xlabel("the same threshold (probability)", fontsize="small")
    axes.legend(frameon=False, loc="lower left")
    return finish(figure)


def draw_detectable(table: pd.DataFrame) -> Figure:
    """Draw the paper's differences over what its images can show, a panel a split.

    Parameters
    ----------
    table
        As `layerfusion.paper.detectable.differences` returns it. A bar runs from the smallest
        difference at the highest correlation of the runs to that at the lowest.
    """
    figure, panels = plt.subplots(
        1, 2, figsize=(8, 3), sharex=True, sharey=True, layout="constrained"
    )
    smallest = [name for name in table.columns if name.startswith("smallest")]
    for axes, split in zip(panels, ("local", "official"), strict=True):
        own = by_metric(table, split)
        places = np.arange(len(own))
        axes.hlines(places, own[smallest].min(axis=1), own[smallest].max(axis=1), color="0.7",
                    linewidth=7, label="smallest, by correlation")  # fmt: skip
        axes.plot(own["difference"].abs(), places, "D", color="0.1", label="the paper's difference")
        axes.set_yticks(places, own.index, fontsize="small")
        axes.tick_params(axis="y", length=0)
        axes.set(title=f"{split} images", xlabel="difference, either sign", xlim=(0, None))
    panels[0].invert_yaxis()  # of both
    legend_above(figure, panels[0])
    return finish(figure)


def draw_left_out(left_out: pd.DataFrame) -> Figure:
    """Draw how much of each source is called synthetic at a threshold chosen without it.

    Parameters
    ----------
    left_out
        Indexed by ``run``: as `metrics.transfer.left_out_sources` returns it. Sources are in the
        order of the last run, its worst on top; the target of `RATE` is a line.
    """
    label = f"share predicted synthetic; dotted: target {RATE:.0%}; bars: {LEVEL:.0%}, other images"
    line = {f"{CLASSES[0]} images of": RATE}
    return draw_by_source(
        left_out, "predicted_synthetic", f"{label} of the source", line=line, percent=True
    )


def draw_targets(alarms: pd.DataFrame, bands: pd.DataFrame) -> Figure:
    """Draw the targets and what was found, on the same and on other sources.

    Parameters
    ----------
    alarms, bands
        As `metrics.transfer.fpr_table` and `metrics.transfer.abstention_table` return them.
    """
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
    kinds = {
        "Threshold": (alarms, "target_fpr", "false_positive_rate", "target FPR"),
        "Abstention band": (bands, "target_error", "error", "target error"),
    }
    for axes, (title, (table, target, found, label)) in zip(panels, kinds.items(), strict=True):
        own = table.sort_values(target).assign(name=table[target].map("{:.0%}".format))
        draw_intervals(axes, own, found, rows="name", by="evaluated_on", styles=EVALUATED_STYLES)
        targets = own[target].unique()
        places = np.arange(len(targets))
        axes.vlines(targets, places - 0.4, places + 0.4, color="0.2", label="target")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set(xlabel="found in the other half", ylabel=label, title=title, xlim=(0, None))
    legend_above(figure, axes)
    return finish(figure)


def draw_reliability(scored: Mapping[str, ScoredImages]) -> Figure:
    """Draw how often images of like probability are synthetic, as scored and recalibrated.

    Parameters
    ----------
    scored
        By run. The first seed of each is drawn.
    """

    def fitted(own: ScoredImages, where: str) -> NDArray[np.float64]:
        return held_out_probabilities(own.images, own.logits[0], METHOD, where)

    ways = {f"fitted on {where}": partial(fitted, where=where) for where in FITTED_ON}
    return reliability_panels(scored, {"as scored": as_scored, **ways})
