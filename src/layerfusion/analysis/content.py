"""What images show, as the frozen encoder sees it: groups of like images, found without labels."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans

GROUPS = 8  # enough to tell animals from drawings, few enough that each has images to err on


def content_groups(embedding: ArrayLike, groups: int = GROUPS, seed: int = 0) -> pd.DataFrame:
    """Group images by k-means of their embeddings, each scaled to length 1 as CLIP compares them.

    What is alike in the last block's output is alike in content first, but in style too: groups may
    lean to one class. They know neither labels nor scores.

    Parameters
    ----------
    embedding
        The tower's output, shape (n, width).
    groups
        How many; as many as there are images where these are fewer.
    seed
        Of the ten starts, of which the best is taken.

    Returns
    -------
    DataFrame
        A row an image: ``group``, its number, 1 for the largest; ``distance`` from the group's
        centre (float32), small where the image is typical.

    Raises
    ------
    ValueError
        If there is no image, or no group is asked for.
    """
    rows = np.asarray(embedding, dtype=np.float64)
    if not len(rows) or groups < 1:
        raise ValueError("content takes an image and a group at least")
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    found = KMeans(min(groups, len(rows)), n_init=10, random_state=seed).fit(rows)
    by_size = np.argsort(-np.bincount(found.labels_), kind="stable")
    number = np.empty(len(by_size), dtype=np.int64)
    number[by_size] = np.arange(1, len(by_size) + 1)
    distance = np.linalg.norm(rows - found.cluster_centers_[found.labels_], axis=1)
    return pd.DataFrame({"group": number[found.labels_], "distance": distance.astype(np.float32)})
