"""Baselines beside the paper's head in tables and a figure, made of their study."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.analysis.architecture import head_of
from layerfusion.analysis.measures import RUNS
from layerfusion.experiments.baselines.registry import BASELINES, differences, source
from layerfusion.experiments.record import FinishedStudy
from layerfusion.metrics.scored import METRIC_NAMES, ScoredImages
from layerfusion.metrics.uncertainty import LEVEL
from layerfusion.pages.figures.effects import mean_metrics
from layerfusion.pages.figures.intervals import interval_panels
from layerfusion.settings import Profile

# What one detector has and the other lacks, by variants without their run: of the study `weights`,
# or of the study of baselines.
STEPS = {
    "other blocks, in the paper's head": ("scalar", "last"),
    "other blocks, in RINE": ("rine", "linear-probe"),
    "a second layer, on the last block": ("last", "linear-probe"),
}

# What a page calls the columns of `rates`.
SHOWN = METRIC_NAMES | {"auc_sd": "deviation between seeds"}


def steps(study: FinishedStudy, weights: FinishedStudy) -> pd.DataFrame:
    """Separate what the other blocks add from what a second layer adds.

    Parameters
    ----------
    study
        The study of baselines: its images and seeds are those that all are compared on.
    weights
        The study `weights`, which has the paper's head on all blocks and on the last one, scored on
        these images among others.

    Returns
    -------
    DataFrame
        A row a run and each of `STEPS`: ``run``, ``added``, what is added; ``roc_auc`` by which
        the score rises, with ``low`` and ``high``, a 95 % interval over other sources and seeds.

    Raises
    ------
    LookupError
        If `weights` lacks one of the images or seeds.
    """
    rows = []
    for run in RUNS:
        there = study.scored["local"][f"{run}-linear-probe"]
        scored = dict(study.scored["local"])
        scored |= {name: on_images_of(own, there) for name, own in weights.scored["local"].items()}
        for added, names in STEPS.items():
            high, low = (scored[f"{run}-{name}"].measured("roc_auc") for name in names)
            rows.append({"run": run, "added": added} | (high + -low).interval().columns("roc_auc"))
    table = pd.DataFrame(rows)
    return table.rename(columns={"roc_auc_low": "low", "roc_auc_high": "high"})


def on_images_of(own: ScoredImages, other: ScoredImages) -> ScoredImages:
    """Return scores on the images and resamples, and of the seeds, of other scored images.

    Raises
    ------
    LookupError
        If an image or a seed is missing.
    """
    images = pd.Series(range(len(own.images)), own.images["image_id"])
    seeds = pd.Series(range(len(own.seeds)), own.seeds)
    place, seed = images.loc[other.images["image_id"]].tolist(), seeds.loc[[*other.seeds]].tolist()
    return replace(other, logits=own.logits[np.ix_(seed, place)], thresholds=own.thresholds[seed])


def draw_steps(table: pd.DataFrame) -> Figure:
    """Draw what each addition of `steps` gives, both runs, over the line at 0."""
    label = f"rise of ROC AUC; bars: {LEVEL:.0%} over other sources and seeds"
    return interval_panels(
        table.assign(panel="what is added"), "roc_auc", label, rows="added", panels="panel"
    )


def rates(study: FinishedStudy) -> pd.DataFrame:
    """Return ROC AUC, average precision and F1 of every detector and run, means over seeds.

    Returns
    -------
    DataFrame
        ``run``, ``detector``, ``roc_auc``, ``auc_sd`` (standard deviation between seeds),
        ``average_precision``, ``f1``, all rates in [0, 1].
    """
    rows = [
        {"run": one.run, "detector": one.text}
        | mean_metrics(study.scored["local"][one.name], ("roc_auc", "average_precision", "f1"))
        for one in study.record.variants
    ]
    columns = ["run", "detector", "roc_auc", "auc_sd", "average_precision", "f1"]
    return pd.DataFrame(rows, columns=columns)


def sizes(study: FinishedStudy, weights: FinishedStudy) -> pd.DataFrame:
    """Return how many numbers each detector learns, and how long it takes to.

    Parameters
    ----------
    study, weights
        As for `steps`. The paper's head is timed in `weights`, where its features are cached.

    Returns
    -------
    DataFrame
        ``detector``, ``parameters``, ``seconds``, means over runs and seeds; the paper's head
        first.
    """
    own, size = study.record.variants[0].text, head_parameters(study)
    texts = {one.name: one.text for one in study.record.variants if one.kind == "fitted"}
    rows = [
        [own, size, cell.seconds]
        for cell in weights.record.cells
        if cell.variant.endswith("-scalar")
    ]
    rows += [
        [texts[cell.variant], cell.parameters, cell.seconds]
        for cell in study.record.cells
        if cell.variant in texts
    ]
    table = pd.DataFrame(rows, columns=["detector", "parameters", "seconds"])
    means = table.groupby("detector", sort=False).mean()
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


def described(names: Sequence[str]) -> str:
    """Return, as Markdown, who published each baseline and how it differs from its public code."""
    said = {source(BASELINES[name]): differences(BASELINES[name]) for name in names}
    return "\n\n".join(
        "\n".join([f"**{title}**", "", *(f"- {item}" for item in items)])
        for title, items in said.items()
    ).replace("``", "`")
