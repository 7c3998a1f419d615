"""A part of a resized image without the rest of it, and to the last bit what Pillow makes there.

Pillow resizes along rows and along columns, one after the other, and takes a filter's weights from
the length of a side. A part that is resized by itself gets weights of other last bits. Here each of
the two passes has the whole length of its side, and across it only what is wanted.
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

from layerfusion.images.pixel_types import Pixels

Size = tuple[int, int]  # (height, width), px

_REACH = 2  # px; of the bicubic filter to either side, times the scale where an image is shrunk


def bicubic(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize to (width, height) px; Pillow's bicubic filter is antialiased."""
    return image.resize(size, Image.Resampling.BICUBIC)


class Box(NamedTuple):
    """A part of an image, px; the end of each side is the first pixel behind it."""

    top: int
    left: int
    bottom: int
    right: int

    def moved(self, down: int, right: int) -> "Box":
        """Return the box so many pixels further down and right."""
        return Box(self.top + down, self.left + right, self.bottom + down, self.right + right)

    def of(self, pixels: Pixels) -> Pixels:
        """Return what an image (height, width, 3) shows there, as a view."""
        return pixels[self.top : self.bottom, self.left : self.right]


def along_rows_first(size: Size, target: Size) -> bool:
    """Say whether Pillow resizes an image along its rows before its columns, so that parts do.

    Pillow 11 and 12 do, but 12.2 for lines more than 100 times as high as wide. 13.0 does not where
    more than twice as many rows as columns are lost. That is nowhere written, and was found by
    trying these; the tests say whether the one that is installed agrees.
    """
    rows_lost, columns_lost = (before - after for before, after in zip(size, target, strict=True))
    return rows_lost <= 0 or (rows_lost <= 2 * columns_lost and size[0] <= 100 * size[1])


def needed(box: Box, size: Size, target: Size) -> Box:
    """Return what a part of a resized image depends on: a part of the image that is resized.

    Parameters
    ----------
    box
        The part of the resized image.
    size
        Of the image that is resized.
    target
        To what size it is resized; bicubic, antialiased.
    """
    top, bottom = _reached(box.top, box.bottom, size[0], target[0])
    left, right = _reached(box.left, box.right, size[1], target[1])
    return Box(top, left, bottom, right)


def resized_part(pixels: Pixels, box: Box, size: Size, target: Size) -> Pixels:
    """Return a part of an image of `size` resized to `target`, bicubic, antialiased.

    It is what Pillow makes where it works `along_rows_first`.

    Parameters
    ----------
    pixels
        What the image shows in ``needed(box, size, target)``: RGB, uint8 (height, width, 3).
    box
        The part that is wanted, in the resized image.

    Returns
    -------
    Array
        RGB, uint8 (box height, box width, 3), as the whole image would show it there.
    """
    given = needed(box, size, target)
    rows = np.zeros((given.bottom - given.top, size[1], 3), dtype=np.uint8)
    rows[:, given.left : given.right] = pixels
    across = _resized(rows, (len(rows), target[1]))[:, box.left : box.right]
    columns = np.zeros((size[0], box.right - box.left, 3), dtype=np.uint8)
    columns[given.top : given.bottom] = across
    return _resized(columns, (target[0], columns.shape[1]))[box.top : box.bottom]


def _reached(start: int, end: int, length: int, target: int) -> tuple[int, int]:
    scale = length / target
    reach = _REACH * max(scale, 1.0)
    first = math.floor((start + 0.5) * scale - reach)
    last = math.ceil((end - 0.5) * scale + reach)
    return max(first, 0), min(last + 1, length)


def _resized(pixels: Pixels, size: Size) -> Pixels:
    return np.asarray(bicubic(Image.fromarray(pixels), size[::-1]))
