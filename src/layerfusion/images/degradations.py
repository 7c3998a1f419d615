"""What robustness is measured under: degradations of evaluation images (paper, Table 2).

A degradation takes an upright RGB image at full size, as `layerfusion.images.reading.read_image`
returns it, and gives one of the same size; enlarging and cropping (`layerfusion.images.transforms`)
come after it. The steps, their numbers and how they round are those of the author's code.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image
from torchvision.transforms.v2 import functional as F

from layerfusion.errors import UserError
from layerfusion.images.transforms import recompress

Degradation = Callable[[Image.Image], Image.Image]

LARGEST_JPEG_SIDE = 65_500  # px; libjpeg refuses more
LEAST_LAUNDERED_SIDE = 32  # px; halving and cropping stop there


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
        if max(image.size) > LARGEST_JPEG_SIDE:
            raise UserError(f"a side of more than {LARGEST_JPEG_SIDE} px does not fit into a JPEG")
        return recompress(image, self.quality)


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
        restored = _bicubic(_bicubic(image, _shortened(image, self.scale)), image.size)
        width, height = _shortened(image, 90)
        return _bicubic(F.center_crop(restored, [height, width]), image.size)


# By name, those of the author's robustness runs; `degradation` knows other strengths as well.
DEGRADATIONS: dict[str, Degradation] = {
    "jpeg-95": Jpeg(95),
    "jpeg-85": Jpeg(85),
    "jpeg-75": Jpeg(75),
    "launder": Launder(),
}
_WITH_STRENGTH: dict[str, Callable[[int], Degradation]] = {"jpeg": Jpeg, "launder": Launder}


def degradation(name: str) -> Degradation:
    """Return a degradation by its name.

    That is one of `DEGRADATIONS`, ``jpeg-<quality>`` or ``launder-<scale>``, in 1..100.

    What is returned can be pickled, and so be handed to the loader's workers.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name in DEGRADATIONS:
        return DEGRADATIONS[name]
    match = re.fullmatch(r"(jpeg|launder)-([1-9][0-9]?|100)", name)
    if match is None:
        raise UserError(
            f"there is no degradation '{name}'; use launder, jpeg-<quality> or launder-<scale>, "
            "with a quality or a scale in percent from 1 to 100"
        )
    return _WITH_STRENGTH[match.group(1)](int(match.group(2)))


def _shortened(image: Image.Image, percent: int) -> tuple[int, ...]:
    """Return width and height at some percent, rounded down, neither below 32 px."""
    return tuple(max(LEAST_LAUNDERED_SIDE, side * percent // 100) for side in image.size)


def _bicubic(image: Image.Image, size: tuple[int, ...]) -> Image.Image:
    """Resize to (width, height) px; Pillow's bicubic filter is antialiased."""
    width, height = size
    return image.resize((width, height), Image.Resampling.BICUBIC)
