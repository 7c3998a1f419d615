"""Simulated platforms: what sharing a picture does to it. Sizes are the demo's, about a tenth."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from layerfusion.demo.description import described


@dataclass(frozen=True, kw_only=True)
class Platform:
    """How a platform re-encodes what its users upload, whatever it shows.

    Real platforms bound the longer side, sharpen after shrinking and recompress with their own
    tables (Moltisanti et al. 2015, "Image manipulation on Facebook for forensics evidence", ICIAP).

    Attributes
    ----------
    longest_side
        Range that the bound on the longer side is drawn from, px; nothing is enlarged.
    filter
        How pixels are resampled, a name of `PIL.Image.Resampling`.
    sharpening
        Percent of an unsharp mask of radius 0.6 px after shrinking.
    jpeg_quality
        Range of the quality, both ends included.
    subsampling
        Of the JPEG's colour: 0 none, 2 in both directions.
    """

    name: str
    longest_side: tuple[int, int]
    filter: str
    sharpening: int
    jpeg_quality: tuple[int, int]
    subsampling: int


PLATFORMS = {platform.name: platform for platform in described("platforms", Platform)}


def share(image: Image.Image, platform: Platform, rng: np.random.Generator) -> bytes:
    """Return the JPEG file that a platform shows for an uploaded RGB image."""
    longest = int(rng.integers(platform.longest_side[0], platform.longest_side[1] + 1))
    scale = longest / max(image.size)
    if scale < 1:
        size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
        image = image.resize(size, Image.Resampling[platform.filter])
        if platform.sharpening:
            image = image.filter(ImageFilter.UnsharpMask(0.6, platform.sharpening, 0))
    quality = int(rng.integers(platform.jpeg_quality[0], platform.jpeg_quality[1] + 1))
    return jpeg(image, quality, platform.subsampling)


def jpeg(image: Image.Image, quality: int, subsampling: int = 0) -> bytes:
    """Return an RGB image as a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()
