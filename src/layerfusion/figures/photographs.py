"""The study on photographs in words and tables, made of its record."""

import math
from collections.abc import Sequence

import pandas as pd

from layerfusion.analysis.claims import RUNS
from layerfusion.studies.record import ClaimEntry, RunEntry, StudyRecord

# What the claims that make up the page's first sentence are about, in their order.
QUESTIONS = {
    "open-above-constrained-local-roc_auc": "the open training images help",
    "fusion-above-last-constrained": "fusing all blocks beats the last one alone, constrained run",
    "fusion-above-last-open": "fusing all blocks beats the last one alone, open run",
    "fusion-above-mean-constrained": "learned weights beat equal ones, constrained run",
    "fusion-above-mean-open": "learned weights beat equal ones, open run",
}
ANSWERS = {"holds": "yes", "does not hold": "no, the reverse", "undecided": "undecided"}


def in_a_sentence(study: StudyRecord) -> str:
    """Return what the study says to the paper's first questions, as Markdown, numbers included."""
    claims = {claim.name: claim for claim in study.claims}
    said = [
        f"{question}: **{ANSWERS.get(claims[name].verdict, claims[name].verdict)}**"
        f"{_interval(claims[name])}"
        for name, question in QUESTIONS.items()
        if name in claims
    ]
    auc = " and ".join(f"{_mean_auc(study, run):.3f} ({run})" for run in RUNS)
    answers = "; ".join(said)
    return f"ROC AUC on validation images is {auc}. {answers[:1].upper()}{answers[1:]}."


def heads_table(study: StudyRecord) -> pd.DataFrame:
    """Return the metrics of every head and run under every condition, means over seeds.

    Returns
    -------
    DataFrame
        ``run``, ``blocks``, ``condition``, then a column a metric, rates in [0, 1]; ``auc_sd``, the
        standard deviation of ROC AUC between seeds, NaN of one.
    """
    rows = [
        {"run": run.run, "blocks": run.blocks, "condition": on}
        | {metric: value.estimate for metric, value in values.items()}
        for run in study.runs
        for on, values in run.values.items()
    ]
    keys = ["run", "blocks", "condition"]
    grouped = pd.DataFrame(rows).groupby(keys, sort=False)
    return grouped.mean().assign(auc_sd=grouped["roc_auc"].std()).reset_index()


def beside_shortcuts(shortcuts: pd.DataFrame, study: StudyRecord) -> pd.DataFrame:
    """Return the short cuts that use all of something, of each run, with the paper's head below.

    Parameters
    ----------
    shortcuts
        As `layerfusion.studies.shortcuts.read_shortcuts` returns them.

    Returns
    -------
    DataFrame
        ``run``, ``detector``, ``roc_auc``, ``low`` and ``high``. The interval of the paper's head
        is that of its first seed, over images alone, like those of the others.
    """
    shown = shortcuts.rename(
        columns={"name": "detector", "roc_auc_low": "low", "roc_auc_high": "high"}
    )[["run", "detector", "roc_auc", "low", "high"]]
    rows = []
    for run in RUNS:
        value = _first(study, run).values["local"]["roc_auc"]
        row = {"run": run, "detector": "all blocks, fused", "roc_auc": value.estimate}
        rows.append(row | {"low": value.low, "high": value.high})
    together = pd.concat([shown, pd.DataFrame(rows)])
    order = together["run"].map({run: place for place, run in enumerate(RUNS)})
    return together.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def agree(found: Sequence[ClaimEntry], recorded: Sequence[ClaimEntry]) -> bool:
    """Say whether claims are those that are recorded: same verdicts, effects to ten digits."""
    return len(found) == len(recorded) and all(
        (a.name, a.verdict) == (b.name, b.verdict) and _close(a.effect, b.effect)
        for a, b in zip(found, recorded, strict=True)
    )


def _close(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=1e-10, abs_tol=1e-12)


def _interval(claim: ClaimEntry) -> str:
    if claim.effect is None:
        return ""
    if claim.low is None or claim.high is None:
        return f" ({claim.effect:+.3f})"
    return f" ({claim.effect:+.3f} [{claim.low:+.3f}, {claim.high:+.3f}] of AUC)"


def _of(study: StudyRecord, run: str) -> list[RunEntry]:
    return [entry for entry in study.runs if (entry.run, entry.blocks) == (run, "all")]


def _first(study: StudyRecord, run: str) -> RunEntry:
    return min(_of(study, run), key=lambda entry: entry.seed)


def _mean_auc(study: StudyRecord, run: str) -> float:
    values = [entry.values["local"]["roc_auc"].estimate for entry in _of(study, run)]
    return float(pd.Series(values, dtype=float).mean())
