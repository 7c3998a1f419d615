"""Which images a study's runs get wrong, by all that is known of them, from predictions alone."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd

from layerfusion.analysis.measures import RUNS
from layerfusion.experiments.content import FinishedContent
from layerfusion.experiments.record import FinishedStudy
from layerfusion.metrics.groups import errors_by_group

SIZES = (0, 256, 384)  # px, of the shorter side
QUALITIES = (0, 70, 80, 90)


def study_errors(study: FinishedStudy, content: FinishedContent) -> pd.DataFrame:
    """Return the share of errors of each group of clean images, each seed at its own threshold.

    Parameters
    ----------
    content
        Groups of the same images.

    Returns
    -------
    DataFrame
        As `layerfusion.metrics.groups.errors_by_group`, of the paper's head in both runs, means
        over seeds.

    Raises
    ------
    KeyError
        If an image is in no group of content, or there are no such predictions.
    """
    scored = {run: study.scored["local"][run] for run in RUNS}
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
