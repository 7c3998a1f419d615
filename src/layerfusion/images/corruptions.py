"""Corruptions beyond the paper's two: what happens to images on their way, each with a strength.

Each takes an upright RGB image and gives one; `shrink`, `crop`, `screenshot` and `bound` give one
of another size. The same image and strength give the same pixels, noise included.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter, features

from layerfusion.errors import UserError


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
