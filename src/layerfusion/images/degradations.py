"""What robustness is measured under: degradations of evaluation images (paper, Table 2).

A degradation takes an upright RGB image at full size, as `layerfusion.images.reading.read_image`
returns it, and gives another; enlarging and cropping (`layerfusion.images.transforms`) come after
it. JPEG and laundering, which keep the size, are the paper's: their steps, numbers and rounding are
those of the author's code. Others are in `layerfusion.images.corruptions`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from layerfusion.errors import UserError
from layerfusion.images import corruptions
from layerfusion.images.augmentation import recompress
from layerfusion.images.pixel_types import Pixels
from layerfusion.images.reading import Picture
from layerfusion.images.resizing import Box, along_rows_first, bicubic, needed, resized_part
from layerfusion.images.transforms import EvaluationTransform, planes

Degradation = Callable[[Image.Image], Image.Image]

LARGEST_JPEG_SIDE = 65_500  # px; libjpeg refuses more
LEAST_LAUNDERED_SIDE = 32  # px; halving and cropping stop there
_WINDOW = 90  # percent of each side that laundering keeps
_BLOCK = 16  # px; what a JPEG with 4:2:0 subsampling is coded in


@dataclass(frozen=True)
class Jpeg:
    """Recompression as JPEG at a quality in 1..100 (Table 2 has 85)."""

    quality: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the image after a round trip through JPEG, with 4:2:0 subsampling.

        Raises
        ------
        UserError
            If a side is longer than a JPEG may have.
        """
        _check_sides(image.size)
        return Image.fromarray(recompress(np.array(image), self.quality))

    def part(self, pixels: Pixels, corner: tuple[int, int], side: int) -> Pixels:
        """Return a square of what `__call__` returns, to the last bit, from the pixels about it.

        A JPEG's blocks of 16 x 16 px are coded one by one; only the colour at a block's edge is
        smoothed with the next block's. The blocks that touch the square, and one more on each side,
        are therefore enough.

        Parameters
        ----------
        pixels
            RGB, uint8 (height, width, 3).
        corner
            Top and left of the square, px.
        side
            Of the square, px.

        Raises
        ------
        UserError
            As `__call__`.
        """
        _check_sides(pixels.shape[1::-1])
        top, left = (max(0, start // _BLOCK - 1) * _BLOCK for start in corner)
        bottom, right = (((start + side) // _BLOCK + 2) * _BLOCK for start in corner)
        coded = recompress(np.array(pixels[top:bottom, left:right], order="C"), self.quality)
        y, x = corner[0] - top, corner[1] - left
        return coded[y : y + side, x : x + side]


@dataclass(frozen=True)
class Launder:
    """The resize-and-crop "laundering" of Table 2, at a scale in percent (the author's code: 50).

    Bicubic to `scale` percent of each side, but no side below 32 px (so a smaller image is
    enlarged); bicubic back to the image's size; the central 90 % of each side, rounded down but no
    side below 32 px, where torchvision's `center_crop` puts it (it pads a smaller image in black);
    bicubic back to the image's size. There is no JPEG in it.
    """

    scale: int = 50

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the laundered image."""
        restored = bicubic(bicubic(image, _shortened(image.size, self.scale)), image.size)
        width, height = _shortened(image.size, _WINDOW)
        return bicubic(F.center_crop(restored, [height, width]), image.size)

    def part(self, pixels: Pixels, corner: tuple[int, int], side: int) -> Pixels:
        """Return a square of what `__call__` returns, to the last bit, from the pixels about it.

        A high, narrow image is laundered whole (see `along_rows_first`).

        Parameters
        ----------
        pixels
            RGB, uint8 (height, width, 3), no side below 32 px.
        corner
            Top and left of the square, px.
        side
            Of the square, px.
        """
        height, width = size = pixels.shape[:2]
        square = Box(*corner, corner[0] + side, corner[1] + side)
        small = _shortened((width, height), self.scale)[::-1]
        if not along_rows_first(size, small):
            return square.of(np.asarray(self(Image.fromarray(pixels))))
        window = _shortened((width, height), _WINDOW)[::-1]
        margin = [round((whole - kept) / 2) for whole, kept in zip(size, window, strict=True)]
        shown = needed(square, window, size).moved(*margin)
        shrunk = needed(shown, small, size)
        part = resized_part(needed(shrunk, size, small).of(pixels), shrunk, size, small)
        part = resized_part(part, shown, small, size)
        return resized_part(part, square, window, size)


# By kind: what it is made of, its least and largest strength, and what that counts. Names of the
# author's robustness runs are jpeg-95, jpeg-85, jpeg-75 and launder.
_KINDS: dict[str, tuple[Callable[[int], Degradation], int, int, str]] = {
    "jpeg": (Jpeg, 1, 100, "quality"),
    "launder": (Launder, 1, 100, "percent"),
} | {
    change.__name__: (partial(corruptions.Corruption, change), least, largest, unit)
    for change, least, largest, unit in (
        (corruptions.webp, 1, 100, "quality"),
        (corruptions.avif, 1, 100, "quality"),
        (corruptions.blur, 1, 200, "tenths of a pixel"),
        (corruptions.noise, 1, 100, "levels"),
        (corruptions.shrink, 1, 100, "percent"),
        (corruptions.crop, 1, 100, "percent"),
        (corruptions.screenshot, 1, 400, "percent"),
        (corruptions.bound, 16, 65_500, "px"),
    )
}


def degradation(name: str) -> Degradation:
    """Return a degradation by its name.

    That is ``launder``, ``<kind>-<strength>`` as in ``jpeg-85`` or ``blur-15``, or several of these
    in their order, joined by plus signs: ``shrink-50+jpeg-80``.

    What is returned can be pickled, and so be handed to the loader's workers.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if "+" in name:
        return corruptions.Chain(tuple(map(degradation, name.split("+"))))
    if name == "launder":
        return Launder()
    match = re.fullmatch(r"([a-z]+)-([1-9][0-9]*)", name)
    if match and match[1] in _KINDS:
        make, least, largest, _ = _KINDS[match[1]]
        if least <= int(match[2]) <= largest:
            return make(int(match[2]))
    kinds = ", ".join(
        f"{kind}-<{least}..{largest} {unit}>" for kind, (_, least, largest, unit) in _KINDS.items()
    )
    raise UserError(
        f"there is no degradation '{name}'; use launder, {kinds}, or several joined by +"
    )


def evaluated(
    transform: EvaluationTransform, image: Pixels | Picture, degrade: Degradation | None
) -> Tensor:
    """Return what the transform makes of an image that is degraded first: uint8 (3, crop, crop).

    JPEG and laundering of an image that is not enlarged after it are made about the crop alone: the
    same pixels.

    Parameters
    ----------
    image
        Its RGB pixels, uint8 (height, width, 3), or a picture that is decoded as far as needed.
    degrade
        None leaves it as it is.

    Raises
    ------
    ImageError
        If the file turns out not to be readable.
    UserError
        If the image cannot be degraded.
    """
    if degrade is None:
        return transform(image)
    pixels = image.whole() if isinstance(image, Picture) else image
    least = max(transform.min_side, LEAST_LAUNDERED_SIDE)
    if isinstance(degrade, Jpeg | Launder) and min(pixels.shape[:2]) >= least:
        return planes(degrade.part(pixels, transform.corner(pixels.shape[:2]), transform.crop))
    return transform(degrade(Image.fromarray(pixels)))


def _check_sides(size: tuple[int, ...]) -> None:
    if max(size) > LARGEST_JPEG_SIDE:
        raise UserError(f"a side of more than {LARGEST_JPEG_SIDE} px does not fit into a JPEG")


def _shortened(size: tuple[int, int], percent: int) -> tuple[int, int]:
    """Return width and height at some percent, rounded down, neither below 32 px."""
    width, height = (max(LEAST_LAUNDERED_SIDE, side * percent // 100) for side in size)
    return width, height
