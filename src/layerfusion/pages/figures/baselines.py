"""Baselines beside the paper's head in words, tables and a figure, made of their study."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.analysis.architecture import head_of
from layerfusion.experiments.baselines.registry import BASELINES, differences, source
from layerfusion.experiments.record import FinishedStudy
from layerfusion.pages.figures.effects import mean_metrics
from layerfusion.pages.figures.formatting import with_interval
from layerfusion.pages.figures.intervals import draw_intervals
from layerfusion.pages.figures.style import RUN_STYLES, finish, legend_above
from layerfusion.settings import Profile

# What a verdict on "the paper's head is above this baseline" says of the paper's head.
STANDING = {"holds": "above", "reversed": "**below**", "undecided": "not told apart from"}


def ranking(study: FinishedStudy) -> pd.DataFrame:
    """Return all detectors, the best of each run first.

    Returns
    -------
    DataFrame
        ``run``, ``contender``; ``roc_auc``, mean over seeds, with ``low`` and ``high``; ``gain``,
        how much higher the AUC of the paper's head is, with ``gain_low`` and ``gain_high``;
        ``verdict`` on the claim that it is higher. Of the paper's head itself gains are NaN and the
        verdict is missing.
    """
    rows = {
        one.name: {"run": one.run, "contender": one.text}
        | study.scored["local"][one.name].interval("roc_auc").row("roc_auc")
        for one in study.record.variants
    }
    names = {"effect": "gain", "low": "gain_low", "high": "gain_high", "verdict": "verdict"}
    gains = study.effects.set_index("name").rename(columns=names)[[*names.values()]]
    table = pd.DataFrame.from_dict(rows, orient="index").join(gains).astype({"verdict": "str"})
    return table.sort_values(["run", "roc_auc"], ascending=[True, False], ignore_index=True)


def in_a_sentence(table: pd.DataFrame) -> str:
    """Return what a ranking allows to say, as Markdown, against the paper too."""
    runs = [f"{_compared(own)} in the {run} run" for run, own in table.groupby("run", sort=False)]
    return (
        "On the same features of the same images, the fusion of all blocks is, by ROC AUC, "
        f"{'; '.join(runs)}."
    )


def rates(study: FinishedStudy) -> pd.DataFrame:
    """Return ROC AUC, average precision and F1 of every baseline and run, means over seeds.

    Returns
    -------
    DataFrame
        ``run``, ``contender``, ``roc_auc``, ``auc_sd`` (standard deviation between seeds),
        ``average_precision``, ``f1``, all rates in [0, 1].
    """
    rows = [
        {"run": one.run, "contender": one.text}
        | mean_metrics(study.scored["local"][one.name], ("roc_auc", "average_precision", "f1"))
        for one in study.record.variants
        if one.kind == "fitted"
    ]
    columns = ["run", "contender", "roc_auc", "auc_sd", "average_precision", "f1"]
    return pd.DataFrame(rows, columns=columns)


def sizes(study: FinishedStudy) -> pd.DataFrame:
    """Return how many numbers each detector learns, and how long baselines take to.

    Returns
    -------
    DataFrame
        ``contender``, ``parameters``, ``seconds`` (mean over runs and seeds; NaN of the paper's
        head, whose training reads the images too).
    """
    texts = {one.name: one.text for one in study.record.variants if one.kind == "fitted"}
    ours = [study.record.variants[0].text, head_parameters(study), np.nan]
    theirs = [
        [texts[cell.variant], cell.parameters, cell.seconds]
        for cell in study.record.cells
        if cell.variant in texts
    ]
    table = pd.DataFrame([ours, *theirs], columns=["contender", "parameters", "seconds"])
    means = table.groupby("contender", sort=False).mean()
    return means.astype({"parameters": int}).reset_index()


def head_parameters(study: FinishedStudy) -> int:
    """Return how many numbers the paper's head learns on a study's encoder, fine-tuning left out.

    Raises
    ------
    UserError
        If the study's encoder is not known here.
    """
    settings = Profile.model_validate(study.record.settings)
    head = head_of(settings.encoder, settings.head)
    return sum(parameter.numel() for parameter in head.parameters())


def draw_baselines(table: pd.DataFrame) -> Figure:
    """Draw every detector's AUC, and how far the paper's head is above each baseline.

    Parameters
    ----------
    table
        As `ranking` returns it.
    """
    own = table["gain"].isna()
    titles = [baseline.title for baseline in BASELINES.values()]
    names = [*dict.fromkeys(table.loc[own, "contender"]), *titles]
    order = table["contender"].map(names.index).argsort(kind="stable")
    drawn = table.iloc[order].assign(by=lambda rows: rows["run"] + " run")
    styles = {f"{run} run": style for run, style in RUN_STYLES.items()}
    size = (9, 0.5 * drawn["contender"].nunique() + 1.2)
    figure, (left, right) = plt.subplots(1, 2, figsize=size, sharey=True, layout="constrained")
    for axes, value, label in (
        (left, "roc_auc", "ROC AUC"),
        (right, "gain", "the paper's head is higher by"),
    ):
        draw_intervals(axes, drawn, value, rows="contender", by="by", styles=styles)
        axes.set_xlabel(label)
    right.axvline(0, color="0.5", linewidth=1)
    legend_above(figure, left)
    return finish(figure)


def described(names: Sequence[str]) -> str:
    """Return, as Markdown, who published each baseline and how it differs from its public code."""
    said = {source(BASELINES[name]): differences(BASELINES[name]) for name in names}
    return "\n\n".join(
        "\n".join([f"**{title}**", "", *(f"- {item}" for item in items)])
        for title, items in said.items()
    ).replace("``", "`")


def _compared(own: pd.DataFrame) -> str:
    """Return how the paper's head compares with the baselines of a run, by verdict."""
    found = []
    for verdict, word in STANDING.items():
        names = [_gain(row) for row in own[own["verdict"] == verdict].to_dict("records")]
        if names:
            found.append(f"{word} " + ", ".join(names))
    return " and ".join(found)


def _gain(row: Mapping[Hashable, Any]) -> str:
    name = str(row["contender"]).partition(" (")[0]
    name = f"the {name}" if name[0].islower() else name
    return f"{name} ({with_interval(row, 'gain', '+.3f')})"
