"""Which images a study's runs get wrong, by all that is known of them, from predictions alone."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import cast

import numpy as np
import pandas as pd

from layerfusion.analysis.measures import RUNS
from layerfusion.experiments.content import FinishedContent
from layerfusion.experiments.record import FinishedStudy
from layerfusion.metrics.groups import errors_by_group
from layerfusion.metrics.scored import ScoredImages
from layerfusion.settings import Blocks

SIZES = (0, 256, 384)  # px, of the shorter side
QUALITIES = (0, 70, 80, 90)


def study_errors(
    study: FinishedStudy,
    content: FinishedContent,
    *,
    blocks: Blocks = "all",
    on: str = "local",
) -> pd.DataFrame:
    """Return the share of errors of each group of images, each seed at its own threshold.

    Parameters
    ----------
    content
        Groups of the same images.
    blocks, on
        Which head, under which condition.

    Returns
    -------
    DataFrame
        As `layerfusion.metrics.groups.errors_by_group`, means over seeds.

    Raises
    ------
    KeyError
        If an image is in no group of content, or there are no such predictions.
    """
    thresholds, table = study.thresholds_of_heads(), study.predictions
    own = table[(table["blocks"] == blocks) & (table["condition"] == on)]
    scored = {}
    for run in RUNS:
        seeds = {
            cast(int, seed): rows.reset_index(drop=True)
            for seed, rows in own[own["run"] == run].groupby("seed")
        }
        images = next(iter(seeds.values()))
        logits = np.stack([rows["logit"].to_numpy(dtype=np.float64) for rows in seeds.values()])
        chosen = np.array([thresholds[seed, run, blocks] for seed in seeds])
        counts = np.ones((1, len(images)), dtype=np.int32)
        scored[run] = ScoredImages(images, logits, counts, chosen)
    return errors_by_group(scored, partial(_properties, content=content))


def _properties(images: pd.DataFrame, content: FinishedContent) -> Iterator[tuple[str, pd.Series]]:
    """Yield what is known of the images of a class, in the order it is shown."""
    for name in ("source", "style", "generator", "platform"):
        yield name, images[name]
    shorter = images[["width", "height"]].min(axis=1).astype(float)
    yield "shorter side", _ranges(shorter, SIZES, " px")
    written = content.images.set_index("image_id").loc[images["image_id"], "jpeg_quality"]
    yield "JPEG quality", _ranges(written.astype(float), QUALITIES, "")
    yield "content", content.named().loc[images["image_id"]]


def _ranges(values: pd.Series, bounds: tuple[int, ...], unit: str) -> pd.Series:
    """Return which range each value is in, in words; missing stays missing."""
    middle = [f"{low} to {high - 1}{unit}" for low, high in pairwise(bounds[1:])]
    labels = [f"< {bounds[1]}{unit}", *middle, f"≥ {bounds[-1]}{unit}"]
    return pd.cut(values, [*bounds, np.inf], right=False, labels=labels)
