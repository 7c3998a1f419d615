"""Source kind `drawn`: pictures that the program draws itself. A stand-in: nothing here is a photo.

A scene is a colour gradient, 1/f noise and a few shapes. *Real* pictures render it at full size,
slightly blurred, with sensor noise; *synthetic* ones render it smaller and sample it up, noise and
all, as a generator's decoder does. Only the traces of that tell the two apart.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from layerfusion.data.manifest import file_table
from layerfusion.errors import UserError
from layerfusion.settings import DrawnSource, digest

SIDE = 96
PLATFORMS = ("Facebook", "Telegram", "Twitter")

# Standard deviations, in grey levels, of the noise before and after sampling up by a factor; they
# are such that files of both classes have about the same number of bytes. Strong, because a small
# random tower sees little.
NOISE = {1: (0.0, 20.0), 2: (46.0, 14.5), 4: (60.0, 15.5)}


class _Picture(NamedTuple):
    path: str
    label: int
    split: str
    source: str
    generator: str | None
    platform: str | None


def drawing_digest(settings: DrawnSource) -> str:
    """Return the sha256, 64 hex digits, of all that the pictures depend on: settings and code."""
    code = Path(__file__).read_text(encoding="utf-8")
    return digest({"settings": settings.model_dump(mode="json"), "code": code})


def draw_images(settings: DrawnSource, folder: Path) -> pd.DataFrame:
    """Draw the pictures into a folder, unless they are there, and return their `file_table`.

    No name, format or size of a file depends on its label. The same libraries draw the same bytes.
    The folder appears when all is drawn; if it holds something else, that is a UserError.
    """
    pictures = list(_pictures(settings))
    mark = f".drawn-{drawing_digest(settings)}"  # an empty file in a finished folder
    if not (folder / mark).exists():
        if folder.exists():
            raise UserError(f"{folder} holds something other than these pictures; move it away")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as partial:
            drawn = Path(partial) / folder.name
            for index, picture in enumerate(pictures, start=1):
                _draw(picture, drawn / picture.path, np.random.default_rng([settings.seed, index]))
            (drawn / mark).touch()
            try:
                drawn.rename(folder)
            except OSError:
                if not (folder / mark).exists():  # finished by another process in the meantime
                    raise
    return file_table(pictures)


def _pictures(settings: DrawnSource) -> Iterator[_Picture]:
    """Yield what is to be drawn: in each group as many real as synthetic, in random order."""
    rng = np.random.default_rng([settings.seed, 0])
    for split, source, count, scales in (
        ("train", "constrained", settings.train_per_class, [2]),
        ("train", "social", settings.train_per_class, [4]),
        ("val", "drawn", settings.evaluation_per_class, [2, 4]),
        ("test", "drawn", settings.evaluation_per_class, [2, 4]),
    ):
        folder = split if source == "drawn" else f"{split}/{source}"
        suffix = "png" if source == "constrained" else "jpg"
        for number, label in enumerate(rng.permutation(2 * count) % 2):
            platform = str(rng.choice(PLATFORMS)) if source == "social" else None
            generator = f"upsampling-x{rng.choice(scales)}" if label else None
            path = "/".join(filter(None, (folder, platform, f"{number:06d}.{suffix}")))
            yield _Picture(path, int(label), split, source, generator, platform)


def _draw(picture: _Picture, file: Path, rng: np.random.Generator) -> None:
    """Draw a picture and save it as its path says; JPEG stands for the way through the web."""
    scale = int(picture.generator[-1]) if picture.generator else 1
    before, after = np.array(NOISE[scale]) * rng.uniform(0.5, 1.5)
    image = _scene(rng, SIDE // scale).filter(ImageFilter.GaussianBlur(0.6 if scale == 1 else 0))
    for side, noise in ((SIDE // scale, before), (SIDE, after)):
        image = image.resize((side, side), Image.Resampling.BILINEAR)
        image = _to_image(np.asarray(image) + rng.normal(scale=noise, size=(side, side, 3)))
    if picture.split != "train" and rng.random() < 0.3:
        side = int(rng.integers(64, SIDE))
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file, quality=int(rng.integers(70, 96)))  # which PNG ignores


def _scene(rng: np.random.Generator, side: int) -> Image.Image:
    corners = Image.fromarray(rng.integers(40, 216, size=(2, 2, 3), dtype=np.uint8))
    gradient = np.asarray(corners.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64)
    frequencies = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)) + 0.5 / side
    waves = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(side, side))) / frequencies, (side, side))
    image = _to_image(gradient + rng.uniform(4, 16) * (waves / waves.std())[..., None])
    pencil = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 6)):
        left, top = rng.uniform(0, 0.8, size=2) * side
        width, height = rng.uniform(0.1, 0.5, size=2) * side
        shape = pencil.ellipse if rng.random() < 0.5 else pencil.rectangle
        colour = tuple(int(value) for value in rng.integers(30, 226, size=3))
        shape((left, top, left + width, top + height), fill=colour)
    return image


def _to_image(pixels: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
