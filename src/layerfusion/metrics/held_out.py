"""What is chosen on some images, judged on others: a threshold, an abstention band, a curve.

What is made on images at hand is used on images of sources that nobody had. How that ends can be
tried: by choosing on some of the sources and looking at the others. Beside it stands the easy case,
other images of the same sources.

``images`` is a table with a row an image and the columns ``label`` (0 or 1) and ``source``.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from layerfusion.errors import UserError
from layerfusion.metrics.groups import UNKNOWN
from layerfusion.metrics.uncertainty import Labels, Values, resample_images

SPLITS = 200
CHOICES = 500  # resamples of the images on which a choice is made again
SPLITTING_SEED = 2026

Made = TypeVar("Made")
Members = NDArray[Any]  # indices, or which, shape (images,) bool
Split = tuple[Members, Members]  # to choose on, to judge on


def held_out(
    rule: Callable[[Labels, Values], Made], splits: Iterable[Split], label: Labels, score: Values
) -> Iterator[tuple[Made, Members]]:
    """Apply a rule to one part of each split, and yield what it makes beside the other part.

    Parameters
    ----------
    rule
        Of labels and scores: returns a threshold, say.
    splits
        Each the images to choose on and those to judge on, which the rule never sees.
    label, score
        Shape (n,).
    """
    for chosen, left in splits:
        yield rule(label[chosen], score[chosen]), left


def out_of_fold(
    rule: Callable[[Labels, Values], Callable[..., NDArray[Any]]],
    splits: Iterable[Split],
    label: Labels,
    score: Values,
) -> Values:
    """Return what a rule that was made without an image says of it, shape (n,); NaN where none is.

    Parameters
    ----------
    rule
        Of labels and scores: returns a function of scores, such as a curve or a decision.
    """
    found = np.full(len(label), np.nan)
    for made, left in held_out(rule, splits, label, score):
        found[left] = made(score[left])
    return found


def source_names(images: pd.DataFrame) -> NDArray[np.str_]:
    """Return what tells sources apart, shape (images,): class and source, ``0 camera``.

    A source that has images of both classes is two; images without one are of a source `UNKNOWN`.
    Sources of one ``family``, where the table names these, are one.
    """
    names = images["source"].fillna(UNKNOWN).astype(str)
    if "family" in images:
        names = images["family"].fillna(names).astype(str)
    return (images["label"].astype(int).astype(str) + " " + names).to_numpy(dtype=np.str_)


def fewest_groups(label: Labels, groups: NDArray[Any]) -> int:
    """Return how many groups the class with the fewest has."""
    return min(len(np.unique(groups[label == kind])) for kind in (0, 1))


def folds(
    label: Labels, groups: NDArray[Any] | None = None, *, most: int = 5, seed: int = 0
) -> Iterator[Split]:
    """Divide images into folds, and yield all other folds beside each.

    Parameters
    ----------
    label
        0 or 1, shape (n,).
    groups
        If given, shape (n,): a group, such as a source, is in one fold whole.
    most
        How many folds, or as many as the scarcer class has images (groups).
    seed
        Of the division.

    Raises
    ------
    UserError
        If a class has fewer than two images (groups).
    """
    count = fewest_groups(label, np.arange(len(label)) if groups is None else groups)
    if count < 2:
        raise UserError("to divide images into folds, each class needs two sources or images")
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    divided = kind(min(most, count), shuffle=True, random_state=seed)
    yield from divided.split(np.empty((len(label), 1)), label, groups)


def resampled(label: Labels) -> list[Split]:
    """Return bootstrap resamples of images, stratified, each beside the images it leaves out."""
    drawn = resample_images(label, resamples=CHOICES)[1:]
    return [(np.repeat(np.arange(len(label)), own), np.flatnonzero(own == 0)) for own in drawn]


def image_halves(images: pd.DataFrame) -> list[Split]:
    """Return random halves of the images of each class; both have images of the same sources."""
    rng = np.random.default_rng([SPLITTING_SEED, 0])
    labels = images["label"].to_numpy(dtype=np.int64)
    found = []
    for _ in range(SPLITS):
        row = np.zeros(len(labels), dtype=bool)
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            row[rng.permutation(members)[: len(members) // 2]] = True
        found.append((row, ~row))
    return found


def source_halves(images: pd.DataFrame) -> list[Split]:
    """Return all images of a random half of each class's sources, and all others.

    Of an odd number of sources a random side has one more.

    Raises
    ------
    UserError
        If a class has fewer than two sources.
    """
    rng, names = np.random.default_rng([SPLITTING_SEED, 1]), source_names(images)
    by_class = [np.unique(names[images["label"] == label]) for label in (0, 1)]
    if min(map(len, by_class)) < 2:
        raise UserError("to divide images by source, each class must have two sources or more")
    found = []
    for _ in range(SPLITS):
        row = np.zeros(len(names), dtype=bool)
        for own in by_class:
            count = (len(own) + int(rng.integers(2))) // 2
            row |= np.isin(names, rng.permutation(own)[:count])
        found.append((row, ~row))
    return found


# What a choice is evaluated on, the easy case first.
EVALUATED_ON: dict[str, Callable[[pd.DataFrame], list[Split]]] = {
    "other images, same sources": image_halves,
    "other sources": source_halves,
}
