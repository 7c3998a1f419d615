"""Contact sheets: rows of pictures, each row with its name and each picture with its caption."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageOps

from layerfusion.figures.style import finish
from layerfusion.images.reading import ImageError, read_image

Picture = NDArray[np.uint8]

SIDE = 128  # px of a picture on the sheet
GAP = 4  # px between pictures


class SheetRow(NamedTuple):
    """A row of a sheet: its name, pictures of one shape (side, side, 3), a caption above each."""

    name: str
    pictures: Sequence[Picture]
    captions: Sequence[str] = ()
    colour: str = "black"


def contact_sheet(rows: Sequence[SheetRow], *, columns: int) -> Figure:
    """Draw rows of pictures below each other, white where a row has fewer than `columns`."""
    lines = max(caption.count("\n") + 1 for row in rows for caption in [*row.captions, ""])
    captioned = any(row.captions for row in rows)
    size = (1.15 * columns + 1.8, (1.15 + 0.12 * lines * captioned) * len(rows))
    figure, grid = plt.subplots(
        len(rows), 1, figsize=size, dpi=110, layout="constrained", squeeze=False
    )
    for axes, row in zip(grid.flat, rows, strict=True):
        axes.imshow(_strip(row.pictures, columns), interpolation="nearest")
        axes.set_ylabel(row.name, rotation=0, ha="right", va="center", color=row.colour)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("none")  # `finish` makes two of them visible again
        for number, caption in enumerate(row.captions):
            side = len(row.pictures[number])
            middle = number * (side + GAP) + side / 2
            axes.text(middle, -GAP, caption, ha="center", va="bottom", fontsize=6)
    return finish(figure)


def square_picture(path: Path) -> Picture:
    """Return the central square of an image, shape (SIDE, SIDE, 3); grey if it is damaged."""
    try:
        image = read_image(path)
    except ImageError:
        return np.full((SIDE, SIDE, 3), 200, dtype=np.uint8)
    return np.asarray(ImageOps.fit(image, (SIDE, SIDE), Image.Resampling.LANCZOS))


def _strip(pictures: Sequence[Picture], columns: int) -> Picture:
    """Lay pictures side by side on white."""
    side = len(pictures[0]) if pictures else SIDE
    strip = np.full((side, columns * (side + GAP) - GAP, 3), 255, dtype=np.uint8)
    for number, picture in enumerate(pictures):
        left = number * (side + GAP)
        strip[:, left : left + side] = picture
    return strip
