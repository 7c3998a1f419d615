"""The study `layers` in tables and figures: detectors ranked, and the steps of the lattice."""

from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata

from layerfusion.analysis.measures import RUNS
from layerfusion.experiments.baselines import lattice
from layerfusion.experiments.baselines.registry import BASELINES, differences, source
from layerfusion.experiments.record import FinishedStudy
from layerfusion.metrics.measured import MeasuredInterval
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.uncertainty import LEVEL, Interval, resampled_roc_auc
from layerfusion.pages.figures.intervals import draw_band, draw_intervals
from layerfusion.pages.figures.style import RUN_STYLES, finish, legend_above

FUSION = lattice.Form().name
MARGIN = 0.01  # of ROC AUC: what is no difference worth having
RESAMPLES, SEED = 500, 2026  # of sources, for the intervals of ranks
CONDITIONS = {"local": "validation images", "official": "official images"}


def ranking(study: FinishedStudy, run: str, on: str) -> pd.DataFrame:
    """Return every detector of a run by its ROC AUC, with how sure its rank is.

    Parameters
    ----------
    study
        The study `layers`.
    run, on
        A run and a condition.

    Returns
    -------
    DataFrame
        A row a detector, best first: ``name``, ``detector``, in words; ``roc_auc``, ``low`` and
        ``high``, over other sources and seeds; ``rank``, from 1, and ``rank_low``, ``rank_high``,
        its 95 % interval over resamples of the sources, means over seeds being ranked;
        ``parameters``, ``seconds`` (of choosing and fitting, mean over seeds), ``training``, the
        ROC AUC of the views that it learnt from, NaN of the paper's own training.
    """
    texts = {one.name: one.text for one in study.record.variants}
    names = [name for name in (run, *(f"{run}-{own}" for own in (FUSION, *BASELINES)))
             if name in texts]  # fmt: skip
    scored = [study.scored[on][name] for name in names]
    rows = [Interval.row(one.interval("roc_auc"), "roc_auc") for one in scored]
    ranks = resampled_ranks(scored)
    table = pd.DataFrame(rows).rename(columns={"roc_auc_low": "low", "roc_auc_high": "high"})
    table.insert(0, "detector", [texts[name] for name in names])
    table.insert(0, "name", names)
    table["rank"] = rankdata(-table["roc_auc"], method="min").astype(int)
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    table["rank_low"], table["rank_high"] = np.quantile(ranks, ends, axis=1, method="nearest")
    cells = pd.DataFrame([cell.model_dump() for cell in study.record.cells])
    cells["training"] = [fit.get("training_auc", np.nan) for fit in cells["fit"]]
    means = cells.groupby("variant")[["parameters", "seconds", "training"]].mean()
    joined = table.join(means, on="name").astype({"parameters": int, "rank_low": int,
                                                  "rank_high": int})  # fmt: skip
    return joined.sort_values("roc_auc", ascending=False, ignore_index=True)


def resampled_ranks(scored: Iterable[ScoredImages]) -> NDArray[np.float64]:
    """Return ranks by ROC AUC on resamples of the sources, best 1, shape (detectors, resamples).

    Real and synthetic sources are drawn apart, each as often as there are of it, with replacement;
    the mean over seeds is ranked.
    """
    found, counts = [], None
    for one in scored:
        if counts is None:
            counts = source_counts(one)
        by_seed = [resampled_roc_auc(one.label, logits, counts) for logits in one.logits]
        found.append(np.mean(by_seed, axis=0))
    return np.asarray(rankdata(-np.stack(found), axis=0, method="min"))


def source_counts(scored: ScoredImages) -> NDArray[np.int32]:
    """Return how often each image counts in each resample of the sources: (resamples, images)."""
    rng, images = np.random.default_rng(SEED), scored.images
    names = images["family"].fillna(images["source"]) if "family" in images else images["source"]
    counts = np.zeros((RESAMPLES, len(images)), dtype=np.int32)
    for label in (0, 1):
        own = scored.label == label
        number, sources = pd.factorize(names[own])
        drawn = rng.multinomial(len(sources), np.full(len(sources), 1 / len(sources)), RESAMPLES)
        counts[:, own] = drawn[:, number]
    return counts


def draw_ranking(tables: dict[str, pd.DataFrame]) -> Figure:
    """Draw the ROC AUC of the detectors of `ranking`, a panel a condition, both runs in it.

    Parameters
    ----------
    tables
        By condition: tables of `ranking` with a column ``run``, one below the other.
    """
    order = list(dict.fromkeys(next(reversed(tables.values()))["detector"]))
    figure, grid = plt.subplots(
        1, len(tables), figsize=(8, 0.36 * len(order) + 1), sharey=True, layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for axes, (on, table) in zip(grid.flat, tables.items(), strict=True):
        ordered = table.assign(place=table["detector"].map(order.index))
        draw_intervals(axes, ordered.sort_values("place"), "roc_auc", rows="detector")
        axes.axvline(0.5, color="0.5", linewidth=1, linestyle=":")
        axes.set_title(CONDITIONS.get(on, on), fontsize="medium", loc="left")
        axes.set_xlabel("ROC AUC (dotted: chance)")
    legend_above(figure, grid.flat[0])
    return finish(figure)


def steps(study: FinishedStudy) -> pd.DataFrame:
    """Return what each step of the lattice changes.

    Returns
    -------
    DataFrame
        A row a run, condition and step: ``run``, ``on``, ``change`` in words, ``start``, the form
        that it starts from; ``effect``, ``low``, ``high``, the rise of ROC AUC over other sources
        and seeds; ``p_holm``, over all contrasts of the study; ``verdict`` of `judged_small`.
    """
    effects = study.effects.set_index("name")
    rows = []
    for on in study.record.conditions:
        short = "" if on == "local" else f"-{on}"
        for run in RUNS:
            for one, other, change in lattice.steps():
                name = f"{run}-{one.name}>{other.name}{short}"
                if name in effects.index:
                    own = effects.loc[name, ["effect", "low", "high", "p_holm"]].to_dict()
                    rows.append({"run": run, "on": on, "change": change, "start": one.text} | own)
    return judged_small(pd.DataFrame(rows))


def judged_small(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of effects with ``verdict``: what their intervals say of `MARGIN`.

    ``higher`` or ``lower`` where the interval excludes 0 after correction; else ``within .01``
    where it lies between -.01 and .01; else ``at most .01 higher`` (or lower) where one side is
    excluded; else ``open``.
    """
    low, high, told = table["low"], table["high"], table["p_holm"] < 1 - LEVEL
    cases = [
        told & (low > 0), told & (high < 0), (low > -MARGIN) & (high < MARGIN),
        high < MARGIN, low > -MARGIN,
    ]  # fmt: skip
    words = ["higher", "lower", "within .01", "not .01 higher", "not .01 lower"]
    return table.assign(verdict=np.select(cases, words, "open"))


def draw_steps(table: pd.DataFrame, on: str) -> Figure:
    """Draw the steps of one condition as intervals over the line at 0, with the margin shaded."""
    own = table[table["on"] == on]
    named = own.assign(step=own["change"] + "  |  " + own["start"])
    figure, axes = plt.subplots(
        figsize=(8, 0.3 * named["step"].nunique() + 1), layout="constrained"
    )
    axes.axvspan(-MARGIN, MARGIN, color="0.9", linewidth=0)
    axes.axvline(0, color="0.5", linewidth=1, linestyle=":")
    draw_intervals(axes, named, "effect", rows="step")
    axes.set_xlabel(f"rise of ROC AUC, {CONDITIONS[on]}; bars: {LEVEL:.0%} over sources and seeds; "
                    "grey: within .01")  # fmt: skip
    legend_above(figure, axes)
    return finish(figure)


def probes(study: FinishedStudy) -> pd.DataFrame:
    """Return the ROC AUC of a linear probe on each block, a row a run, condition and block.

    Returns
    -------
    DataFrame
        ``run``, ``on``, ``block`` (from 1), ``roc_auc``, ``low`` and ``high`` over other sources.
    """
    rows = []
    for one in study.record.variants:
        kind, _, number = one.name.removeprefix(f"{one.run}-").partition("-")
        for on, scored in study.scored.items() if kind == "block" else ():
            own = Interval.row(scored[one.name].interval("roc_auc"), "roc_auc")
            rows.append({"run": one.run, "on": on, "block": int(number)} | own)
    return pd.DataFrame(rows).rename(columns={"roc_auc_low": "low", "roc_auc_high": "high"})


def draw_probes(table: pd.DataFrame, ranked: pd.DataFrame) -> Figure:
    """Draw the probe of each block, a panel a condition, below lines of two detectors.

    Parameters
    ----------
    table
        As `probes` returns it.
    ranked
        Tables of `ranking` with ``run`` and ``on``, one below the other.
    """
    figure, grid = plt.subplots(
        1, table["on"].nunique(), figsize=(8, 3.4), sharey=True, layout="constrained",
        squeeze=False,
    )  # fmt: skip
    lines = {"tokens side by side": "--", "the paper's fusion": "-"}
    for axes, (on, shown) in zip(grid.flat, table.groupby("on"), strict=True):
        for run, own in shown.groupby("run"):
            color = RUN_STYLES[str(run)]["color"]
            draw_band(axes, own, "block", "roc_auc", color=color, label=str(run))
            there = ranked[(ranked["on"] == on) & (ranked["run"] == run)].set_index("detector")
            for name, style in lines.items():
                axes.axhline(there.loc[name, "roc_auc"], color=color, linestyle=style, linewidth=1)
        axes.set(xlabel="transformer block $l$", xticks=sorted(set(shown["block"])))
        axes.set_title(CONDITIONS[str(on)], fontsize="medium", loc="left")
    grid.flat[0].set_ylabel("ROC AUC of a linear probe")
    legend_above(figure, grid.flat[0])
    return finish(figure)


def above(study: FinishedStudy, name: str, other: str, on: str) -> MeasuredInterval:
    """Return how much higher the ROC AUC of one variant is than that of another."""
    high, low = (study.scored[on][one].measured("roc_auc") for one in (name, other))
    return (high - low).interval()


def described(names: Iterable[str]) -> str:
    """Return, as Markdown, who published each baseline and how it differs from its public code."""
    said = {source(BASELINES[name]): differences(BASELINES[name]) for name in names}
    return "\n\n".join(
        "\n".join([f"**{title}**", "", *(f"- {item}" for item in items)])
        for title, items in said.items()
    ).replace("``", "`")
