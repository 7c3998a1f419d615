"""Which images a run gets wrong: shares of errors by platform, generator, size and file."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from layerfusion.analysis.claims import RUNS
from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.groups import corrected, errors_by_group
from layerfusion.data.manifest import CLASSES
from layerfusion.metrics.probability import decide
from layerfusion.metrics.uncertainty import share_interval
from layerfusion.progress import Reporter
from layerfusion.runs.conditions import CONDITIONS, Condition, obtain_together

UNKNOWN = "unknown"
QUARTERS = ("lowest quarter", "second", "third", "highest quarter")


def error_slices(
    comparison: Comparison, on: str = "local", content: pd.Series | None = None
) -> pd.DataFrame:
    """Return each run's share of errors in slices of the images, at its own threshold.

    Slices of a property hold all images between them. A property that has one value only tells
    nothing and is left out, for each class by itself: photographs have no generator.

    Parameters
    ----------
    content
        A further property, indexed by path: what images show, as
        `layerfusion.analysis.content.content_groups` returns it.

    Returns
    -------
    DataFrame
        ``run``; ``class`` (real: errors are false alarms; synthetic: misses); then as
        `layerfusion.analysis.groups.errors_by_group`, of one seed, and ``p_holm``, corrected over
        all slices of both runs.

    Raises
    ------
    LookupError
        If the images have no labels, or were not scored.
    """
    parts = []
    for run in RUNS:
        table, _ = comparison.measures[run].images(on)
        experiment = comparison.experiments[run]
        files = experiment.manifest.select(split=CONDITIONS[on].split).rows.set_index("path")
        called = decide(table["logit"], comparison.runs[run].record.threshold)
        wrong = (called != (table["label"] == 1)).to_numpy(dtype=bool)
        sizes = files.loc[table["image_id"], "bytes"].to_numpy(dtype=float)
        table = table.assign(bytes=sizes)
        if content is not None:
            table = table.assign(content=content.loc[table["image_id"]].to_numpy())
        for label, name in CLASSES.items():
            own = (table["label"] == label).to_numpy(dtype=bool)
            if not own.any():
                continue
            properties = _properties(table[own], experiment.profile.training.small_side)
            found = errors_by_group(wrong[None, own], properties)
            parts.append(found.assign(**{"run": run, "class": name}))
    slices = corrected(pd.concat(parts, ignore_index=True)).astype({"errors": "int64"})
    return slices[["run", "class", *slices.columns.drop(["run", "class"])]]


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
        called = decide(table["logit"], comparison.runs[name].record.threshold)
        table["wrong"] = (called != (table["label"] == 1)).to_numpy(dtype=bool)
        table["generator"] = table["generator"].fillna("").astype(str)
        table["class"] = table["label"].map(CLASSES)
        for keys, members in table.groupby(columns[1:4]):
            row = dict(zip(columns[1:4], keys, strict=True))
            rows.append({"run": name} | row | _share(members["wrong"]))
    return pd.DataFrame(rows, columns=columns)


def _properties(images: pd.DataFrame, small: int) -> Iterator[tuple[str, pd.Series]]:
    """Yield each property of images of a class, in the order it is shown."""
    shorter = images[["width", "height"]].min(axis=1).astype(float)
    size = pd.cut(
        shorter,
        [-np.inf, small - 1, 2 * small, np.inf],
        labels=[f"< {small} px", f"{small} to {2 * small} px", f"> {2 * small} px"],
    )
    density = images["bytes"] / images[["width", "height"]].astype(float).prod(axis=1)
    quarter = pd.cut(density.rank(method="first", pct=True), 4, labels=list(QUARTERS))
    yield from {
        "platform": images["platform"].fillna(UNKNOWN),
        "generator": images["generator"].fillna(UNKNOWN),
        "source": images["source"],
        "format": images["format"],
        "shorter side": size,
        "bytes per pixel": quarter,
    }.items()
    if "content" in images:
        yield "content", images["content"]


def _share(wrong: pd.Series) -> dict[str, object]:
    errors, images = int(wrong.sum()), len(wrong)
    share = share_interval(errors, images)
    counts = {"images": images, "errors": errors}
    return counts | {"share": share.estimate, "low": share.low, "high": share.high}
