"""Effects of a study in tables and figures: intervals over the line at 0."""

from collections.abc import Hashable, Mapping
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.analysis.effects import UNMEASURED, Contrast, Verdict
from layerfusion.analysis.measures import RUNS
from layerfusion.experiments.record import FinishedStudy
from layerfusion.metrics.scored import METRIC_NAMES, Metric, ScoredImages
from layerfusion.metrics.uncertainty import LEVEL, Interval, image_interval
from layerfusion.pages.figures.formatting import (
    Row,
    bounds,
    interval_cells,
    signed,
    with_interval,
)
from layerfusion.pages.figures.intervals import APART, draw_bars, interval_panels
from layerfusion.pages.figures.style import RUN_STYLES, finish, legend_above

# Told apart by marker; colours are those of classes and runs.
VERDICTS: dict[Verdict, dict[str, str]] = {
    "replicates": {"color": "black", "marker": "o"},
    "holds": {"color": "black", "marker": "o"},
    "smaller than in the paper": {"color": "black", "marker": "^"},
    "no effect of the paper's size": {"color": "0.4", "marker": "v", "markerfacecolor": "white"},
    "reversed": {"color": "black", "marker": "s"},
    "undecided": {"color": "0.6", "marker": "D", "markerfacecolor": "white"},
}
METRICS: tuple[Metric, ...] = ("roc_auc", "f1", "precision", "recall")
TITLES = METRIC_NAMES | {"auc_sd": "sd of AUC between seeds"}
WRAPPED = 50  # letters of a claim in a line of a figure
WORLDS = ("photographs", "demo")

# What a table of variants says of a difference.
DIFFERENCE = (
    "against", "difference", "difference_low", "difference_high", "p_holm", "machines",
)  # fmt: skip

# How the study `blocks` reads a block, and its marks: neither is a class or a run.
READ: dict[str, dict[str, Any]] = {
    "only": {"label": "this block alone", "color": "0.15", "marker": "o"},
    "without": {"label": "all blocks but this one", "color": "0.55", "marker": "D"},
}


def claims_table(study: FinishedStudy) -> pd.DataFrame:
    """Return the effects of a study as claims, a row each.

    Returns
    -------
    DataFrame
        ``claim``; ``paper``, ``effect``, ``low``, ``high`` (differences of rates, positive where
        the claim holds, NaN where there is none), ``over`` what the interval is, ``images_low`` and
        ``images_high``; ``verdict`` and the one ``corrected`` over all rows; ``seeds``.
    """
    columns = ["claim", "paper", "effect", "low", "high", "over", "images_low", "images_high"]
    columns += ["verdict", "corrected", "seeds"]
    return study.effects.rename(columns={"text": "claim"})[columns]


def claims_cells(study: FinishedStudy) -> pd.DataFrame:
    """Return the claims as a page or a terminal has room for them, in text.

    Returns
    -------
    DataFrame
        Indexed by ``claim``: ``paper``, ``effect``, its ``95 % interval`` and the one ``over
        images`` alone, ``verdict`` and ``corrected``.
    """
    table = claims_table(study).set_index("claim")
    cells = table[["paper", "effect"]].map(signed)
    for title, name in (("95 % interval", "effect"), ("over images", "images")):
        ends = [bounds(row, "+.4f", name) for row in table.to_dict("records")]
        cells[title] = pd.Series(ends, table.index).where(table["low"].notna(), "none")
    return cells.join(table[["verdict", "corrected"]])


def claims_text(study: FinishedStudy) -> str:
    """Return the claims as a terminal shows them: aligned columns."""
    shown = claims_cells(study).reset_index()
    width = int(shown["claim"].str.len().max())
    shown["claim"] = shown["claim"].str.ljust(width)
    return shown.rename(columns={"claim": "claim".ljust(width)}).to_string(index=False)


def claim_texts(
    study: FinishedStudy, names: Mapping[str, str], form: str = "+.3f"
) -> dict[str, str]:
    """Return the numbers of some claims for the sentences of a page.

    Parameters
    ----------
    names
        Of contrasts of the study, by what the sentences call each.
    form
        Format of each number.

    Returns
    -------
    dict
        Of each key: ``<key>``, effect and interval; ``<key>_paper``, the paper's effect, ``none``
        where it has none; ``<key>_verdict``.
    """
    rows, texts = study.effects.set_index("name"), dict[str, str]()
    for key, name in names.items():
        row = rows.loc[name].to_dict()
        texts[key] = with_interval(row, "effect", form)
        texts[f"{key}_paper"] = "none" if pd.isna(row["paper"]) else f"{row['paper']:{form}}"
        texts[f"{key}_verdict"] = row["verdict"]
    return texts


def claims_of_worlds(photographs: FinishedStudy, demo: FinishedStudy) -> pd.DataFrame:
    """Put the claims of two studies into one table, in the paper's order.

    Returns
    -------
    DataFrame
        A row a claim that either study has: ``claim``; ``paper`` (its effect, NaN where the paper
        has none); of each of `WORLDS` ``<world>``, ``<world>_low``, ``<world>_high`` (effect and
        interval, NaN where not measured), ``<world>_verdict`` and ``<world>_corrected``. Effects
        are differences of rates, positive where the claim holds.
    """
    first, second = (claims_table(own).set_index("claim") for own in (photographs, demo))
    named = [
        own[["effect", "low", "high", "verdict", "corrected"]]
        .add_prefix(f"{world}_")
        .rename(columns={f"{world}_effect": world})
        for own, world in zip((first, second), WORLDS, strict=True)
    ]
    together = pd.concat(named, axis=1)  # first come the claims of the first
    together.insert(0, "paper", first["paper"].combine_first(second["paper"]))
    verdicts = [f"{world}_{which}" for world in WORLDS for which in ("verdict", "corrected")]
    return together.fillna(dict.fromkeys(verdicts, UNMEASURED)).reset_index(names="claim")


def worlds_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return `claims_of_worlds` as a page has room for it, in text.

    Returns
    -------
    DataFrame
        Indexed by ``claim``: ``verdict`` on photographs, the corrected one too where it is another;
        ``photographs`` and ``demo``, effect and interval, empty where not measured; ``paper``.
    """
    rows = table.to_dict("records")
    cells = {world: interval_cells(table, world, "+.3f") for world in WORLDS}
    cells = {"verdict": [_judged(row) for row in rows]} | cells
    paper = ["" if pd.isna(one) else f"{one:+.3f}" for one in table["paper"]]
    return pd.DataFrame(cells | {"paper": paper}, table["claim"])


def variants_table(study: FinishedStudy) -> pd.DataFrame:
    """Return what each variant scored and how far it is from what it is compared with.

    Returns
    -------
    DataFrame
        Indexed by the variant's name, in the record's order: ``run``; ``variant``, in words;
        ``images``, how many it was trained on; ``roc_auc``, ``low`` and ``high`` (mean over seeds
        with its 95 % interval), ``over`` what that is; ``against``, in words; ``difference``,
        ``difference_low``, ``difference_high`` (NaN where it is compared with nothing), ``p_holm``;
        ``machines``, of both, several where they were not trained on one.
    """
    record, effects = study.record, study.effects.set_index("name").to_dict("index")
    images = {cell.variant: cell.training_images for cell in record.cells}
    rows = {
        one.name: {"run": one.run, "variant": one.text, "images": images[one.name]}
        | _row(study.scored["local"][one.name], "roc_auc")
        for one in record.variants
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")
    # Some contrasts have the name of the variant that they are about.
    about = [one for one in record.contrasts if one.name in one.variants]
    found = {one.name: _from_reference(one, effects[one.name]) for one in about}
    joined = table.join(pd.DataFrame.from_dict(found, orient="index", columns=[*DIFFERENCE]))
    texts = {own.name: own.text for own in record.variants} | {"": ""}
    joined["against"] = joined["against"].fillna("").map(texts)
    return joined.astype({"machines": "str"})


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


def measurable(table: pd.DataFrame) -> pd.Series:
    """Return on which side of 0 the whole interval of each difference lies.

    Parameters
    ----------
    table
        As `variants_table` returns it.

    Returns
    -------
    Series
        ``lower``, ``higher``, or ``no`` where the interval contains 0, by the variant's name;
        without the variants that are compared with nothing.
    """
    compared = table[table["difference"].notna()]
    sides = compared["difference_low"].gt(0).map({True: "higher", False: "no"})
    return sides.mask(compared["difference_high"] < 0, "lower").rename("measurable")


def counted(sides: pd.Series) -> str:
    """Return what differences change, a verdict for a sentence.

    Parameters
    ----------
    sides
        As `measurable` returns them.
    """
    clear = sides[sides != "no"]
    if clear.empty:
        return "nothing that can be measured"
    ways = " and ".join(f"{side} in {n}" for side, n in clear.value_counts().items())
    return f"ROC AUC measurably in {len(clear)} of {len(sides)} cases ({ways})"


def overview(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Count the differences of several tables of variants that can be told from 0.

    Returns
    -------
    DataFrame
        A row for each of `tables`: ``differences``; ``lower`` and ``higher``, how many intervals
        exclude 0; ``by chance``, how many would where nothing differs; ``after correction``, how
        many have a ``p_holm`` that agrees.
    """
    rows = {}
    for name, table in tables.items():
        sides = measurable(table)
        rows[name] = {
            "differences": len(sides),
            "lower": int((sides == "lower").sum()),
            "higher": int((sides == "higher").sum()),
            "by chance": round((1 - LEVEL) * len(sides), 1),
            "after correction": int((table["p_holm"] < 1 - LEVEL).sum()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def metrics_table(study: FinishedStudy) -> pd.DataFrame:
    """Return the metrics of every trained variant under every condition, means over seeds.

    Returns
    -------
    DataFrame
        ``run``, ``head`` in words, ``condition``, then a column a metric, rates in [0, 1];
        ``auc_sd``, the standard deviation of ROC AUC between seeds, NaN of one. Conditions whose
        images have no labels, or were not scored, are left out.
    """
    rows = []
    for variant in study.record.variants:
        row = {"run": variant.run, "head": variant.text}
        for on in (*study.record.conditions, "small"):
            if on in study.scored:
                means = mean_metrics(study.scored[on][variant.name], METRICS)
                rows.append(row | {"condition": on} | means)
    return pd.DataFrame(rows)


def mean_metrics(scored: ScoredImages, metrics: tuple[Metric, ...]) -> dict[str, float]:
    """Return metrics, means over seeds, and ``auc_sd``, the deviation of ROC AUC between these."""
    spread = scored.interval("roc_auc").seed_sd
    return {one: float(scored.values(one)[:, 0].mean()) for one in metrics} | {"auc_sd": spread}


def beside_shortcuts(shortcuts: pd.DataFrame, study: FinishedStudy) -> pd.DataFrame:
    """Return the shortcut features that use all of something, with the paper's head below.

    Parameters
    ----------
    shortcuts
        As `layerfusion.experiments.shortcuts.read_shortcuts` returns them.

    Returns
    -------
    DataFrame
        ``run``, ``detector``, ``roc_auc``, ``low`` and ``high``. The interval of the paper's head
        is that of its first seed, over images alone, like those of the others.
    """
    names = {"name": "detector", "roc_auc_low": "low", "roc_auc_high": "high"}
    heads = [
        {"run": run, "detector": "all blocks, fused"}
        | image_interval(study.scored["local"][run].values("roc_auc")[0]).row("roc_auc")
        for run in RUNS
    ]
    own = pd.DataFrame(heads)
    table = pd.concat([shortcuts.rename(columns=names)[[*own]], own])
    return table.sort_values("run", kind="stable", ignore_index=True)


def training_costs(study: FinishedStudy) -> dict[str, Any]:
    """Return what making a study took.

    ``command``; ``images``, how many validation images it scored; ``seeds``; ``trainings``;
    ``minutes``; ``commit`` and ``on`` what.
    """
    record, cells = study.record, study.record.cells
    return {
        "command": record.command,
        "images": record.data["images"]["val"],
        "seeds": len(record.seeds),
        "trainings": len(cells),
        "minutes": round(sum(cell.seconds for cell in cells) / 60),
        "commit": record.provenance["git_commit"][:10],
        "on": "; ".join(dict.fromkeys(cell.machine for cell in cells)),
    }


def draw_claims(claims: pd.DataFrame) -> Figure:
    """Draw each claim's effect with its interval, and the paper's own effect as a cross.

    Parameters
    ----------
    claims
        As `claims_table` returns them.
    """
    figure, axes = plt.subplots(figsize=(8, 0.32 * len(claims) + 1), layout="constrained")
    unmeasured = claims["verdict"] == UNMEASURED
    names = claims["claim"].map(lambda claim: fill(claim, WRAPPED))
    names = names.mask(unmeasured, names + " (not measured)")
    places = pd.Series(range(len(claims)), index=claims.index)
    for verdict, style in VERDICTS.items():
        own = claims["verdict"] == verdict
        if own.any():
            draw_bars(axes, claims[own], "effect", places[own], {**style, "label": verdict})
    axes.scatter(claims["paper"], places, marker="x", color="black", zorder=3, label="the paper")
    axes.axvline(0, color="0.5", linewidth=1)
    axes.set_yticks(places, names, fontsize="small")
    axes.set_ylim(len(claims) - 0.4, -0.6)
    over = ", ".join(dict.fromkeys(claims["over"][~unmeasured]))
    axes.set_xlabel(f"effect, positive where the claim holds; bars: {LEVEL:.0%} over {over}")
    legend_above(figure, axes)
    return finish(figure)


def draw_variants(table: pd.DataFrame) -> Figure:
    """Draw each variant's difference from its reference, a panel a reference, bars for intervals.

    Parameters
    ----------
    table
        As `variants_table` returns it. References are left out: they are the line at 0.
    """
    compared = table[table["difference"].notna()]
    panel, by, styles = "compared with: " + compared["against"], "run", RUN_STYLES
    if compared["run"].groupby(panel).nunique().max() == 1:  # then the title says which run it is
        panel, by = compared["run"] + " run, " + panel, "panel"
        styles = {name: RUN_STYLES[name.partition(" ")[0]] for name in panel}
    label = f"difference of ROC AUC; bars: {LEVEL:.0%} over {', '.join(table['over'].unique())}"
    named = compared.assign(panel=panel)
    return interval_panels(
        named, "difference", label, rows="variant", panels="panel", by=by, styles=styles
    )


def draw_blocks(table: pd.DataFrame) -> Figure:
    """Draw over a block's number what it gives alone and what the others give without it.

    Parameters
    ----------
    table
        As `variants_table` returns it of the study `blocks`.
    """
    pattern = r"-(?P<kind>only|without)-(?P<block>\d+)$"
    read = table.index.to_series().str.extract(pattern).dropna().astype({"block": int})
    drawn = table.join(read, how="inner")
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    axes.axhline(0, color="0.5", linewidth=1, linestyle=":")
    for kind, style in READ.items():
        own = drawn[drawn["kind"] == kind]
        reach = [own["difference"] - own["difference_low"],
                 own["difference_high"] - own["difference"]]  # fmt: skip
        at = own["block"] + (APART / 2 if kind == "without" else -APART / 2)
        axes.errorbar(at, own["difference"], yerr=reach, linestyle="", markersize=5, **style)
    axes.set(xlabel="transformer block $l$", xticks=sorted(set(drawn["block"])))
    axes.set_ylabel("ROC AUC, difference\nfrom all blocks (dotted)")
    legend_above(figure, axes)
    return finish(figure)


def _row(scored: ScoredImages, metric: Metric) -> dict[str, Any]:
    """Return a metric's mean over seeds, its interval and over what that is."""
    found = scored.interval(metric)
    return Interval.row(found, metric) | {"over": found.over}


def _from_reference(contrast: Contrast, found: Row) -> list[Any]:
    """Return the values of `DIFFERENCE` of the variant that a contrast is named after.

    The claim may be that the other one is higher; the difference is from the other all the same.
    """
    (other,) = contrast.variants - {contrast.name}
    (sign,) = [term.sign for term in contrast.terms if term.variant == contrast.name]
    low, high = sorted(sign * found[end] for end in ("low", "high"))
    return [other, sign * found["effect"], low, high, found["p_holm"], found["machines"]]


def _judged(row: Mapping[Hashable, Any]) -> str:
    """Return the verdict on photographs, and the corrected one where it is another."""
    alone, corrected = row["photographs_verdict"], row["photographs_corrected"]
    return alone if alone == corrected else f"{alone}; corrected: {corrected}"
