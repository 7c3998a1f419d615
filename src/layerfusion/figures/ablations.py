"""Ablations in words, tables and a figure, made of their tables."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerfusion.figures.style import RUN_STYLES, finish
from layerfusion.metrics.uncertainty import LEVEL

NAMED = 3  # differences that a sentence names one by one


def in_a_sentence(table: pd.DataFrame) -> str:
    """Return what an ablation's differences say, as Markdown, numbers included.

    Parameters
    ----------
    table
        As `layerfusion.studies.ablation_record.ablation_table` returns it.
    """
    compared = table[table["difference"].notna()]
    clear = compared[(compared["difference_low"] > 0) | (compared["difference_high"] < 0)]
    by_chance = (1 - LEVEL) * len(compared)
    begin = f"Of {len(compared)} differences **{len(clear) or 'none'}** exclude{_s(len(clear))} 0"
    begin += f" (chance alone would let {by_chance:.1f})"
    if clear.empty:
        widest = compared.iloc[int(compared["difference"].abs().argmax())]
        return f"{begin}; the largest is {_difference(widest)}."
    if len(clear) > NAMED:
        by_size = clear.iloc[clear["difference"].abs().argsort()]
        largest, smallest = _difference(by_size.iloc[-1]), _difference(by_size.iloc[0])
        return f"{begin}; the largest is {largest}, the smallest of them {smallest}."
    return f"{begin}: {'; '.join(_difference(row) for _, row in clear.iterrows())}."


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return an ablation's table as a page has room for it: numbers and intervals in one cell each.

    Parameters
    ----------
    table
        As `layerfusion.studies.ablation_record.ablation_table` returns it.

    Returns
    -------
    DataFrame
        Text, indexed by ``run`` and ``variant``: ``images``, ``ROC AUC`` and ``difference``, empty
        where a variant is held against nothing.
    """
    auc = [f"{e:.3f} [{a:.3f}, {b:.3f}]" for e, a, b in _triples(table, "roc_auc", "low", "high")]
    names = ("difference", "difference_low", "difference_high")
    apart = [
        "" if pd.isna(e) else f"{e:+.3f} [{a:+.3f}, {b:+.3f}]"
        for e, a, b in _triples(table, *names)
    ]
    cells = table[["run", "variant"]].copy()
    cells["images"] = table["images"].map("{:,}".format)
    cells["ROC AUC"], cells["difference"] = auc, apart
    return cells.set_index(["run", "variant"])


def _triples(table: pd.DataFrame, *names: str) -> list[list[float]]:
    triples: list[list[float]] = table[list(names)].to_numpy(dtype=float).tolist()
    return triples


def draw_ablation(table: pd.DataFrame) -> Figure:
    """Draw each variant's difference to what it is held against, a panel a run, bars for intervals.

    Parameters
    ----------
    table
        As `layerfusion.studies.ablation_record.ablation_table` returns it. Variants that are held
        against nothing are left out: they are the line at 0.
    """
    compared = table[table["difference"].notna()]
    runs = list(compared["run"].unique())
    rows = [max(int((compared["run"] == run).sum()), 1) for run in runs]
    figure, panels = plt.subplots(
        len(runs), 1, sharex=True, layout="constrained", height_ratios=rows,
        figsize=(8, 0.3 * sum(rows) + 0.7 * len(runs) + 0.6), squeeze=False,
    )  # fmt: skip
    for axes, run in zip(panels.flat, runs, strict=True):
        _draw(axes, compared[compared["run"] == run], run)
    panels.flat[-1].set_xlabel(f"difference of ROC AUC; bars: {LEVEL:.0%}, seeds and images")
    return finish(figure)


def _draw(axes: Axes, rows: pd.DataFrame, run: str) -> None:
    places = np.arange(len(rows))[::-1]
    reach = [
        rows["difference"] - rows["difference_low"],
        rows["difference_high"] - rows["difference"],
    ]
    style = RUN_STYLES[run] | {"linestyle": "none", "markersize": 5}
    axes.errorbar(rows["difference"], places, xerr=reach, **style)  # type: ignore[arg-type]
    axes.axvline(0, color="0.5", linewidth=1)
    one = rows["against"].nunique() == 1
    names = rows["variant"] if one else rows["variant"] + " - " + rows["against"]
    axes.set_yticks(places, names, fontsize="small")
    axes.set_ylim(-0.7, len(rows) - 0.3)
    title = f"{run}, against: {rows['against'].iloc[0]}" if one else run
    axes.set_title(title, fontsize="medium", loc="left")


def _difference(row: pd.Series) -> str:
    who = f"{row['variant']} against {row['against']}, {row['run']} run"
    reach = f"[{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
    return f"{who}: {row['difference']:+.3f} {reach}"


def _s(count: int) -> str:
    return "s" if count == 1 else ""
