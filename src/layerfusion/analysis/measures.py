"""Images as the variants of a study, or both runs, score them: by condition, on shared resamples.

What has the same split has the same images and the same resamples of them, so that whatever is
subtracted is paired.
"""

from collections.abc import Mapping
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.data.manifest import Split
from layerfusion.errors import UserError
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.uncertainty import resample_images, with_known_spread
from layerfusion.runs.condition import condition_named
from layerfusion.settings import Blocks

RUNS = ("constrained", "open")

SPLITS: tuple[Split, ...] = ("val", "test")  # the paper's local and official images

RESAMPLES = 1000
RESAMPLING_SEED = 2026

Cell = tuple[str, int]  # a variant, or run, and a seed
Scored = Mapping[str, Mapping[str, ScoredImages]]  # by condition, then variant or run


def head_variant(run: str, blocks: Blocks) -> str:
    """Return the name of the variant of a run with a head; that of the paper is the run's."""
    return run if blocks == "all" else f"{run}-{blocks}"


def resamples(label: pd.Series, split: Split) -> NDArray[np.int32]:
    """Draw the resamples of a split's images, its own independent ones.

    Parameters
    ----------
    label
        0 or 1, shape (images,), in the manifest's order; the same labels give the same resamples.

    Returns
    -------
    NDArray
        As `layerfusion.metrics.uncertainty.resample_images`, shape (1 + 1000, images), emptied by
        `with_known_spread`.
    """
    labels, seed = label.to_numpy(dtype=np.int64), [RESAMPLING_SEED, SPLITS.index(split)]
    return with_known_spread(labels, resample_images(labels, resamples=RESAMPLES, seed=seed))


def scored_images(
    tables: Mapping[str, Mapping[str, Mapping[int, pd.DataFrame]]],
    thresholds: Mapping[Cell, float],
    small_side: int | None = None,
) -> Scored:
    """Return the images of each condition as each variant and seed scores them.

    Parameters
    ----------
    tables
        By condition, variant and seed: ``image_id``, ``label``, ``logit`` and what else is known of
        each image; all tables of a condition in one order.
    thresholds
        The probability from which an image is predicted synthetic: chosen on clean validation
        images, used under every condition (as in the paper).
    small_side
        Clean validation images whose shorter side is below, px, are the condition ``small``; None
        where nothing is asked of them.

    Returns
    -------
    Scored
        Without the conditions whose images have no labels.

    Raises
    ------
    UserError
        If two tables of a condition do not have the same images in the same order: what is
        subtracted image by image would be of different ones.
    """
    counts: dict[Split, NDArray[np.int32]] = {}
    found: dict[str, dict[str, ScoredImages]] = {}
    for on, variants in tables.items():
        images, split = _same_images(on, variants), condition_named(on).split
        if len(images) and images["label"].notna().all():
            if split not in counts:
                counts[split] = resamples(images["label"], split)
            found[on] = {
                name: _stacked(name, seeds, counts[split], thresholds)
                for name, seeds in variants.items()
            }
    if small_side is not None and "local" in found:
        found["small"] = _small(found["local"], small_side)
    return found


def scored_predictions(
    predictions: pd.DataFrame, thresholds: Mapping[Cell, float], small_side: int | None = None
) -> Scored:
    """Return `scored_images` of one table: a row a ``variant``, ``seed``, ``condition``, image."""
    tables: dict[str, dict[str, dict[int, pd.DataFrame]]] = {}
    for names, rows in predictions.groupby(["condition", "variant", "seed"]):
        on, variant, seed = cast(tuple[str, str, int], names)
        tables.setdefault(on, {}).setdefault(variant, {})[seed] = rows.reset_index(drop=True)
    return scored_images(tables, thresholds, small_side)


def _same_images(on: str, variants: Mapping[str, Mapping[int, pd.DataFrame]]) -> pd.DataFrame:
    """Return the images of a condition, or raise the UserError that tables differ in them."""
    first: pd.DataFrame | None = None
    for variant, seeds in variants.items():
        for seed, table in seeds.items():
            images = table[["image_id", "label"]]
            first = images if first is None else first
            if not images.equals(first):
                raise UserError(
                    f"{variant}, seed {seed}, has other images under '{on}' than the variants "
                    "before it; the table of predictions is damaged"
                )
    assert first is not None, on
    return first


def _stacked(
    variant: str,
    seeds: Mapping[int, pd.DataFrame],
    counts: NDArray[np.int32],
    thresholds: Mapping[Cell, float],
) -> ScoredImages:
    images = next(iter(seeds.values()))
    logits = np.stack([table["logit"].to_numpy(dtype=np.float64) for table in seeds.values()])
    own = np.array([thresholds[variant, seed] for seed in seeds])
    return ScoredImages(images, logits, counts, own, tuple(seeds))


def _small(local: Mapping[str, ScoredImages], side: int) -> dict[str, ScoredImages]:
    """Return the small ones of the clean validation images; all variants share the resamples."""
    first = next(iter(local.values()))
    small = (first.images[["width", "height"]].min(axis=1) < side).to_numpy(dtype=bool)
    counts = first.subset(small).counts
    return {
        name: ScoredImages(
            own.images[small], own.logits[:, small], counts, own.thresholds, own.seeds
        )
        for name, own in local.items()
    }
