"""How both runs fare as images are degraded further."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from layerfusion.analysis.comparison import Comparison
from layerfusion.metrics.scored import Metric
from layerfusion.runs.condition import Condition

SHOWN: dict[Metric, str] = {"f1": "F1", "recall": "recall", "roc_auc": "ROC AUC"}


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
        Columns ``run``, ``strength`` (as the sweep has it), ``metric`` (f1, recall, roc_auc),
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
