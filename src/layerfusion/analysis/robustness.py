"""How both runs fare as images are degraded further, and by the size of the images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.analysis.claims import Values, resamples
from layerfusion.analysis.comparison import Comparison
from layerfusion.metrics.probability import decide
from layerfusion.metrics.uncertainty import (
    image_interval,
    resampled_rates,
    resampled_roc_auc,
    with_known_spread,
)
from layerfusion.progress import Reporter
from layerfusion.runs.conditions import Condition, obtain_together

SHOWN = {"f1": "F1", "recall": "recall", "roc_auc": "ROC AUC"}


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


def curve(comparison: Comparison, sweep: Sweep, reporter: Reporter | None = None) -> pd.DataFrame:
    """Measure both runs on local images degraded ever more, at the clean images' threshold.

    Returns
    -------
    DataFrame
        Columns ``run``, ``strength`` (as the sweep has it), ``metric`` (f1, recall, roc_auc),
        ``estimate``, ``low`` and ``high``. Predictions are kept in the runs' folders and found
        again.
    """
    experiment = next(iter(comparison.experiments.values()))
    counts = resamples(experiment)["val"]
    scored = {
        strength: obtain_together(
            experiment, comparison.runs, Condition(degradation=degradation), reporter
        )
        for strength, degradation in sweep.degradations.items()
    }
    rows = []
    for name, run in comparison.runs.items():
        for strength, tables in scored.items():
            metrics = _metrics(tables[name], run.record.threshold, counts)
            for metric, values in metrics.items():
                interval = image_interval(values)
                rows.append({"run": name, "strength": strength, "metric": metric} | vars(interval))
    return pd.DataFrame(rows)


def size_table(comparison: Comparison) -> pd.DataFrame:
    """Measure both runs on local images of each size: shorter side below s, from s to 2s, above.

    s is the profile's ``training.small_side``, 512 px in the paper, whose Table 2 has the first.

    Returns
    -------
    DataFrame
        Columns ``run``, ``shorter side``, ``images``, then ``f1``, ``recall``, ``roc_auc``, each
        with ``low`` and ``high``; NaN where a bucket lacks a class, bounds also where it has one
        image of a class.
    """
    rows = []
    for name, run in comparison.runs.items():
        experiment = comparison.experiments[name]
        small, counts = experiment.profile.training.small_side, resamples(experiment)["val"]
        table = comparison.tables[name]["local"]
        shorter = table[["width", "height"]].min(axis=1).to_numpy(dtype=np.int64)
        for title, inside in {
            f"< {small} px": shorter < small,
            f"{small} to {2 * small} px": (shorter >= small) & (shorter <= 2 * small),
            f"> {2 * small} px": shorter > 2 * small,
        }.items():
            found = _metrics(table[inside], run.record.threshold, counts[:, inside])
            row: dict[str, object] = {"run": name, "shorter side": title, "images": inside.sum()}
            for metric, values in found.items():
                interval = image_interval(values)
                row |= {metric: interval.estimate, f"{metric} low": interval.low}
                row |= {f"{metric} high": interval.high}
            rows.append(row)
    return pd.DataFrame(rows)


def _metrics(table: pd.DataFrame, threshold: float, counts: NDArray[np.int32]) -> dict[str, Values]:
    labels = table["label"].to_numpy(dtype=np.int64)
    counts = with_known_spread(labels, counts)
    called = decide(table["logit"], threshold)
    rates = resampled_rates(labels, called, counts)
    auc = resampled_roc_auc(labels, table["logit"].to_numpy(), counts)
    return {"f1": rates["f1"], "recall": rates["recall"], "roc_auc": auc}
