"""Images as the variants of a study, or both runs, score them: by condition, on shared resamples.

What has the same split has the same images and the same resamples of them, so that whatever is
subtracted is paired.
"""

from collections.abc import Mapping

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
    predictions: pd.DataFrame, thresholds: Mapping[Cell, float], small_side: int | None = None
) -> Scored:
    """Return the images of each condition as each variant and seed scores them.

    Parameters
    ----------
    predictions
        A row a ``variant`` (or run), ``seed``, ``condition`` and image: ``image_id``, ``label``,
        ``logit`` and what else is known of each image; all images of a condition in one order.
    thresholds
        The probability from which an image is predicted synthetic: chosen on clean validation
        images, used under every condition (as in the paper).
    small_side
        Clean validation images whose shorter side is below, px, are the condition ``small``; None
        where nothing is asked of them.

    Returns
    -------
    Scored
        Conditions in the order of the table. Without the conditions whose images have no labels.

    Raises
    ------
    UserError
        If two variants or seeds of a condition do not have the same images in the same order: what
        is subtracted image by image would be of different ones.
    """
    counts: dict[Split, NDArray[np.int32]] = {}
    found: dict[str, dict[str, ScoredImages]] = {}
    for condition, rows in predictions.groupby("condition", sort=False):
        on, split = str(condition), condition_named(str(condition)).split
        label = _same_images(on, rows)["label"]
        if label.notna().all():
            if split not in counts:
                counts[split] = resamples(label, split)
            found[on] = {
                str(name): _stacked(str(name), own, counts[split], thresholds)
                for name, own in rows.groupby("variant")
            }
    if small_side is not None and "local" in found:
        found["small"] = {name: _small(own, small_side) for name, own in found["local"].items()}
    return found


def _same_images(on: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the images of a condition, or raise the UserError that cells differ in them."""
    columns = ["image_id", "label"]
    tables = [own[columns].reset_index(drop=True) for _, own in rows.groupby(["variant", "seed"])]
    if not all(own.equals(tables[0]) for own in tables):
        raise UserError(
            f"variants or seeds have other images than each other under '{on}'; the table of "
            "predictions is damaged"
        )
    return tables[0]


def _stacked(
    variant: str, rows: pd.DataFrame, counts: NDArray[np.int32], thresholds: Mapping[Cell, float]
) -> ScoredImages:
    """Return the images of a variant as each of its seeds scores them."""
    seeds = [(seed, own.reset_index(drop=True)) for seed, own in rows.groupby("seed")]
    logits = np.stack([own["logit"].to_numpy(dtype=np.float64) for _, own in seeds])
    numbers = tuple(int(str(seed)) for seed, _ in seeds)
    chosen = np.array([thresholds[variant, seed] for seed in numbers])
    return ScoredImages(seeds[0][1], logits, counts, chosen, numbers)


def _small(local: ScoredImages, side: int) -> ScoredImages:
    shorter = local.images[["width", "height"]].min(axis=1)
    return local.subset((shorter < side).to_numpy(dtype=bool))
