"""What befalls images on their way, beyond the paper's degradations; each with a strength.

Each takes an upright RGB image and gives one; `Shrink`, `Crop`, `Screenshot` and `Bound` give one
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
class Blur:
    """A Gaussian blur; `tenths` of a pixel are its standard deviation."""

    tenths: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the blurred image."""
        return image.filter(ImageFilter.GaussianBlur(self.tenths / 10))


@dataclass(frozen=True)
class Noise:
    """Gaussian noise, each colour of each pixel its own; `levels` of 256 are its deviation.

    It is drawn from the pixels themselves, so that neither order nor name of a file decides it.
    """

    levels: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the noisy image, rounded and clipped."""
        pixels = np.asarray(image)
        rng = np.random.default_rng(list(sha256(pixels.tobytes()).digest()))
        noisy = pixels + rng.normal(0, self.levels, pixels.shape)
        return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Webp:
    """A round trip through lossy WebP at a quality in 1..100."""

    quality: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the image as the file shows it."""
        return _through(image, "WEBP", self.quality)


@dataclass(frozen=True)
class Avif:
    """A round trip through AVIF at a quality in 1..100, 4:2:0."""

    quality: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the image as the file shows it.

        Raises
        ------
        UserError
            If the installed Pillow writes no AVIF.
        """
        if not features.check("avif"):
            raise UserError("this Pillow writes no AVIF; install a newer one")
        return _through(image, "AVIF", self.quality)


@dataclass(frozen=True)
class Shrink:
    """A smaller copy, at `percent` of each side, bicubic."""

    percent: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the smaller image."""
        return image.resize(_percent(image, self.percent), Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class Crop:
    """The central `percent` of each side."""

    percent: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the centre."""
        width, height = _percent(image, self.percent)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))


@dataclass(frozen=True)
class Screenshot:
    """What a screen shows of a picture that is drawn at `percent` of its size, bilinear.

    A screen's own colours, and what stands around the picture, are left out.
    """

    percent: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return what was on the screen."""
        return image.resize(_percent(image, self.percent), Image.Resampling.BILINEAR)


@dataclass(frozen=True)
class Bound:
    """A copy whose longer side has `longest` px at most, Lanczos, as platforms make it."""

    longest: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the smaller image, or the image."""
        if max(image.size) <= self.longest:
            return image
        scale = self.longest / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        return image.resize((width, height), Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class Chain:
    """One thing after another."""

    steps: tuple[Callable[[Image.Image], Image.Image], ...]

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the image after all of them."""
        for step in self.steps:
            image = step(image)
        return image


def _through(image: Image.Image, kind: str, quality: int) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, kind, quality=quality)
    return Image.open(buffer, formats=(kind,)).convert("RGB")


def _percent(image: Image.Image, percent: int) -> tuple[int, int]:
    """Return width and height at some percent, rounded, at least 1 px."""
    width, height = (max(1, round(side * percent / 100)) for side in image.size)
    return width, height
