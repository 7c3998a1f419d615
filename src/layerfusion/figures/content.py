"""Groups of like images, a row a group, for somebody to name them."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.figures.data import square_picture
from layerfusion.figures.style import finish


def content_sheet(
    root: Path, images: pd.DataFrame, names: Mapping[int, str], *, columns: int = 8
) -> Figure:
    """Show the images that are most typical of each group.

    Parameters
    ----------
    root
        Where the images lie.
    images
        A row an image: ``image_id`` (its path below `root`), ``group`` and ``distance``, as
        `layerfusion.analysis.content.content_groups` returns them.
    names
        What stands beside each group's row, by its number.
    """
    groups = sorted(images["group"].unique())
    figure, axes = plt.subplots(
        len(groups), 1, figsize=(1.1 * columns + 1.8, 1.1 * len(groups)), dpi=100,
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for ax, number in zip(axes.flat, groups, strict=True):
        own = images[images["group"] == number].nsmallest(columns, "distance")
        pictures = [square_picture(root / path) for path in own["image_id"]]
        empty = [np.full_like(pictures[0], 255)] * (columns - len(pictures))
        ax.imshow(np.concatenate([*pictures, *empty], axis=1), interpolation="nearest")
        ax.set_ylabel(
            fill(names[number], 22), rotation=0, ha="right", va="center", fontsize="small"
        )
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return finish(figure)
