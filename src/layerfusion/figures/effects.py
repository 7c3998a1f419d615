"""Effects of a study in tables, in a sentence and as a figure: intervals over the line at 0."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.experiments.record import FinishedStudy
from layerfusion.figures.formatting import interval_cells, signed, with_interval
from layerfusion.figures.intervals import draw_bars, interval_panels, legend_above
from layerfusion.figures.style import finish
from layerfusion.metrics.scored import Metric
from layerfusion.metrics.uncertainty import LEVEL

# Told apart by marker too. Shades that show on white and on black.
VERDICTS = {
    "holds": {"color": "#009E73", "marker": "o"},
    "undecided": {"color": "#999999", "marker": "D"},
    "does not hold": {"color": "#D55E00", "marker": "s"},
}
METRICS: tuple[Metric, ...] = ("roc_auc", "f1", "precision", "recall")
NAMED = 3  # differences that a sentence names one by one


def claims_table(study: FinishedStudy) -> pd.DataFrame:
    """Return the effects of a study as claims, a row each.

    Returns
    -------
    DataFrame
        ``claim``; ``paper``, ``effect``, ``low``, ``high`` (differences of rates, positive where
        the claim holds, NaN where there is none); ``verdict``; ``seeds``.
    """
    columns = ["claim", "paper", "effect", "low", "high", "verdict", "seeds"]
    return study.effects.rename(columns={"text": "claim"})[columns]


def claims_text(study: FinishedStudy) -> str:
    """Return the claims as a terminal shows them: aligned columns, effects with four decimals."""
    table = claims_table(study)
    interval = [
        "none" if pd.isna(low) else f"[{low:+.4f}, {high:+.4f}]"
        for low, high in zip(table["low"], table["high"], strict=True)
    ]
    width = int(table["claim"].str.len().max())
    shown = pd.DataFrame(
        {
            "claim".ljust(width): table["claim"].str.ljust(width),
            "paper": [signed(value) for value in table["paper"]],
            "effect": [signed(value) for value in table["effect"]],
            "95 % interval": interval,
            "verdict": table["verdict"],
            "seeds": table["seeds"],
        }
    )
    return shown.to_string(index=False)


def variants_table(study: FinishedStudy) -> pd.DataFrame:
    """Return what each variant scored and how far it is from what it is compared with.

    Returns
    -------
    DataFrame
        Indexed by the variant's name, in the record's order: ``run``; ``variant``, in words;
        ``images``, how many it was trained on; ``roc_auc``, ``low`` and ``high`` (mean over seeds
        with its 95 % interval over seeds and images); ``against``, in words; ``difference``,
        ``difference_low``, ``difference_high`` (NaN where it is compared with nothing);
        ``machines``, of both, several where they were not trained on one.
    """
    record, texts = study.record, {own.name: own.text for own in study.record.variants}
    images = {cell.variant: cell.training_images for cell in record.cells}
    contrasts = {one.terms[0].variant: one for one in record.contrasts}
    effects = study.effects.set_index("name").to_dict("index")
    rows = []
    for variant in record.variants:
        scored = study.scored["local"][variant.name].interval("roc_auc")
        row: dict[str, Any] = {"run": variant.run, "variant": variant.text}
        row |= {"images": images[variant.name]} | scored.row("roc_auc")
        row |= {"against": "", "difference": np.nan}
        if variant.name in contrasts:
            contrast = contrasts[variant.name]
            found = effects[contrast.name]
            row |= {"against": texts[contrast.terms[1].variant], "difference": found["effect"]}
            row |= {"difference_low": found["low"], "difference_high": found["high"]}
            row |= {"machines": found["machines"]}
        rows.append(row)
    columns = ["run", "variant", "images", "roc_auc", "low", "high", "against", "difference"]
    columns += ["difference_low", "difference_high", "machines"]
    table = pd.DataFrame(rows, index=pd.Index(list(texts), name="name")).reindex(columns=columns)
    return table.astype({"machines": "str"})


def cells_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of variants as a page has room for it: number and interval in one cell.

    Parameters
    ----------
    table
        As `variants_table` returns it.

    Returns
    -------
    DataFrame
        Text, indexed by ``run`` and ``variant``: ``images``, ``ROC AUC`` and ``difference``, empty
        where a variant is compared with nothing.
    """
    cells = table[["run", "variant"]].copy()
    cells["images"] = table["images"].map("{:,}".format)
    cells["ROC AUC"] = interval_cells(table, "roc_auc")
    cells["difference"] = interval_cells(table, "difference", "+.3f")
    return cells.set_index(["run", "variant"])


def metrics_table(study: FinishedStudy) -> pd.DataFrame:
    """Return the metrics of every trained variant under every condition, means over seeds.

    Returns
    -------
    DataFrame
        ``run``, ``blocks``, ``condition``, then a column a metric, rates in [0, 1]; ``auc_sd``, the
        standard deviation of ROC AUC between seeds, NaN of one. Conditions whose images have no
        labels, or were not scored, are left out.
    """
    rows = []
    for variant in study.record.variants:
        for on in (*study.record.conditions, "small"):
            if on not in study.scored:
                continue
            scored = study.scored[on][variant.name]
            found = {metric: scored.interval(metric) for metric in METRICS}
            row = {"run": variant.run, "blocks": variant.overrides.get("head.blocks", "all")}
            row |= {"condition": on} | {name: own.estimate for name, own in found.items()}
            rows.append(row | {"auc_sd": getattr(found["roc_auc"], "seed_sd", np.nan)})
    return pd.DataFrame(rows)


def training_costs(study: FinishedStudy) -> dict[str, Any]:
    """Return what making a study took: ``command``, ``trainings``, ``minutes`` and ``on`` what."""
    cells = study.record.cells
    return {
        "command": study.record.command,
        "trainings": len(cells),
        "minutes": round(sum(cell.seconds for cell in cells) / 60),
        "on": "; ".join(dict.fromkeys(cell.machine for cell in cells)),
    }


def in_a_sentence(table: pd.DataFrame) -> str:
    """Return what the differences of variants say, as Markdown, numbers included.

    Parameters
    ----------
    table
        As `variants_table` returns it.
    """
    compared = table[table["difference"].notna()]
    clear = compared[(compared["difference_low"] > 0) | (compared["difference_high"] < 0)]
    by_chance = (1 - LEVEL) * len(compared)
    s = "s" if len(clear) == 1 else ""
    begin = f"Of {len(compared)} differences **{len(clear) or 'none'}** exclude{s} 0"
    begin += f" (chance alone would let {by_chance:.1f})"
    if clear.empty:
        widest = compared.iloc[int(compared["difference"].abs().argmax())]
        return f"{begin}; the largest is {_difference(widest)}."
    if len(clear) > NAMED:
        by_size = clear.iloc[clear["difference"].abs().argsort()]
        largest, smallest = _difference(by_size.iloc[-1]), _difference(by_size.iloc[0])
        return f"{begin}; the largest is {largest}, the smallest of them {smallest}."
    return f"{begin}: {'; '.join(_difference(row) for _, row in clear.iterrows())}."


def draw_claims(claims: pd.DataFrame) -> Figure:
    """Draw each claim's effect with its interval, and the paper's own effect as a cross.

    Parameters
    ----------
    claims
        As `claims_table` returns them.
    """
    figure, axes = plt.subplots(figsize=(8, 0.32 * len(claims) + 1), layout="constrained")
    unmeasured = claims["verdict"] == "not measured"
    names = claims["claim"].mask(unmeasured, claims["claim"] + " (not measured)")
    places = pd.Series(range(len(claims)), index=claims.index)
    for verdict, style in VERDICTS.items():
        own = claims["verdict"] == verdict
        draw_bars(axes, claims[own], "effect", places[own], {**style, "label": verdict})
    axes.scatter(claims["paper"], places, marker="x", color="black", zorder=3, label="the paper")
    axes.axvline(0, color="0.5", linewidth=1)
    axes.set_yticks(places, names, fontsize="small")
    axes.invert_yaxis()
    axes.set_xlabel(f"effect, positive where the claim holds; bars: {LEVEL:.0%}, seeds and images")
    legend_above(figure, axes)
    return finish(figure)


def draw_variants(table: pd.DataFrame) -> Figure:
    """Draw each variant's difference from its reference, a panel a run, bars for intervals.

    Parameters
    ----------
    table
        As `variants_table` returns it. References are left out: they are the line at 0.
    """
    compared = table[table["difference"].notna()]
    one = compared.groupby("run")["against"].transform("nunique") == 1
    reference = compared["against"].where(one, "")
    panel = (compared["run"] + ", against: " + reference).where(one, compared["run"])
    names = compared["variant"].where(one, compared["variant"] + " - " + compared["against"])
    named = compared.assign(panel=panel, name=names)
    figure = interval_panels(named, "difference", rows="name", panels="panel")
    label = f"difference of ROC AUC; bars: {LEVEL:.0%}, seeds and images"
    figure.axes[-1].set_xlabel(label)
    return figure


def _difference(row: pd.Series) -> str:
    who = f"{row['variant']} against {row['against']}, {row['run']} run"
    return f"{who}: {with_interval(row.to_dict(), 'difference', '+.3f')}"
