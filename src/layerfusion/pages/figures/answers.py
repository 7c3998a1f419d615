"""What a study answers in words: how many claims, which weights, how good a detector."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.experiments.record import FinishedStudy
from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.scored import Metric, ScoredImages
from layerfusion.metrics.uncertainty import resampled_rates
from layerfusion.pages.figures.formatting import with_interval
from layerfusion.pages.figures.style import RUN_STYLES, finish

if TYPE_CHECKING:
    from IPython.display import DisplayObject

SHOWN: dict[str, Metric] = {"FPR": "fpr", "recall": "recall", "ROC AUC": "roc_auc"}


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


def verdicts_in_a_sentence(study: FinishedStudy) -> str:
    """Return how many claims have which verdict, as Markdown."""
    counts = verdict_counts(study)

    def listed(column: str) -> str:
        own = counts.loc[counts[column] > 0, column].sort_values(ascending=False, kind="stable")
        return ", ".join(f"{number} *{verdict}*" for verdict, number in own.items())

    return (
        f"Of {len(study.effects)} claims, each by itself: {listed('alone')}. "
        f"Corrected for being {len(study.effects)}: {listed('corrected')}."
    )


def leaning_in_a_sentence(study: FinishedStudy, names: Sequence[str]) -> str:
    """Return which source each effect leans on most, as Markdown.

    Parameters
    ----------
    names
        Of contrasts of the study.
    """
    said, contrasts = [], {one.name: one for one in study.record.contrasts}
    for name in names:
        measured = contrasts[name].effect(study.scored)
        without, effect = measured.left_out.mean(), float(measured.estimates.mean())
        place = int((without - effect).abs().to_numpy().argmax())
        stratum, source = without.index[place]
        said.append(
            f"{contrasts[name].text}: {effect:+.3f}, without `{source}` ({stratum.split()[-1]}) "
            f"{without.iloc[place]:+.3f}"
        )
    return f"The one source that moves each most. {'; '.join(said)}."


def as_html(markdown: str) -> "DisplayObject":
    """Return Markdown as HTML, which can be glued into other pages of the book."""
    from IPython.display import HTML  # both come with the book
    from markdown_it import MarkdownIt

    shown: DisplayObject = HTML(MarkdownIt().render(markdown))  # type: ignore[no-untyped-call]
    return shown


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


def alpha_in_a_sentence(table: pd.DataFrame) -> str:
    """Return between what alpha and effects lie, of each variant of `block_table`, as Markdown."""
    blocks = int(table["block"].max())
    said = []
    for variant, own in table.groupby("variant", sort=False):
        by_effect = own.sort_values("effect")[["effect", "block"]].to_numpy()
        (least, first), (most, last) = by_effect[0], by_effect[-1]
        said.append(
            f"`{variant}`: alpha {own['alpha'].min():.3f} to {own['alpha'].max():.3f}, effect "
            f"{least:.2f} (block {first:.0f}) to {most:.2f} (block {last:.0f})"
        )
    return f"Equal weights would be {1 / blocks:.3f}. {'; '.join(said)}."


def draw_alpha(table: pd.DataFrame) -> Figure:
    """Draw alpha of each block, and beside it what the block does to the logit."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    titles = {"alpha": "weight of the block", "effect": "mean change of the logit without it"}
    for ax, (column, title) in zip(axes, titles.items(), strict=True):
        for variant, own in table.groupby("variant", sort=False):
            run, _, kind = str(variant).partition("-")
            style = RUN_STYLES[run] | ({"linestyle": "--"} if kind else {})
            ax.errorbar(own["block"], own[column], own[f"{column}_sd"], label=variant, **style)
        ax.set(xlabel="block", title=title, ylim=(0, None))
    axes[0].axhline(1 / table["block"].max(), color="0.6", linewidth=1)
    axes[1].legend(frameon=False, fontsize="small")
    return finish(figure)


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


def detector_in_a_sentence(study: FinishedStudy) -> str:
    """Return how good the first detector of a study is on official images, as Markdown."""
    on = "official" if "official" in study.scored else "local"
    first, *_, last = [variant.name for variant in study.record.variants]
    own, baseline = study.scored[on][first], study.scored[on][last]
    images = own.images
    counts = {name: int((images["label"] == label).sum()) for label, name in CLASSES.items()}
    parts = {title: _percent(own, metric) for title, metric in SHOWN.items()}
    return (
        f"On {counts['real']} photographs and {counts['synthetic']} generated images of "
        f"{images['source'].nunique()} sources that chose nothing about it, the default detector "
        f"calls **{parts['FPR']}** of the photographs synthetic, where validation images promised "
        f"{_percent(study.scored['local'][first], 'fpr')}, and finds **{parts['recall']}** of the "
        f"generated images; its ROC AUC is **{with_interval(_columns(own), 'roc_auc')}**, that "
        f"of size, bytes and format alone {with_interval(_columns(baseline), 'roc_auc')}."
    )


def _columns(own: ScoredImages) -> Mapping[str, float]:
    return own.interval("roc_auc").columns("roc_auc")


def _percent(own: ScoredImages, metric: Metric) -> str:
    found = own.interval(metric)
    return f"{found.estimate:.0%} [{found.low:.0%}, {found.high:.0%}]"
