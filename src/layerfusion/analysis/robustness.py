"""How both runs fare as images are degraded further."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from layerfusion.analysis.comparison import Comparison
from layerfusion.metrics.scored import METRIC_NAMES, Metric
from layerfusion.metrics.uncertainty import image_interval
from layerfusion.runs.condition import Condition

COMPARED: tuple[Metric, ...] = ("roc_auc", "f1", "recall", "fpr")
SHOWN = {metric: METRIC_NAMES[metric] for metric in COMPARED}
CLEAN, DEGRADED = "local", ("jpeg", "launder")  # conditions of Table 2 that hold the same images


@dataclass(frozen=True)
class Sweep:
    """A degradation from weak to strong.

    Attributes
    ----------
    axis
        What the strength is, as an axis says it.
    degradations
        Names in `layerfusion.images.degradations` by strength, from the weakest on.
    paper
        The strength that Table 2 has.
    """

    axis: str
    degradations: Mapping[int, str]
    paper: int


JPEG = Sweep("JPEG quality", {q: f"jpeg-{q}" for q in (95, 90, 85, 75, 60, 45, 30)}, paper=85)
# Table 2's own point keeps its name, so that its predictions are found again.
LAUNDER = Sweep(
    "scale of the laundering, %",
    {90: "launder-90", 75: "launder-75", 50: "launder", 35: "launder-35", 25: "launder-25"},
    paper=50,
)


def curve(comparison: Comparison, sweep: Sweep) -> pd.DataFrame:
    """Measure both runs on local images degraded ever more, at the clean images' threshold.

    Returns
    -------
    DataFrame
        Columns ``run``, ``strength`` (as the sweep has it), ``metric`` (of `SHOWN`),
        ``estimate``, ``low`` and ``high``. Predictions are kept in the runs' folders and found
        again.
    """
    conditions = {name: Condition(degradation=name) for name in sweep.degradations.values()}
    scored = comparison.score(conditions)
    rows = [
        {"run": run, "strength": strength, "metric": metric}
        | scored[degradation][run].interval(metric).row()
        for run in comparison.runs
        for strength, degradation in sweep.degradations.items()
        for metric in SHOWN
    ]
    return pd.DataFrame(rows)


def costs(comparison: Comparison) -> pd.DataFrame:
    """Measure both runs on clean and degraded versions of the same images, at one threshold.

    Returns
    -------
    DataFrame
        Columns ``run``, ``metric`` (of `SHOWN`), ``condition`` (`CLEAN` or of `DEGRADED`);
        ``estimate`` with ``low`` and ``high``, over other images; ``change`` from clean images with
        ``change_low`` and ``change_high``, paired by image.
    """
    rows: list[dict[str, Any]] = []
    for run in comparison.runs:
        for metric in SHOWN:
            clean = comparison(metric, run, on=CLEAN)
            for condition in (CLEAN, *DEGRADED):
                values = comparison(metric, run, on=condition)
                row: dict[str, Any] = {"run": run, "metric": metric, "condition": condition}
                row |= image_interval(values).row()
                rows.append(row | image_interval(values - clean).columns("change"))
    return pd.DataFrame(rows)


def typical_image(comparison: Comparison, condition: str, run: str = "open") -> str:
    """Return the path of the photograph whose logit a degradation changes by the median."""
    clean, degraded = (
        comparison.scored[on][run].images.query("label == 0").set_index("image_id")["logit"]
        for on in (CLEAN, condition)
    )
    change = (degraded - clean).sort_values(kind="stable")
    return str(change.index[(len(change) - 1) // 2])
