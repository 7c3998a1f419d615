"""What robustness is measured under: degradations of evaluation images (paper, Table 2).

A degradation takes an upright RGB image at full size, as `layerfusion.images.read_image` returns
it, and gives one of the same size; enlarging and cropping (`layerfusion.transforms`) come after it.
The steps and their numbers are those of the author's code. How that rounds odd sizes is not known:
here every size is rounded down.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from layerfusion.errors import UserError
from layerfusion.transforms import recompress

Degradation = Callable[[Image.Image], Image.Image]

LARGEST_JPEG_SIDE = 65_500  # px; libjpeg refuses more
LEAST_LAUNDERED_SIDE = 32  # px; halving stops there


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


def launder(image: Image.Image) -> Image.Image:
    """Return the image after "laundering": halved, restored, its edges cut off, restored again.

    Bicubic to half of each side, but no side below 32 px (so a smaller image is enlarged); bicubic
    back to the image's size; the central 90 % of each side; bicubic back to the image's size. There
    is no JPEG in it.
    """
    width, height = image.size
    half = tuple(max(LEAST_LAUNDERED_SIDE, side // 2) for side in image.size)
    restored = _bicubic(_bicubic(image, half), image.size)
    kept = [max(1, side * 9 // 10) for side in image.size]
    left, top = (width - kept[0]) // 2, (height - kept[1]) // 2
    return _bicubic(restored.crop((left, top, left + kept[0], top + kept[1])), image.size)


# By name, those of the author's robustness runs; `degradation` knows every other quality as well.
DEGRADATIONS: dict[str, Degradation] = {
    "jpeg-95": Jpeg(95),
    "jpeg-85": Jpeg(85),
    "jpeg-75": Jpeg(75),
    "launder": launder,
}


def degradation(name: str) -> Degradation:
    """Return a degradation by its name: one of `DEGRADATIONS`, or ``jpeg-<quality>``.

    What is returned can be pickled, and so be handed to the loader's workers.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name in DEGRADATIONS:
        return DEGRADATIONS[name]
    match = re.fullmatch(r"jpeg-([1-9][0-9]?|100)", name)
    if match is None:
        raise UserError(
            f"there is no degradation '{name}'; use launder, or jpeg-<quality> with a quality from "
            "1 to 100"
        )
    return Jpeg(int(match.group(1)))


def _bicubic(image: Image.Image, size: tuple[int, ...]) -> Image.Image:
    """Resize to (width, height) px; Pillow's bicubic filter is antialiased."""
    width, height = size
    return image.resize((width, height), Image.Resampling.BICUBIC)
