"""The steps that a training image goes through, on pixels as arrays (paper, section 2).

Each takes uint8 pixels (height, width, 3), RGB and contiguous, leaves them alone and gives pixels
again. They compute what torchvision's steps do on PIL images, which is what the author's code ran,
in less time (the page *How fast*); the tests say how far they are from these: rounding, most of
all. The JPEG round trip is Pillow's to the last bit.
"""

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
import simplejpeg
import torch
from cv2.typing import MatLike
from torch.nn.functional import interpolate

from layerfusion.images.pixel_types import Pixels

_LEVELS = np.arange(256, dtype=np.float32)

cv2.setNumThreads(0)  # a loader's worker is one of many; and it is forked


def flip(pixels: Pixels) -> Pixels:
    """Mirror left to right."""
    return _bytes(cv2.flip(pixels, 1))


def adjust_brightness(pixels: Pixels, factor: float) -> Pixels:
    """Blend with black: 0 is black, 1 the image."""
    return _bytes(cv2.LUT(pixels, _blended(0.0, factor)))


def adjust_contrast(pixels: Pixels, factor: float) -> Pixels:
    """Blend with the image's mean grey: 0 is that grey, 1 the image."""
    mean = int(cv2.mean(_grey(pixels))[0] + 0.5)
    return _bytes(cv2.LUT(pixels, _blended(mean, factor)))


def adjust_saturation(pixels: Pixels, factor: float) -> Pixels:
    """Blend with the grey of each pixel: 0 is without colour, 1 the image."""
    grey = cv2.cvtColor(_grey(pixels), cv2.COLOR_GRAY2RGB)
    # Pillow cuts decimals off where OpenCV rounds; a grey pixel has none and must stay.
    return _bytes(cv2.addWeighted(pixels, factor, grey, 1 - factor, -0.498))


def adjust_hue(pixels: Pixels, factor: float) -> Pixels:
    """Turn the hue by a fraction of the circle, -0.5..0.5; hues are 256 steps, as in Pillow."""
    hsv = _bytes(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL))
    hsv[..., 0] += np.uint8(int(factor * 255) % 256)  # wraps
    return _bytes(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL))


ADJUST: dict[str, Callable[[Pixels, float], Pixels]] = {
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "saturation": adjust_saturation,
    "hue": adjust_hue,
}


def rotate(pixels: Pixels, degrees: float) -> Pixels:
    """Turn counter-clockwise about the centre, bilinear; the corners turn black."""
    height, width = pixels.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    # OpenCV turns four channels in half the time that three take it.
    four = cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA)
    turned = cv2.warpAffine(four, turn, (width, height), flags=cv2.INTER_LINEAR)
    return _bytes(cv2.cvtColor(turned, cv2.COLOR_RGBA2RGB))


def recompress(pixels: Pixels, quality: int) -> Pixels:
    """Take pixels through JPEG of a quality in 1..100, with 4:2:0 subsampling, Pillow's default.

    OpenCV encodes, as simplejpeg's encoder rounds otherwise than Pillow; simplejpeg decodes.
    """
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Pixels = simplejpeg.decode_jpeg(data, "RGB")
    return decoded


def resample(pixels: Pixels, side: int) -> Pixels:
    """Shrink, or enlarge, to a square of `side` px and back; bicubic, antialiased.

    Torch's kernel for bytes is Pillow's algorithm with weights of 16 bits.
    """
    # Torch has a faster way through pixels whose channels are last in memory, and keeps them so.
    image = torch.from_numpy(pixels).unsqueeze(0).permute(0, 3, 1, 2)
    square = interpolate(image, (side, side), mode="bicubic", antialias=True)
    back = interpolate(square, pixels.shape[:2], mode="bicubic", antialias=True)
    resampled: Pixels = back.squeeze(0).permute(1, 2, 0).numpy()
    return resampled


def _grey(pixels: Pixels) -> Pixels:
    """Return the luma of each pixel (ITU-R 601), shape (height, width)."""
    return _bytes(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))


def _blended(with_level: float, factor: float) -> Pixels:
    """Return what each of the 256 levels becomes; decimals are cut off, as Pillow does."""
    blended = with_level + np.float32(factor) * (_LEVELS - np.float32(with_level))
    levels: Pixels = np.clip(blended, 0, 255).astype(np.uint8)
    return levels


def _bytes(found: MatLike) -> Pixels:
    """Say to a type checker that bytes give bytes, which OpenCV's types leave open."""
    return cast(Pixels, found)
