"""Tables of a data card, as `layerfusion data card` writes it: what a set of images is made of."""

from pathlib import Path

import pandas as pd

from layerfusion.data.card import IMAGES, SOURCES, WHAT
from layerfusion.data.parquet import read_parquet
from layerfusion.errors import UserError
from layerfusion.metrics.classes import class_names


def sources_table(folder: Path) -> pd.DataFrame:
    """Return the sources of a card, those of real images first, each class by its images.

    Returns
    -------
    DataFrame
        Columns source, class (``real``, ``generated`` or ``both``), generators (empty where none is
        known), train and val (numbers of images, int64) and licence (text).

    Raises
    ------
    UserError
        If there is no card in the folder.
    """
    try:
        sources = pd.read_csv(folder / SOURCES, keep_default_na=False)
    except (OSError, ValueError):
        raise _no_card(folder) from None
    sources = sources.rename(columns={"what": "class"})
    sources["rank"] = sources["class"].map(WHAT.index)
    sources["images"] = sources["train"] + sources["val"]
    sources = sources.sort_values(
        ["rank", "images", "source"], ascending=[True, False, True], ignore_index=True
    )
    return sources[["source", "class", "generators", "train", "val", "licence"]]


def counts_table(folder: Path) -> pd.DataFrame:
    """Return how many labelled images of a card are in each split, class and style.

    Returns
    -------
    DataFrame
        Index: split and class. Columns: the styles, sorted (``unknown`` where none is said), and
        ``all``; int64.

    Raises
    ------
    UserError
        If there is no card in the folder.
    """
    try:
        images = read_parquet(folder / IMAGES)
    except (FileNotFoundError, UserError):
        raise _no_card(folder) from None
    kinds = images.assign(
        **{"class": class_names(images["label"]).astype("str")},
        style=images["style"].replace("", "unknown"),
    )
    counts = kinds.groupby(["split", "class", "style"]).size().unstack(fill_value=0)
    counts.columns.name = None
    return counts.assign(all=counts.sum(axis=1))


def _no_card(folder: Path) -> UserError:
    return UserError(f"there is no data card in {folder}; `layerfusion data card` writes one")
