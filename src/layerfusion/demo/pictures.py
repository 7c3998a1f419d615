"""The demo world's pictures, in the shape of the task: which there are, and how each is made.

Every picture begins as a scene that a camera photographs; a *synthetic* one has then gone through a
learned generator. What follows - cropping, sharing, saving - is drawn without looking at the label,
so that class says nothing of format, size or quality.

``train/constrained`` stands for COCO and Corvi's set: clean files of three cameras, and of latent
diffusion. ``train/social`` stands for TrueFake: four cameras and four generators, every picture
shared on one of three platforms. ``val`` stands for images found in the wild: the same, of all
sizes, shared or not. ``test`` stands for the hidden test set: it adds a camera, a generator and a
platform that nobody has trained on.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

from layerfusion.demo.cameras import CAMERAS, photograph
from layerfusion.demo.description import described
from layerfusion.demo.generators import FACTOR, Generator, load_generator
from layerfusion.demo.platforms import PLATFORMS, jpeg, share
from layerfusion.demo.rendering import render
from layerfusion.demo.scenes import Scene, draw_scene
from layerfusion.settings import WorldSource


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the world: where its pictures come from and what happens to them.

    `shorter_side` is the range before sharing, px; `shared` the share of pictures that have been
    through a platform.
    """

    split: str
    source: str
    cameras: tuple[str, ...]
    generators: tuple[str, ...]
    platforms: tuple[str, ...] = ()
    shared: float = 0.0
    shorter_side: tuple[int, int] = (80, 136)


PARTS = described("parts", Part)


class Picture(NamedTuple):
    """A picture to be made: the columns of `manifest.file_table`, then its camera and its seed."""

    path: str
    label: int
    split: str
    source: str
    generator: str | None
    platform: str | None
    camera: str
    shorter_side: tuple[int, int]
    seed: tuple[int, ...]


def plan(settings: WorldSource) -> Iterator[Picture]:
    """Yield what is to be made: in each part as many real as synthetic, in random order."""
    for number, part in enumerate(PARTS):
        rng = np.random.default_rng([settings.seed, number])
        count = settings.train_per_class if part.split == "train" else settings.evaluation_per_class
        folder = f"train/{part.source}" if part.split == "train" else part.split
        for index, label in enumerate(rng.permutation(2 * count) % 2):
            generator = str(rng.choice(part.generators))
            shared = rng.random() < part.shared
            platform = str(rng.choice(part.platforms)) if shared else None
            yield Picture(
                path="/".join(filter(None, (folder, platform, f"{index:06d}.jpg"))),
                label=int(label),
                split=part.split,
                source=part.source,
                generator=generator if label else None,
                platform=platform,
                camera=str(rng.choice(part.cameras)),
                shorter_side=part.shorter_side,
                seed=(settings.seed, number, index),
            )


def scene_of(picture: Picture) -> Scene:
    """Return the scene that a picture shows."""
    return draw_scene(np.random.default_rng([*picture.seed, 0]))


def make(picture: Picture) -> bytes:
    """Return a picture as a JPEG file."""
    rng = np.random.default_rng([*picture.seed, 1])
    shorter = int(rng.integers(picture.shorter_side[0], picture.shorter_side[1] + 1))
    sides = [shorter, round(shorter * rng.uniform(1.0, 1.4))]
    height, width = sides if rng.random() < 0.3 else sides[::-1]
    camera = next(camera for camera in CAMERAS if camera.name == picture.camera)
    # A margin, cut off at random: neither a camera's mosaic nor a generator's grid starts where
    # the JPEG's blocks do.
    rows, columns = (-(-(side + FACTOR - 1) // FACTOR) * FACTOR for side in (height, width))
    pixels = photograph(render(scene_of(picture), rows, columns), camera, rng)
    if picture.generator is not None:
        seed = int(np.random.default_rng([*picture.seed, 2]).integers(2**32))
        pixels = _generator(picture.generator).generate(pixels[None], seeds=[seed])[0]
    top, left = rng.integers(rows - height + 1), rng.integers(columns - width + 1)
    image = Image.fromarray(pixels[top : top + height, left : left + width])
    saved = jpeg(image, int(rng.integers(camera.jpeg_quality[0], camera.jpeg_quality[1] + 1)))
    if picture.platform is None:
        return saved
    return share(Image.open(io.BytesIO(saved)), PLATFORMS[picture.platform], rng)


@lru_cache
def _generator(name: str) -> Generator:
    return load_generator(name)
