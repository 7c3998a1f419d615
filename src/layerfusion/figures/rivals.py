"""Rivals beside the paper's head in words, a table and a figure, made of predictions."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerfusion.analysis.architecture import head_of
from layerfusion.figures.style import RUN_STYLES, finish
from layerfusion.metrics.uncertainty import LEVEL
from layerfusion.rivals.comparison import OURS
from layerfusion.rivals.record import RivalsRecord, rivals_table
from layerfusion.rivals.registry import RIVALS, differences, rivals_named, source
from layerfusion.settings import Profile
from layerfusion.studies.record import StudyRecord

TITLES = {OURS: "layer fusion (the paper)"} | {name: rival.title for name, rival in RIVALS.items()}

# What a verdict on "the paper's head is above this rival" says of the paper's head.
STANDING = {
    "holds": "above",
    "does not hold": "**below**",
    "undecided": "not told apart from",
}


def in_a_sentence(table: pd.DataFrame) -> str:
    """Return what a comparison allows to say, as Markdown, against the paper too.

    Parameters
    ----------
    table
        As `layerfusion.rivals.comparison.compare` returns it.
    """
    runs = [f"{_run(own)} in the {run} run" for run, own in table.groupby("run", sort=False)]
    return (
        "On the same features of the same images, the fusion of all blocks is, by ROC AUC, "
        f"{'; '.join(runs)}."
    )


def standings(table: pd.DataFrame) -> pd.DataFrame:
    """Return a comparison with the contenders' titles, the best of each run first.

    Returns
    -------
    DataFrame
        ``run``, ``contender``, ``roc_auc``, ``low``, ``high``, ``gain``, ``gain_low``,
        ``gain_high``, ``verdict``, as `layerfusion.rivals.comparison.compare` describes them.
    """
    order = {run: place for place, run in enumerate(dict.fromkeys(table["run"]))}
    sorted_table = table.assign(place=table["run"].map(order)).sort_values(
        ["place", "roc_auc"], ascending=[True, False], kind="stable"
    )
    shown = sorted_table.assign(contender=sorted_table["rival"].map(TITLES))
    columns = ["roc_auc", "low", "high", "gain", "gain_low", "gain_high", "verdict"]
    return shown[["run", "contender", *columns]].reset_index(drop=True)


def sizes(record: RivalsRecord, study: StudyRecord) -> pd.DataFrame:
    """Return how many numbers each contender learns, and how long the rivals take to.

    Returns
    -------
    DataFrame
        ``contender``, ``parameters``, ``seconds`` (mean over runs and seeds; NaN of the paper's
        head, whose training reads the images too).
    """
    grouped = rivals_table(record).groupby("rival", sort=False)[["parameters", "seconds"]].mean()
    ours = pd.DataFrame({"parameters": head_parameters(study), "seconds": np.nan}, index=[OURS])
    table = pd.concat([ours, grouped]).astype({"parameters": int})
    table.insert(0, "contender", [TITLES[str(name)] for name in table.index])
    return table.reset_index(drop=True)


def rates(record: RivalsRecord) -> pd.DataFrame:
    """Return ROC AUC, average precision and F1 of every rival and run, means over seeds.

    Returns
    -------
    DataFrame
        ``run``, ``contender``, ``roc_auc``, ``auc_sd`` (standard deviation between seeds),
        ``average_precision``, ``f1``, all rates in [0, 1].
    """
    table = rivals_table(record).drop(columns=["parameters", "seconds"])
    table.insert(1, "contender", table.pop("rival").map(TITLES))
    return table


def head_parameters(study: StudyRecord) -> int:
    """Return how many numbers the paper's head learns on a study's encoder, fine-tuning left out.

    Raises
    ------
    UserError
        If the study's encoder is not known here.
    """
    settings = Profile.model_validate(study.settings)
    head = head_of(settings.encoder, settings.head)
    return sum(parameter.numel() for parameter in head.parameters())


def draw_rivals(table: pd.DataFrame) -> Figure:
    """Draw every contender's AUC, and how far the paper's head is above each rival.

    Parameters
    ----------
    table
        As `layerfusion.rivals.comparison.compare` returns it.
    """
    names = list(dict.fromkeys(table["rival"]))
    size = (9, 0.5 * len(names) + 1.2)
    figure, (left, right) = plt.subplots(1, 2, figsize=size, sharey=True, layout="constrained")
    runs = list(dict.fromkeys(table["run"]))
    for number, run in enumerate(runs):
        own = table[table["run"] == run]
        at = np.array([-names.index(name) for name in own["rival"]])
        at = at + 0.24 * ((len(runs) - 1) / 2 - number)
        _draw(left, own, at, ("roc_auc", "low", "high"), run)
        _draw(right, own, at, ("gain", "gain_low", "gain_high"), run)
    right.axvline(0, color="0.5", linewidth=1)
    left.set_yticks([-place for place in range(len(names))], [TITLES[name] for name in names])
    left.set_xlabel("ROC AUC")
    right.set_xlabel("the paper's head is higher by")
    left.tick_params(axis="y", length=0)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper right", ncols=2,
                  frameon=False, title=f"bars: {LEVEL:.0%}, seeds and images")  # fmt: skip
    return finish(figure)


def described(names: Sequence[str]) -> str:
    """Return, as Markdown, who published each rival and how it differs from its public code."""
    said: dict[str, list[str]] = {}
    for rival in rivals_named(list(names)):
        said[source(rival)] = differences(rival)
    return "\n\n".join(
        "\n".join([f"**{title}**", "", *(f"- {item}" for item in items)])
        for title, items in said.items()
    ).replace("``", "`")


def same_images(record: RivalsRecord, study: StudyRecord) -> bool:
    """Say whether rivals and the paper's head were trained and scored on the same images."""
    return bool(record.data["manifest_sha256"] == study.data["manifest_sha256"])


def _run(own: pd.DataFrame) -> str:
    """Return how the paper's head stands to all rivals of a run, those of one verdict together."""
    rivals = own[own["rival"] != OURS]
    said = []
    for verdict, word in STANDING.items():
        part = rivals[rivals["verdict"] == verdict].to_dict("records")
        if part:
            said.append(f"{word} " + ", ".join(_interval(row) for row in part))
    return " and ".join(said)


def _interval(row: Mapping[Hashable, Any]) -> str:
    name = TITLES[str(row["rival"])].partition(" (")[0]
    name = f"the {name}" if name[0].islower() else name
    ends = f"[{row['gain_low']:+.3f}, {row['gain_high']:+.3f}]"
    return f"{name} ({row['gain']:+.3f} {ends})"


def _draw(
    axes: Axes, own: pd.DataFrame, at: np.ndarray, columns: tuple[str, str, str], run: str
) -> None:
    middle, low, high = (own[column] for column in columns)
    style = RUN_STYLES[run]
    bars = axes.errorbar(middle, at, xerr=[middle - low, high - middle], linestyle="none", **style)  # type: ignore[arg-type]
    bars.set_label(f"{run} run")
