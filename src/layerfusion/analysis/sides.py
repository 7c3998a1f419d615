"""What the open run sees more of, and which images it calls otherwise than the constrained run."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.slices import UNKNOWN
from layerfusion.data.manifest import CLASSES
from layerfusion.metrics.probability import decide
from layerfusion.metrics.uncertainty import image_interval

NONE = "none"  # the generator of a photograph, the platform of an image that was not shared

# What becomes of an image from the constrained run to the open one, by (right there, right here).
SIDES = {
    (True, True): "right in both",
    (False, True): "fixed",
    (True, False): "broken",
    (False, False): "wrong in both",
}


def added_images(comparison: Comparison) -> pd.DataFrame:
    """Count the training images that the open run has and the constrained run has not.

    Returns
    -------
    DataFrame
        Columns ``source``, ``class``, ``generator``, ``platform`` (text; `NONE` of what an image
        has not) and ``images`` (int), the classes in their order.
    """
    trained = {run: chosen.training.rows for run, chosen in comparison.experiments.items()}
    rows = trained["open"]
    rows = rows[~rows["path"].isin(trained["constrained"]["path"])]
    columns = ["source", "class", "generator", "platform"]
    table = _named(rows.assign(**{"class": rows["label"].map(CLASSES)}))[columns]
    return table.value_counts(sort=False).sort_index().rename("images").reset_index()


def image_sides(comparison: Comparison, on: str = "local") -> pd.DataFrame:
    """Say of each image whether each run calls it right, at that run's own threshold.

    Returns
    -------
    DataFrame
        A row an image, in the runs' order: ``image_id``; ``class``, ``generator`` and ``platform``
        (text); ``side``, of `SIDES`; ``moved``, by how much further its logit lies on the right
        side of the threshold in the open run than in the constrained one.

    Raises
    ------
    LookupError
        If the images have no labels, or were not scored.
    """
    right, beyond = {}, {}
    for run, measures in comparison.measures.items():
        table, _ = measures.images(on)
        threshold = comparison.runs[run].record.threshold
        is_synthetic = (table["label"] == 1).to_numpy(dtype=bool)
        right[run] = decide(table["logit"], threshold) == is_synthetic
        sign = np.where(is_synthetic, 1.0, -1.0)
        beyond[run] = sign * (table["logit"].to_numpy() - logit(threshold))
    both = zip(right["constrained"].tolist(), right["open"].tolist(), strict=True)
    found = _named(table.assign(**{"class": table["label"].map(CLASSES)}))
    found = found[["image_id", "class", "generator", "platform"]].reset_index(drop=True)
    return found.assign(
        side=[SIDES[pair] for pair in both], moved=beyond["open"] - beyond["constrained"]
    )


def count_sides(comparison: Comparison, by: Sequence[str] = (), on: str = "local") -> pd.DataFrame:
    """Count the images that changed sides, for each class and what else is asked for.

    Parameters
    ----------
    by
        Columns of `image_sides` that divide the classes further, such as ``platform``.

    Returns
    -------
    DataFrame
        ``class`` and `by`; ``images``; a count for each of `SIDES`; ``net``, the share that was
        fixed less the share that was broken, in [-1, 1], with ``low`` and ``high`` over other
        images (both runs on the same resamples; NaN where no resample has such an image).

    Raises
    ------
    LookupError
        As `image_sides`.
    """
    sides = image_sides(comparison, on)
    _, counts = comparison.measures["open"].images(on)
    fixed, broken = (sides["side"] == side for side in ("fixed", "broken"))
    change: NDArray[np.int64] = fixed.to_numpy(dtype=np.int64) - broken.to_numpy(dtype=np.int64)
    rows = []
    for keys, members in sides.groupby(["class", *by], sort=True):
        drawn = counts[:, members.index]
        with np.errstate(invalid="ignore"):  # a resample may lack a small group
            net = image_interval((drawn @ change[members.index]) / drawn.sum(axis=1))
        row: dict[str, object] = dict(zip(["class", *by], keys, strict=True))
        row |= {"images": len(members)}
        row |= {side: int((members["side"] == side).sum()) for side in SIDES.values()}
        rows.append(row | {"net": net.estimate, "low": net.low, "high": net.high})
    return pd.DataFrame(rows)


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """Fill in what is missing: a photograph has no generator, a synthetic image's is unknown."""
    generator = rows["generator"].astype(object)
    of_photographs = (rows["class"] == CLASSES[0]) & generator.isna()
    generator = generator.mask(of_photographs, NONE).fillna(UNKNOWN)
    return rows.assign(generator=generator, platform=rows["platform"].astype(object).fillna(NONE))
