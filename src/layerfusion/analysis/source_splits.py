"""Images divided by their sources: what is fitted on some of them meets others.

A threshold, a calibration curve or a promise about errors is made on images at hand and used on
images of sources that nobody had. How that ends can be tried: by fitting on some of the sources and
looking at the others. Beside it stands the easy case, other images of the same sources.

Everywhere here ``images`` is a table with a row an image and the columns ``label`` (0 or 1) and
``source``, as `layerfusion.analysis.sources.ScoredImages` has it.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.analysis.sources import UNKNOWN
from layerfusion.errors import UserError

SPLITS = 200
SPLITTING_SEED = 2026

Halves = Callable[[pd.DataFrame], NDArray[np.bool_]]


def source_names(images: pd.DataFrame) -> NDArray[np.str_]:
    """Return what tells sources apart, shape (images,): class and source, ``0 camera``.

    A source that has images of both classes is two; images without one are of a source `UNKNOWN`.
    """
    names = images["source"].fillna(UNKNOWN).astype(str)
    return (images["label"].astype(int).astype(str) + " " + names).to_numpy(dtype=np.str_)


def image_halves(
    images: pd.DataFrame, *, splits: int = SPLITS, seed: int = SPLITTING_SEED
) -> NDArray[np.bool_]:
    """Return random halves of the images of each class, shape (splits, images).

    Both halves hold images of the same sources.
    """
    rng = np.random.default_rng([seed, 0])
    labels = images["label"].to_numpy(dtype=np.int64)
    chosen = np.zeros((splits, len(labels)), dtype=bool)
    for row in chosen:
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            row[rng.permutation(members)[: len(members) // 2]] = True
    return chosen


def source_halves(
    images: pd.DataFrame, *, splits: int = SPLITS, seed: int = SPLITTING_SEED
) -> NDArray[np.bool_]:
    """Return all images of a random half of each class's sources, shape (splits, images).

    Of an odd number of sources a random side has one more.

    Raises
    ------
    UserError
        If a class has fewer than two sources.
    """
    rng = np.random.default_rng([seed, 1])
    names = source_names(images)
    by_class = [np.unique(names[images["label"] == label]) for label in (0, 1)]
    if min(map(len, by_class)) < 2:
        raise UserError("to divide images by source, each class must have two sources or more")
    chosen = np.zeros((splits, len(names)), dtype=bool)
    for row in chosen:
        for own in by_class:
            count = (len(own) + int(rng.integers(2))) // 2
            row |= np.isin(names, rng.permutation(own)[:count])
    return chosen


# What a promise is tried on, the easy case first.
TRIED_ON: dict[str, Halves] = {
    "other images, same sources": image_halves,
    "other sources": source_halves,
}


def resample_sources(
    images: pd.DataFrame, *, resamples: int = 1000, seed: int = SPLITTING_SEED
) -> NDArray[np.int32]:
    """Draw whole sources with replacement, as many of each class as there are.

    A cluster bootstrap: it says how far a number hangs on which sources there are. With a handful
    of them its intervals are rough, and rather too narrow (Cameron, Gelbach and Miller 2008).

    Returns
    -------
    NDArray
        Shape (1 + resamples, images), int32: how often each image counts, as often as its source
        was drawn. The first row is 1 everywhere. Rows differ in how many images they have.
    """
    rng = np.random.default_rng([seed, 2])
    names = source_names(images)
    counts = np.ones((1 + resamples, len(names)), dtype=np.int32)
    for label in (0, 1):
        members = np.flatnonzero(images["label"] == label)
        own, which = np.unique(names[members], return_inverse=True)
        if len(own):
            drawn = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=resamples)
            counts[1:, members] = drawn[:, which]
    return counts
