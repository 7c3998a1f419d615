"""The images of one condition, as a study's runs of several seeds score them."""

import numpy as np
import pandas as pd

from layerfusion.analysis.measures import resamples_of
from layerfusion.metrics.scored import ScoredImages
from layerfusion.runs.condition import CONDITIONS
from layerfusion.settings import Blocks


def scored_images(
    predictions: pd.DataFrame, run: str, *, blocks: Blocks = "all", on: str = "local"
) -> ScoredImages:
    """Take the images of a condition out of a study's predictions.

    Parameters
    ----------
    predictions
        As `layerfusion.experiments.record.FinishedStudy` has them.
    run
        ``constrained`` or ``open``.
    blocks
        The head's: ``all``, or an ablation.
    on
        A condition of which the table has rows of its own; ``small`` has none.

    Raises
    ------
    LookupError
        If there are no such predictions, from two seeds at least, or the images have no labels.
    """
    chosen = predictions[
        (predictions["run"] == run)
        & (predictions["blocks"] == blocks)
        & (predictions["condition"] == on)
    ]
    seeds = [rows.reset_index(drop=True) for _, rows in chosen.groupby("seed")]
    if len(seeds) < 2:
        raise LookupError(f"two seeds of the {run} run, {blocks} blocks, were not scored on '{on}'")
    images, split = seeds[0][["label", "source", "style"]], CONDITIONS[on].split
    counts = resamples_of({split: images["label"]})
    if split not in counts:
        raise LookupError(f"the images of '{on}' have no labels")
    logits = np.stack([rows["logit"].to_numpy(dtype=np.float64) for rows in seeds])
    return ScoredImages(images, logits, counts[split])
