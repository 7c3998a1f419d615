"""What words are said of a source's images by a scale that none of that source's images made."""

import numpy as np
import pandas as pd

from layerfusion.evidence.words import Scale, Word
from layerfusion.scoring.reference import Reference

FEWEST_IMAGES = 10  # of fewer a share says nothing


def words_by_source(images: pd.DataFrame) -> pd.DataFrame:
    """Return how often each word is said of each source, the score alone deciding.

    Parameters
    ----------
    images
        A row an image: ``label`` (0 or 1), ``logit``, ``source``.

    Returns
    -------
    DataFrame
        A row a source and class of it with `FEWEST_IMAGES` or more: ``source``, ``label``,
        ``images``, and by the name of each word (``NONE``, ...) the number of images that have it.
        The scale is made of the images of all other sources.
    """
    rows = []
    for _, own in images.groupby(["source", "label"]):
        if len(own) < FEWEST_IMAGES:
            continue
        source, label = own[["source", "label"]].iloc[0]
        others = images[images["source"] != source]
        scale = Scale(
            Reference(
                others["label"].to_numpy(dtype=np.int64), others["logit"].to_numpy(dtype=float)
            )
        )
        said = [scale.word(logit) for logit in own["logit"]]
        rows.append(
            {"source": source, "label": int(label), "images": len(own)}
            | {word.name: said.count(word) for word in Word}
        )
    return pd.DataFrame(rows)
