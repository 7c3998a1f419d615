"""The study on photographs in words and tables, made of its record."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from layerfusion.analysis.measures import RUNS
from layerfusion.experiments.record import FinishedStudy
from layerfusion.figures.formatting import with_interval
from layerfusion.metrics.uncertainty import image_interval

# What the claims that make up the page's first sentence are about, in their order.
QUESTIONS = {
    "open-above-constrained-local-roc_auc": "the open training images help",
    "fusion-above-last-constrained": "fusing all blocks beats the last one alone, constrained run",
    "fusion-above-last-open": "fusing all blocks beats the last one alone, open run",
    "fusion-above-mean-constrained": "learned weights beat equal ones, constrained run",
    "fusion-above-mean-open": "learned weights beat equal ones, open run",
}
ANSWERS = {"holds": "yes", "does not hold": "no, the reverse", "undecided": "undecided"}


def in_a_sentence(study: FinishedStudy) -> str:
    """Return what the study says to the paper's first questions, as Markdown, numbers included."""
    claims = study.effects.set_index("name").to_dict("index")
    said = [
        f"{question}: **{ANSWERS.get(claims[name]['verdict'], claims[name]['verdict'])}**"
        f"{_interval(claims[name])}"
        for name, question in QUESTIONS.items()
        if name in claims
    ]
    means = {run: study.scored["local"][run].interval("roc_auc").estimate for run in RUNS}
    auc = " and ".join(f"{mean:.3f} ({run})" for run, mean in means.items())
    answers = "; ".join(said)
    return f"ROC AUC on validation images is {auc}. {answers[:1].upper()}{answers[1:]}."


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
    columns = ["run", "detector", "roc_auc", "low", "high"]
    parts = [shortcuts.rename(columns=names)[columns]]
    for run in RUNS:
        found = image_interval(study.scored["local"][run].auc[0])
        row = [run, "all blocks, fused", found.estimate, found.low, found.high]
        parts.append(pd.DataFrame([row], columns=columns))
    order = {run: place for place, run in enumerate(RUNS)}
    return pd.concat(parts).sort_values(
        "run", key=lambda run: run.map(order), kind="stable", ignore_index=True
    )


def _interval(claim: Mapping[Hashable, Any]) -> str:
    found = with_interval(claim, "effect", "+.3f")
    return f" ({found} of AUC)" if found else ""
