"""Which images a pair of runs gets wrong: by platform, generator, size and file; on other sets."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from layerfusion.analysis.comparison import Comparison
from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.groups import UNKNOWN, by_group, error_share, errors_by_group, size_ranges
from layerfusion.metrics.probability import decide
from layerfusion.runs.condition import Condition
from layerfusion.runs.conditions import obtain_together

QUARTERS = ("lowest quarter", "second", "third", "highest quarter")


def error_slices(comparison: Comparison, content: pd.Series | None = None) -> pd.DataFrame:
    """Return each run's share of errors in slices of the clean images, at its own threshold.

    Slices of a property hold all images between them.

    Parameters
    ----------
    content
        A further property, indexed by path: what images show, as
        `layerfusion.analysis.content.content_groups` returns it.

    Returns
    -------
    DataFrame
        As `layerfusion.metrics.groups.errors_by_group`, of one seed.
    """
    experiment = next(iter(comparison.experiments.values()))
    files = experiment.manifest.select(split="val").rows.set_index("path")
    small = experiment.profile.training.small_side

    def properties(images: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
        """Yield each property of images of a class, in the order it is shown."""
        for name in ("platform", "generator"):
            yield name, images[name].fillna(UNKNOWN)
        for name in ("source", "format"):
            yield name, images[name]
        ranges = size_ranges(images, small)
        side = np.select(list(ranges.values()), list(ranges), default="")
        yield "shorter side", pd.Series(pd.Categorical(side, list(ranges)))
        size = files.loc[images["image_id"], "bytes"].to_numpy(dtype=float)
        density = size / images[["width", "height"]].astype(float).prod(axis=1)
        yield "bytes per pixel", pd.cut(density.rank(method="first", pct=True), 4, labels=QUARTERS)
        if content is not None:
            yield "content", content.loc[images["image_id"]]

    return errors_by_group(comparison.scored["local"], properties).astype({"errors": "int64"})


def held_out_errors(comparison: Comparison) -> pd.DataFrame:
    """Return each run's share of errors on labelled sets that no run trains or is validated on.

    Returns
    -------
    DataFrame
        ``run``, ``source``, ``class`` and ``generator``; ``images``, ``errors``, ``share``, ``low``
        and ``high`` as in `error_slices`. No row if there are no such images.
    """
    columns = ["run", "source", "class", "generator", "images", "errors", "share", "low", "high"]
    parts = []
    experiment = next(iter(comparison.experiments.values()))
    if experiment.manifest.select(split="heldout").rows.empty:
        return pd.DataFrame(columns=columns)
    held_out = Condition(split="heldout")
    for name, table in obtain_together(experiment, comparison.runs, held_out).items():
        predicted = decide(table["logit"], comparison.runs[name].record.threshold)
        wrong = predicted != (table["label"] == 1).to_numpy(dtype=bool)
        table["generator"] = table["generator"].fillna("").astype(str)
        table["class"] = table["label"].map(CLASSES)
        parts.append(by_group(table, columns[1:4], error_share(wrong[None])).assign(run=name))
    return pd.concat(parts, ignore_index=True)[columns].astype({"errors": "int64"})
