"""Images to the pixels that the encoder sees (paper, section 2; sizes and order, author's code).

Both transforms take an upright RGB image, as `layerfusion.images.reading.read_image` returns it,
and give a contiguous uint8 tensor (3, crop, crop). CLIP's mean and standard deviation are not
applied here: the detector does that on its device, and the workers hand over a quarter of the
bytes.

All work on pixels is done on PIL images through `torchvision.transforms.v2.functional`, since its
PIL kernels are what the author's code ran: the tensor kernels differ from them by rounding.
"""

from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from layerfusion.settings import ImageSettings

# A picture longer than this many times its shorter side loses its ends before it is enlarged: a
# line of 1 x 10,000 pixels would otherwise take 2.6 GB for the sake of one small crop.
LONGEST_RATIO = 1000

_DRAWS = 18  # uniform numbers that `TrainingTransform.draw` uses up for every image

_ADJUST = {
    "brightness": F.adjust_brightness,
    "contrast": F.adjust_contrast,
    "saturation": F.adjust_saturation,
    "hue": F.adjust_hue,
}


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

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the central pixels of an RGB image, uint8 (3, crop, crop)."""
        image = enlarge(image, self.min_side)
        image = F.center_crop(image, [self.crop, self.crop])
        return _to_tensor(image)


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

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Tensor:
        """Return a random view of an RGB image, uint8 (3, crop, crop); see `image_rng`."""
        image = enlarge(image, self.min_side)
        return _to_tensor(self.apply(image, self.draw(rng, image.size)))

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Draws:
        """Decide all steps for an enlarged image of `size` (width, height).

        The generator is asked for the same number of uniform numbers whatever the settings and the
        size, and each has one use. Switching a step off, or changing its range, therefore leaves
        what is drawn for the other steps as it was.
        """
        uniform = rng.random(_DRAWS).tolist()
        left, top, flip, jitter, rotate, angle, jpeg, quality, resample, side = uniform[:10]
        chances = self.augmentation
        factors = self._adjustments(uniform[10:])
        turn = _between(angle, -chances.rotation_degrees, chances.rotation_degrees)
        jpeg_quality = _integer(quality, *chances.jpeg_quality)
        shrunk_side = _integer(side, *chances.resample_size)
        return Draws(
            left=_integer(left, 0, size[0] - self.crop),
            top=_integer(top, 0, size[1] - self.crop),
            flip=flip < chances.flip_probability,
            jitter=factors if jitter < chances.jitter_probability else None,
            angle=turn if rotate < chances.rotation_probability else None,
            quality=jpeg_quality if jpeg < chances.jpeg_probability else None,
            resample_side=shrunk_side if resample < chances.resample_probability else None,
        )

    def apply(self, image: Image.Image, draws: Draws) -> Image.Image:
        """Return the crop of an enlarged image after every step that was drawn for it."""
        image = F.crop(image, draws.top, draws.left, self.crop, self.crop)
        if draws.flip:
            image = F.horizontal_flip(image)
        for name, factor in draws.jitter or ():
            image = _ADJUST[name](image, factor)
        if draws.angle is not None:
            image = F.rotate(image, draws.angle, InterpolationMode.BILINEAR)  # corners turn black
        if draws.quality is not None:
            image = recompress(image, draws.quality)
        if draws.resample_side is not None:
            image = _resize(image, draws.resample_side)
            image = _resize(image, self.crop)
        return image

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
    return _resize(F.center_crop(image, [height, width]), min_side)


def _resize(image: Image.Image, side: int) -> Image.Image:
    """Bring the shorter side to `side` px, bicubic with antialiasing."""
    resized: Image.Image = F.resize(image, [side], InterpolationMode.BICUBIC, antialias=True)
    return resized


def recompress(image: Image.Image, quality: int) -> Image.Image:
    """Return the image after a round trip through JPEG, with Pillow's default 4:2:0 subsampling."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    decoded = Image.open(buffer, formats=("JPEG",))
    decoded.load()
    return decoded


def _to_tensor(image: Image.Image) -> Tensor:
    """Return RGB pixels as uint8 (3, height, width), contiguous: a batch is then a plain copy."""
    return torch.from_numpy(np.stack([np.asarray(band) for band in image.split()]))


def _between(uniform: float, low: float, high: float) -> float:
    return low + uniform * (high - low)


def _integer(uniform: float, low: int, high: int) -> int:
    """Map a number in [0, 1) to an integer in [low, high], each as likely as the others."""
    return low + int(uniform * (high - low + 1))
