"""Images to the pixels that the encoder sees (paper, section 2; sizes and order, author's code).

Both transforms take an upright RGB image, of Pillow, as an array or as a `Picture`, as
`layerfusion.images.reading` reads them, and return a contiguous uint8 tensor (3, crop, crop). Of a
picture no more rows are decoded than the crop needs. CLIP's mean and standard deviation are not
applied here: the detector does that on its device, and the workers hand over a quarter of the
bytes.

What is evaluated is the author's to the last bit: cut out of the image, or enlarged by the same PIL
kernels. Training images are cut out first, and go through the faster steps of
`layerfusion.images.augmentation`.
"""

from dataclasses import dataclass
from hashlib import sha256

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from layerfusion.images import augmentation
from layerfusion.images.pixel_types import Pixels
from layerfusion.images.reading import Picture
from layerfusion.settings import ImageSettings

RgbImage = Image.Image | Pixels | Picture

# A picture longer than this many times its shorter side loses its ends before it is enlarged: a
# line of 1 x 10,000 pixels would otherwise take 2.6 GB for the sake of one small crop.
LONGEST_RATIO = 1000

_DRAWS = 18  # uniform numbers that `TrainingTransform.draw` uses up for every image


def image_rng(seed: int, epoch: int, position: int) -> np.random.Generator:
    """Return the random generator of the image at `position` in the order of an epoch.

    It depends on these three non-negative numbers alone, so neither the number of workers or
    processes nor a resumed run changes an image.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, position)))


def view_rng(path: str, view: int) -> np.random.Generator:
    """Return the random generator of an image's view with this number, 0 or more.

    It depends on the image's path below the data root and on that number: all seeds, epochs and
    runs that draw this view see the same pixels.
    """
    image = int.from_bytes(sha256(path.encode()).digest())
    return np.random.default_rng(np.random.SeedSequence(image, spawn_key=(view,)))


class EvaluationTransform:
    """Enlarge a small image and cut out its centre."""

    def __init__(self, settings: ImageSettings) -> None:
        self.crop = settings.crop
        self.min_side = settings.min_side

    def __call__(self, image: RgbImage) -> Tensor:
        """Return the central pixels of an RGB image, uint8 (3, crop, crop)."""
        picture = enlarged(image, self.min_side)
        top, left = self.corner(picture.size)
        pixels = picture.upper(top + self.crop)
        return planes(pixels[top : top + self.crop, left : left + self.crop])

    def corner(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return top and left of the crop of a large enough image of `size` (height, width).

        Halves are rounded to even, as torchvision's `center_crop` does.
        """
        height, width = size
        return round((height - self.crop) / 2), round((width - self.crop) / 2)


@dataclass(frozen=True)
class Draws:
    """Everything that chance decides about one training image; None leaves a step out.

    Attributes
    ----------
    left, top
        Corner of the crop, px.
    flip
        Whether the crop is mirrored left to right.
    jitter
        Names and factors of the colour adjustments, in the order in which they are applied.
    angle
        Rotation, degrees counter-clockwise.
    quality
        JPEG quality, 1..100.
    resample_side
        Side to which the crop is shrunk before it is enlarged again, px.
    """

    left: int
    top: int
    flip: bool
    jitter: tuple[tuple[str, float], ...] | None
    angle: float | None
    quality: int | None
    resample_side: int | None


class TrainingTransform:
    """Enlarge a small image, cut out a random square and degrade it: the steps of `apply`."""

    def __init__(self, settings: ImageSettings) -> None:
        self.crop = settings.crop
        self.min_side = settings.min_side
        self.augmentation = settings.augmentation

    def __call__(self, image: RgbImage, rng: np.random.Generator) -> Tensor:
        """Return a random view of an RGB image, uint8 (3, crop, crop); see `image_rng`."""
        picture = enlarged(image, self.min_side)
        draws = self.draw(rng, picture.size[::-1])
        top, left = draws.top, draws.left
        pixels = picture.upper(top + self.crop)
        crop = np.array(pixels[top : top + self.crop, left : left + self.crop])
        return self.apply(crop, draws)

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Draws:
        """Decide all steps for an enlarged image of `size` (width, height).

        The generator is asked for the same number of uniform numbers whatever the settings and the
        size, and each has one use. Switching a step off, or changing its range, therefore leaves
        what is drawn for the other steps as it was.
        """
        uniform = rng.random(_DRAWS).tolist()
        left, top, flip, jitter, rotate, angle, jpeg, quality, resample, side = uniform[:10]
        chances = self.augmentation
        turn = _between(angle, -chances.rotation_degrees, chances.rotation_degrees)
        jpeg_quality = _integer(quality, *chances.jpeg_quality)
        shrunk_side = _integer(side, *chances.resample_size)
        return Draws(
            left=_integer(left, 0, size[0] - self.crop),
            top=_integer(top, 0, size[1] - self.crop),
            flip=flip < chances.flip_probability,
            jitter=(
                self._adjustments(uniform[10:]) if jitter < chances.jitter_probability else None
            ),
            angle=turn if rotate < chances.rotation_probability else None,
            quality=jpeg_quality if jpeg < chances.jpeg_probability else None,
            resample_side=shrunk_side if resample < chances.resample_probability else None,
        )

    def apply(self, pixels: Pixels, draws: Draws) -> Tensor:
        """Return a crop after every step that was drawn for it, uint8 (3, crop, crop)."""
        if draws.flip:
            pixels = augmentation.flip(pixels)
        for name, factor in draws.jitter or ():
            pixels = augmentation.ADJUST[name](pixels, factor)
        if draws.angle is not None:
            pixels = augmentation.rotate(pixels, draws.angle)
        if draws.quality is not None:
            pixels = augmentation.recompress(pixels, draws.quality)
        if draws.resample_side is not None:
            pixels = augmentation.resample(pixels, draws.resample_side)
        return planes(pixels)

    def _adjustments(self, uniform: list[float]) -> tuple[tuple[str, float], ...]:
        """Turn eight uniform numbers into four factors and the order of the adjustments.

        As in torchvision's `ColorJitter`, an adjustment of range 0 is left out: even a hue shift
        of 0 would change pixels, by way of HSV.
        """
        settings = self.augmentation
        ranges = {
            "brightness": (1.0, settings.jitter_brightness),
            "contrast": (1.0, settings.jitter_contrast),
            "saturation": (1.0, settings.jitter_saturation),
            "hue": (0.0, settings.jitter_hue),
        }
        drawn = [
            (rank, name, _between(value, centre - reach, centre + reach))
            for (name, (centre, reach)), value, rank in zip(
                ranges.items(), uniform[:4], uniform[4:], strict=True
            )
            if reach > 0
        ]
        return tuple((name, factor) for _, name, factor in sorted(drawn))


def enlarged(image: RgbImage, min_side: int) -> Picture:
    """Return an RGB image, enlarged as `enlarge` does if it is small.

    Raises
    ------
    ValueError
        If the image is not RGB.
    """
    if isinstance(image, Image.Image):
        return Picture.of(np.asarray(enlarge(image, min_side)))
    picture = image if isinstance(image, Picture) else Picture.of(image)
    if min(picture.size) >= min_side:
        return picture
    return Picture.of(np.asarray(enlarge(Image.fromarray(picture.whole()), min_side)))


def enlarge(image: Image.Image, min_side: int) -> Image.Image:
    """Resize an RGB image whose shorter side is below `min_side` px to it; leave others alone.

    Bicubic with antialiasing; the longer side keeps the proportions, rounded down. Beyond
    `LONGEST_RATIO` times the shorter side, only the middle of the longer one is used.

    Raises
    ------
    ValueError
        If the image is not RGB.
    """
    if image.mode != "RGB":
        raise ValueError(f"an RGB image is needed, not {image.mode}: see read_image")
    short = min(image.size)
    if short >= min_side:
        return image
    width, height = (min(side, LONGEST_RATIO * short) for side in image.size)
    middle = F.center_crop(image, [height, width])
    large: Image.Image = F.resize(middle, [min_side], InterpolationMode.BICUBIC, antialias=True)
    return large


def planes(pixels: Pixels) -> Tensor:
    """Return pixels as uint8 (3, height, width), contiguous: a batch is then a plain copy."""
    separate = np.empty((3, *pixels.shape[:2]), dtype=np.uint8)
    cv2.split(pixels, list(separate))
    return torch.from_numpy(separate)


def _between(uniform: float, low: float, high: float) -> float:
    return low + uniform * (high - low)


def _integer(uniform: float, low: int, high: int) -> int:
    """Map a number in [0, 1) to an integer in [low, high], each as likely as the others."""
    return low + int(uniform * (high - low + 1))
