"""Which groups of images a detector errs on more often than chance allows, class by class."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.analysis.sources import FEWEST_IMAGES
from layerfusion.metrics.significance import groups_above_the_rest, holm
from layerfusion.metrics.uncertainty import share_interval

EVERY = "all"


def errors_by_group(
    wrong: NDArray[np.bool_], properties: Iterable[tuple[str, pd.Series]]
) -> pd.DataFrame:
    """Return the share of errors in each group of the images of one class.

    Parameters
    ----------
    wrong
        Whether each seed's detector errs on each image, shape (seeds, images), one image at least.
    properties
        By what images are grouped: a name, and each image's value. A property of one value alone
        tells nothing and is left out, and so is one that groups images as one before it does; an
        image without a value is in none of its groups.

    Returns
    -------
    DataFrame
        A row a group, `EVERY` image first: ``by``, ``value``, ``images``; ``errors`` and ``share``
        (in [0, 1]), means over seeds; ``low`` and ``high``, Wilson's interval of the share in the
        seed whose number of errors is nearest to that mean: over other images, not other seeds;
        ``p``, of `layerfusion.metrics.significance.groups_above_the_rest`, NaN of all images.
    """
    share = wrong.mean(axis=0)
    groups = {(EVERY, EVERY): np.ones(len(share), dtype=bool)} | _groups(properties)
    p = groups_above_the_rest(share, np.stack(list(groups.values())))
    rows = [
        {"by": by, "value": value} | _share(wrong[:, own], float(chance))
        for ((by, value), own), chance in zip(groups.items(), p, strict=True)
    ]
    table = pd.DataFrame(rows)
    table.loc[table["by"] == EVERY, "p"] = np.nan
    return table


def corrected(tables: pd.DataFrame) -> pd.DataFrame:
    """Return tables of `errors_by_group`, one below the other, with ``p_holm`` over all groups."""
    return tables.assign(p_holm=holm(tables["p"].to_numpy()))


def worst_groups(table: pd.DataFrame, fewest: int = FEWEST_IMAGES) -> pd.DataFrame:
    """Return, of each class and run, all images' row and that of the group with most errors.

    Parameters
    ----------
    table
        Of `corrected`, with columns ``run`` and ``class``.
    fewest
        Images that a group must have to be called the worst.

    Returns
    -------
    DataFrame
        Two rows a run and class, or one where no group is large enough.
    """
    parts = []
    for _, own in table.groupby(["run", "class"], sort=False):
        groups = own[(own["by"] != EVERY) & (own["images"] >= fewest)]
        parts += [own[own["by"] == EVERY], groups.nlargest(1, "share")]
    return pd.concat(parts, ignore_index=True)


def _groups(
    properties: Iterable[tuple[str, pd.Series]],
) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Return which images are in each group, by property and value."""
    groups, seen = {}, set()
    for by, values in properties:
        partition = pd.factorize(values)[0].tobytes()  # numbered as they come, so that names differ
        if values.nunique() > 1 and partition not in seen:
            seen.add(partition)
            kinds = values.astype("category").cat.remove_unused_categories()
            for value in kinds.cat.categories:
                groups[by, str(value)] = (kinds == value).to_numpy(dtype=bool)
    return groups


def _share(wrong: NDArray[np.bool_], p: float) -> dict[str, object]:
    errors, images = float(wrong.sum(axis=1).mean()), wrong.shape[1]
    found = share_interval(round(errors), images)
    return {
        "images": images, "errors": errors, "share": errors / images,
        "low": min(found.low, errors / images), "high": max(found.high, errors / images), "p": p,
    }  # fmt: skip
