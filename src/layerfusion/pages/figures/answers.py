"""What the committed studies answer, in numbers: verdicts, block weights, rates of detectors."""

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.experiments.record import FinishedStudy
from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.scored import METRIC_NAMES, Metric, ScoredImages
from layerfusion.metrics.uncertainty import LEVEL, resampled_rates
from layerfusion.pages.figures.formatting import share_text, with_interval
from layerfusion.pages.figures.intervals import interval_panels, source_names
from layerfusion.pages.figures.style import COLOURS, RUN_STYLES, finish

if TYPE_CHECKING:
    from IPython.display import DisplayObject

RATES: tuple[Metric, ...] = ("fpr", "recall", "roc_auc")
SHOWN = {METRIC_NAMES[metric]: metric for metric in RATES}

# What a page calls the detectors of the study of finished ones.
DETECTORS = {
    "photographs": "shipped detector",
    "photographs-paper": "the paper's head",
    "photographs-2026-11": "former default",
    "metadata": "file metadata alone",
}

# Images that chose checkpoint and threshold are hollow.
SPLITS = {
    "local": {"color": "0.55", "marker": "o", "markerfacecolor": "white"},
    "official": {"color": "black", "marker": "o"},
}


def verdict_counts(study: FinishedStudy) -> pd.DataFrame:
    """Return how many claims have each verdict.

    Returns
    -------
    DataFrame
        Indexed by ``verdict``, the most frequent first: ``alone`` and ``corrected`` over the
        family, numbers of claims.
    """
    counts = {
        name: study.effects[column].value_counts()
        for name, column in {"alone": "verdict", "corrected": "corrected"}.items()
    }
    table = pd.DataFrame(counts).fillna(0).astype(int).rename_axis("verdict")
    return table.sort_values(["alone", "corrected"], ascending=False, kind="stable")


def most_influential_sources(study: FinishedStudy, names: Sequence[str]) -> pd.DataFrame:
    """Return the one source without which each effect changes most.

    Parameters
    ----------
    names
        Of contrasts of the study.

    Returns
    -------
    DataFrame
        Indexed by ``claim``: ``effect`` on all images, ``source``, its ``class``, and the effect
        ``without`` it, means over seeds.
    """
    rows, contrasts = {}, {one.name: one for one in study.record.contrasts}
    for name in names:
        measured = contrasts[name].effect(study.scored)
        without, effect = measured.left_out.mean(), float(measured.estimates.mean())
        place = int((without - effect).abs().to_numpy().argmax())
        stratum, source = without.index[place]
        rows[contrasts[name].text] = {
            "effect": effect, "source": source, "class": stratum.split()[-1],
            "without": float(without.iloc[place]),
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("claim")


def block_table(alpha: pd.DataFrame) -> pd.DataFrame:
    """Return alpha and the effect of each block, means over seeds, where alpha was learned.

    Parameters
    ----------
    alpha
        As `layerfusion.experiments.alpha.read_alpha` returns it.

    Returns
    -------
    DataFrame
        A row a ``variant`` and ``block``: ``alpha``, ``alpha_sd`` between seeds, ``effect`` (mean
        absolute change of the logit where the block's token is replaced by its mean) and
        ``effect_sd``.
    """
    groups = alpha.groupby(["variant", "block"])[["alpha", "effect"]]
    table = groups.mean().join(groups.std().add_suffix("_sd"))
    table = table[table.groupby("variant")["alpha"].transform("std") > 0]
    return table[["alpha", "alpha_sd", "effect", "effect_sd"]].reset_index()


def draw_alpha(table: pd.DataFrame) -> Figure:
    """Draw alpha of each block, and beside it what the block does to the logit.

    Parameters
    ----------
    table
        As `block_table` returns it, or the rows of some variants.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    titles = {
        "alpha": "alpha: weight of the block",
        "effect": "change of the logit when its token\nis replaced by the mean token",
    }
    for ax, (column, title) in zip(axes, titles.items(), strict=True):
        for variant, own in table.groupby("variant", sort=False):
            run, _, kind = str(variant).partition("-")
            style = RUN_STYLES[run] | ({"linestyle": "--", "markersize": 4} if kind else {})
            label = f"{run} run" + (", alpha learns faster" if kind else "")
            ax.errorbar(own["block"], own[column], own[f"{column}_sd"], label=label, **style)
        ax.set(xlabel="block", ylim=(0, None))
        ax.set_title(title, fontsize="medium")
    axes[0].axhline(1 / table["block"].max(), color="0.6", linewidth=1, label="equal weights")
    axes[0].legend(frameon=False, fontsize="small")
    return finish(figure)


def as_html(figure: Figure, alt: str) -> "DisplayObject":
    """Return a figure as HTML, which other pages of the book can show with a text of its own.

    A picture that is glued across pages as one comes without its alternative text.
    """
    from IPython.core.pylabtools import print_figure  # both come with the book
    from IPython.display import HTML

    data = print_figure(figure, dpi=144, base64=True)  # type: ignore[no-untyped-call]
    shown: DisplayObject = HTML(  # type: ignore[no-untyped-call]
        f'<div class="cell_output"><div class="output">'
        f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}"></div></div>'
    )
    return shown


def rates_table(study: FinishedStudy, names: Mapping[str, str]) -> pd.DataFrame:
    """Return rates at the threshold and ROC AUC, on validation and on official images.

    Parameters
    ----------
    names
        Variants of the study, and what each is called.

    Returns
    -------
    DataFrame
        ``rate`` (of `SHOWN`), ``detector``, ``images`` (of `SPLITS`, where they have labels), then
        ``value``, ``low`` and ``high``, over sources, in [0, 1].
    """
    rows = [
        {"rate": title, "detector": text, "images": on}
        | study.scored[on][name].interval(metric).row("value")
        for title, metric in SHOWN.items()
        for name, text in names.items()
        for on in SPLITS
        if on in study.scored
    ]
    return pd.DataFrame(rows)[["rate", "detector", "images", "value", "low", "high"]]


def draw_rates(table: pd.DataFrame) -> Figure:
    """Draw `rates_table`: a panel a rate, validation images hollow, official ones full."""
    label = f"share, or ROC AUC; bars: {LEVEL:.0%} over other sources; dotted: chance"
    return interval_panels(
        table, "value", label, rows="detector", panels="rate", by="images", styles=SPLITS,
        line={"ROC AUC": 0.5},
    )  # fmt: skip


def detectors_table(study: FinishedStudy, on: str | None = None) -> pd.DataFrame:
    """Return how good finished detectors are, in text.

    Parameters
    ----------
    on
        The condition: official images, or validation images where those have no labels.

    Returns
    -------
    DataFrame
        Indexed by ``detector``: ``FPR`` and ``recall`` at its threshold and ``ROC AUC``, each with
        its interval over sources; ``F1``. Last comes what predicts every image synthetic.
    """
    on = on or ("official" if "official" in study.scored else "local")
    scored = study.scored[on]
    rows = {
        variant.name: {
            title: with_interval(scored[variant.name].interval(metric).columns(metric), metric)
            for title, metric in SHOWN.items()
        }
        | {"F1": f"{scored[variant.name].values('f1')[0, 0]:.3f}"}
        for variant in study.record.variants
    }
    labels = next(iter(scored.values())).label
    trivial = resampled_rates(labels, labels >= 0)["f1"][0]
    rows["every image synthetic"] = {
        "FPR": "1.000", "recall": "1.000", "ROC AUC": "0.500", "F1": f"{trivial:.3f}"
    }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("detector")


def detector_facts(study: FinishedStudy) -> dict[str, str]:
    """Return how good the first detector of a study is on official images.

    Returns
    -------
    dict
        Texts: ``real``, ``synthetic`` and ``sources`` (how many); ``fpr``, ``recall`` and
        ``roc_auc`` with intervals over sources; ``validation_fpr``; ``metadata_roc_auc``, of the
        last detector of the study.
    """
    on = "official" if "official" in study.scored else "local"
    first, *_, last = [variant.name for variant in study.record.variants]
    own, baseline = study.scored[on][first], study.scored[on][last]
    counts = own.classes.value_counts()
    return {name: str(counts[name]) for name in CLASSES.values()} | {
        "sources": str(own.images["source"].nunique()),
        "fpr": share_text(own.interval("fpr")),
        "validation_fpr": share_text(study.scored["local"][first].interval("fpr")),
        "recall": share_text(own.interval("recall")),
        "roc_auc": _auc(own),
        "metadata_roc_auc": _auc(baseline),
    }


def draw_errors_by_source(table: pd.DataFrame) -> Figure:
    """Draw the share of errors in each source, photographs above generated images.

    Parameters
    ----------
    table
        As `layerfusion.metrics.groups.errors_by_source` returns it.
    """
    titles = {"real": "photographs: false positives", "synthetic": "generated: false negatives"}
    styles = {title: {"color": COLOURS[kind], "marker": "o"} for kind, title in titles.items()}
    names = source_names(table["source"])
    named = table.assign(name=names, panel=table["class"].map(titles))
    label = f"share of the source's images; bars: {LEVEL:.0%} over other images of it"
    return interval_panels(
        named, "share", label, rows="name", panels="panel", by="panel", styles=styles, line={},
        percent=True,
    )  # fmt: skip


def _auc(own: ScoredImages) -> str:
    return with_interval(own.interval("roc_auc").columns("roc_auc"), "roc_auc")
