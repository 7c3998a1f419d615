"""How both runs fare as images are degraded further, and by the size of the images."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from layerfusion.claims import Values, resamples
from layerfusion.comparison import Comparison
from layerfusion.conditions import Condition, obtain_predictions
from layerfusion.figures import RUN_STYLES, finish
from layerfusion.progress import Reporter
from layerfusion.uncertainty import (
    LEVEL,
    image_interval,
    resampled_rates,
    resampled_roc_auc,
)

SHOWN = {"f1": "F1", "recall": "recall", "roc_auc": "ROC AUC"}


def jpeg_curve(
    comparison: Comparison, qualities: Sequence[int], reporter: Reporter | None = None
) -> pd.DataFrame:
    """Measure both runs on local images recompressed as JPEG, at the clean images' threshold.

    Parameters
    ----------
    qualities
        JPEG qualities in 1..100.

    Returns
    -------
    DataFrame
        Columns ``run``, ``quality``, ``metric`` (f1, recall, roc_auc), ``estimate``, ``low`` and
        ``high``. Predictions are kept in the runs' folders and found again.
    """
    rows = []
    for name, run in comparison.runs.items():
        experiment = comparison.experiments[name]
        counts = resamples(experiment)["val"]
        for quality in qualities:
            condition = Condition(degradation=f"jpeg-{quality}")
            table = obtain_predictions(experiment, run, condition, reporter)
            for metric, values in _metrics(table, run.record.threshold, counts).items():
                interval = image_interval(values)
                rows.append({"run": name, "quality": quality, "metric": metric} | vars(interval))
    return pd.DataFrame(rows)


def size_table(comparison: Comparison) -> pd.DataFrame:
    """Measure both runs on local images of each size: shorter side below s, from s to 2s, above.

    s is the profile's ``training.small_side``, 512 px in the paper, whose Table 2 has the first.

    Returns
    -------
    DataFrame
        Columns ``run``, ``shorter side``, ``images``, then ``f1``, ``recall``, ``roc_auc``, each
        with ``low`` and ``high``; NaN where a bucket lacks a class.
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


def draw_curve(curve: pd.DataFrame, comparison: Comparison, *, marked: int) -> Figure:
    """Draw a `jpeg_curve`, strength from left to right, the clean images' values as dashed lines.

    `marked` is the quality of the paper's table.
    """
    metrics = [name for name in SHOWN if name in set(curve["metric"])]
    figure, axes = plt.subplots(1, len(metrics), figsize=(9, 3.2), layout="constrained")
    for ax, metric in zip(np.atleast_1d(axes), metrics, strict=True):
        for run, style in RUN_STYLES.items():
            part = curve[(curve["run"] == run) & (curve["metric"] == metric)]
            ax.plot(part["quality"], part["estimate"], label=run, **style)
            color = style["color"]
            ax.fill_between(part["quality"], part["low"], part["high"], color=color, alpha=0.15)
            clean = comparison(metric, run)[0]  # type: ignore[arg-type]
            ax.axhline(clean, color=color, linestyle="--", linewidth=1)
        ax.axvline(marked, color="0.7", linestyle=":")
        ax.invert_xaxis()
        ax.set(xlabel="JPEG quality", title=SHOWN[metric])
    np.atleast_1d(axes)[0].legend(frameon=False)
    figure.supxlabel(
        f"bands: {LEVEL:.0%} over other images; dashed: clean images; dotted: the paper's quality",
        fontsize="small",
    )
    return finish(figure)


def _metrics(table: pd.DataFrame, threshold: float, counts: NDArray[np.int32]) -> dict[str, Values]:
    labels = table["label"].to_numpy(dtype=np.int64)
    called = table["probability"].to_numpy() >= threshold
    rates = resampled_rates(labels, called, counts)
    auc = resampled_roc_auc(labels, table["logit"].to_numpy(), counts)
    return {"f1": rates["f1"], "recall": rates["recall"], "roc_auc": auc}
