"""Groups of images: a sheet of what they show, and which of them a detector errs on."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.analysis.groups import EVERY
from layerfusion.figures.data import square_picture
from layerfusion.figures.errors import ERRORS
from layerfusion.figures.style import finish

ALPHA = 0.05


def in_a_sentence(errors: pd.DataFrame) -> str:
    """Return which groups err more than chance allows, as Markdown.

    Parameters
    ----------
    errors
        As `layerfusion.studies.errors.study_errors` or
        `layerfusion.analysis.slices.error_slices` returns them.
    """
    groups = errors[errors["by"] != EVERY]
    above = groups[groups["p_holm"] < ALPHA]
    said = [
        f"{row['by']} `{row['value']}`: {row['share']:.0%} {ERRORS[row['class']]} in the "
        f"{row['run']} run, {_mean(errors, row):.0%} of all {row['class']} images"
        for row in above.to_dict("records")
    ]
    found = f"**Of {len(groups)} groups {len(above) or 'none'} can be shown to err more often**"
    return f"{found} than chance allows, corrected for their number" + "".join(
        [": " if said else "", "; ".join(said), "."]
    )


def _mean(errors: pd.DataFrame, group: Mapping[Hashable, Any]) -> float:
    of = (errors["by"] == EVERY) & (errors["run"] == group["run"])
    return float(errors.loc[of & (errors["class"] == group["class"]), "share"].item())


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
