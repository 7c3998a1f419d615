"""Which images a run gets wrong: shares of errors by platform, generator, size and file."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from layerfusion.analysis.claims import RUNS
from layerfusion.analysis.comparison import Comparison
from layerfusion.data.manifest import CLASSES
from layerfusion.metrics.uncertainty import share_interval
from layerfusion.progress import Reporter
from layerfusion.runs.conditions import CONDITIONS, Condition, obtain_together

UNKNOWN = "unknown"
QUARTERS = ("lowest quarter", "second", "third", "highest quarter")


def error_slices(comparison: Comparison, on: str = "local") -> pd.DataFrame:
    """Return each run's share of errors in slices of the images, at its own threshold.

    Slices of a property hold all images between them. A property that has one value only tells
    nothing and is left out, for each class by itself: photographs have no generator.

    Returns
    -------
    DataFrame
        ``run``; ``class`` (real: errors are false alarms; synthetic: misses); ``by`` (the
        property; ``all`` for the class as a whole) and ``value``; ``images`` and ``errors``;
        ``share`` of errors with ``low`` and ``high`` (Wilson's interval), in [0, 1].

    Raises
    ------
    LookupError
        If the images have no labels, or were not scored.
    """
    rows: list[dict[str, object]] = []
    for run in RUNS:
        table, _ = comparison.measures[run].images(on)
        experiment = comparison.experiments[run]
        files = experiment.manifest.select(split=CONDITIONS[on].split).rows.set_index("path")
        called = table["probability"] >= comparison.runs[run].record.threshold
        wrong = (called != (table["label"] == 1)).to_numpy(dtype=bool)
        table = table.assign(
            wrong=wrong, bytes=files.loc[table["image_id"], "bytes"].to_numpy(dtype=float)
        )
        for label, name in CLASSES.items():
            own = table[(table["label"] == label).to_numpy(dtype=bool)]
            small = experiment.profile.training.small_side
            for by, values in _properties(own, small):
                for value, members in own.groupby(values, observed=True):
                    row = {"run": run, "class": name, "by": by, "value": str(value)}
                    rows.append(row | _share(members["wrong"]))
    return pd.DataFrame(rows)


def held_out_errors(comparison: Comparison, reporter: Reporter | None = None) -> pd.DataFrame:
    """Return each run's share of errors on labelled sets that no run trains or is validated on.

    Returns
    -------
    DataFrame
        ``run``, ``source``, ``class`` and ``generator``; ``images``, ``errors``, ``share``, ``low``
        and ``high`` as in `error_slices`. No row if there are no such images.
    """
    columns = ["run", "source", "class", "generator", "images", "errors", "share", "low", "high"]
    rows: list[dict[str, object]] = []
    experiment = next(iter(comparison.experiments.values()))
    if experiment.manifest.select(split="heldout").rows.empty:
        return pd.DataFrame(rows, columns=columns)
    held_out = Condition(split="heldout")
    for name, table in obtain_together(experiment, comparison.runs, held_out, reporter).items():
        called = table["probability"] >= comparison.runs[name].record.threshold
        table["wrong"] = (called != (table["label"] == 1)).to_numpy(dtype=bool)
        table["generator"] = table["generator"].fillna("").astype(str)
        table["class"] = table["label"].map(CLASSES)
        for keys, members in table.groupby(columns[1:4]):
            row = dict(zip(columns[1:4], keys, strict=True))
            rows.append({"run": name} | row | _share(members["wrong"]))
    return pd.DataFrame(rows, columns=columns)


def _properties(images: pd.DataFrame, small: int) -> Iterator[tuple[str, pd.Series]]:
    """Yield each property that tells images of a class apart, in the order it is shown."""
    shorter = images[["width", "height"]].min(axis=1).astype(float)
    size = pd.cut(
        shorter,
        [-np.inf, small - 1, 2 * small, np.inf],
        labels=[f"< {small} px", f"{small} to {2 * small} px", f"> {2 * small} px"],
    )
    density = images["bytes"] / images[["width", "height"]].astype(float).prod(axis=1)
    quarter = pd.cut(density.rank(method="first", pct=True), 4, labels=list(QUARTERS))
    yield "all", pd.Series("all", index=images.index)
    for by, values in {
        "platform": images["platform"].fillna(UNKNOWN),
        "generator": images["generator"].fillna(UNKNOWN),
        "source": images["source"],
        "format": images["format"],
        "shorter side": size,
        "bytes per pixel": quarter,
    }.items():
        if values.nunique() > 1:
            yield by, values


def _share(wrong: pd.Series) -> dict[str, object]:
    errors, images = int(wrong.sum()), len(wrong)
    share = share_interval(errors, images)
    counts = {"images": images, "errors": errors}
    return counts | {"share": share.estimate, "low": share.low, "high": share.high}
