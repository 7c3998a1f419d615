"""What robustness is measured under: degradations of evaluation images (paper, Table 2).

A degradation takes an upright RGB image at full size, as `layerfusion.images.reading.read_image`
returns it, and gives another; enlarging and cropping (`layerfusion.images.transforms`) come after
it. JPEG and laundering, which keep the size, are the paper's: their steps, numbers and rounding are
those of the author's code.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter, features
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from layerfusion.errors import UserError
from layerfusion.images.augmentation import recompress
from layerfusion.images.pixel_types import Pixels
from layerfusion.images.reading import Picture
from layerfusion.images.transforms import EvaluationTransform, planes

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


@dataclass(frozen=True)
class Corruption:
    """A function of this module at a strength; it can be pickled, and handed to workers."""

    change: Callable[[Image.Image, int], Image.Image]
    strength: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the corrupted image."""
        return self.change(image, self.strength)


@dataclass(frozen=True)
class Chain:
    """One thing after another."""

    steps: tuple[Callable[[Image.Image], Image.Image], ...]

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the image after all of them."""
        for step in self.steps:
            image = step(image)
        return image


def blur(image: Image.Image, tenths: int) -> Image.Image:
    """Blur by a Gaussian; `tenths` of a pixel are its standard deviation."""
    return image.filter(ImageFilter.GaussianBlur(tenths / 10))


def noise(image: Image.Image, levels: int) -> Image.Image:
    """Add Gaussian noise, each colour of each pixel its own; `levels` of 256 are its deviation.

    It is drawn from the pixels themselves, so that neither order nor name of a file decides it;
    the sum is rounded and clipped.
    """
    pixels = np.asarray(image)
    rng = np.random.default_rng(list(sha256(pixels.tobytes()).digest()))
    noisy = pixels + rng.normal(0, levels, pixels.shape)
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def webp(image: Image.Image, quality: int) -> Image.Image:
    """Take the image through lossy WebP of a quality in 1..100."""
    return _through(image, "WEBP", quality)


def avif(image: Image.Image, quality: int) -> Image.Image:
    """Take the image through AVIF of a quality in 1..100, 4:2:0.

    Raises
    ------
    UserError
        If the installed Pillow writes no AVIF.
    """
    if not features.check("avif"):
        raise UserError("this Pillow writes no AVIF; install a newer one")
    return _through(image, "AVIF", quality)


def shrink(image: Image.Image, percent: int) -> Image.Image:
    """Return a smaller copy, at `percent` of each side, bicubic."""
    return image.resize(_percent(image, percent), Image.Resampling.BICUBIC)


def crop(image: Image.Image, percent: int) -> Image.Image:
    """Return the central `percent` of each side."""
    width, height = _percent(image, percent)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def screenshot(image: Image.Image, percent: int) -> Image.Image:
    """Return what a screen shows of a picture that is drawn at `percent` of its size, bilinear.

    A screen's own colours, and what stands around the picture, are left out.
    """
    return image.resize(_percent(image, percent), Image.Resampling.BILINEAR)


def bound(image: Image.Image, longest: int) -> Image.Image:
    """Return a copy whose longer side has `longest` px at most, Lanczos, as platforms make it."""
    if max(image.size) <= longest:
        return image
    scale = longest / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _through(image: Image.Image, kind: str, quality: int) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, kind, quality=quality)
    return Image.open(buffer, formats=(kind,)).convert("RGB")


def _percent(image: Image.Image, percent: int) -> tuple[int, int]:
    """Return width and height at some percent, rounded, at least 1 px."""
    width, height = (max(1, round(side * percent / 100)) for side in image.size)
    return width, height


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
    change.__name__: (partial(Corruption, change), least, largest, unit)
    for change, least, largest, unit in (
        (webp, 1, 100, "quality"),
        (avif, 1, 100, "quality"),
        (blur, 1, 200, "tenths of a pixel"),
        (noise, 1, 100, "levels"),
        (shrink, 1, 100, "percent"),
        (crop, 1, 100, "percent"),
        (screenshot, 1, 400, "percent"),
        (bound, 16, 65_500, "px"),
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
        return Chain(tuple(map(degradation, name.split("+"))))
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
