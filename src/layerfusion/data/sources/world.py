"""Source kind `world`: pictures in the shape of the task, photographed or generated here.

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
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import pandas as pd
from PIL import Image
from safetensors.torch import load_file

from layerfusion.arithmetic import recording
from layerfusion.data.manifest import Progress, file_table
from layerfusion.demo.cameras import CAMERAS, photograph
from layerfusion.demo.description import described
from layerfusion.demo.generators import FACTOR, WEIGHTS_FOLDER, Generator, load_generator
from layerfusion.demo.platforms import PLATFORMS, jpeg, share
from layerfusion.demo.rendering import render
from layerfusion.demo.scenes import Scene, draw_scene
from layerfusion.errors import UserError
from layerfusion.model.weight_files import tensors_sha256
from layerfusion.recipe import RECIPE
from layerfusion.settings import DataSettings, WorldSource, digest

# Pictures to a job: enough to hide what a job costs, few enough for a smooth progress bar.
CHUNK = 32

# What `contents` says of a picture; shape and colour are those of the first group of things.
CONTENTS = ("path", "shape", "colour", "ground", "backdrop", "light")


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


def world_digest(settings: WorldSource) -> str:
    """Return the sha256, 64 hex digits, of all that the pictures depend on."""
    # Of the tensors, for the order of what is said about them differs from one saving to the next.
    weights = {
        path.stem: tensors_sha256(load_file(path))
        for path in sorted(WEIGHTS_FOLDER.glob("*.safetensors"))
    }
    made_of = {"settings": settings.model_dump(mode="json"), "recipe": RECIPE}
    return digest(made_of | {"weights": weights})


def make_world(
    settings: WorldSource, folder: Path, progress: Progress | None = None
) -> pd.DataFrame:
    """Make the pictures in a folder, unless they are there, and return their `file_table`.

    The same settings give the same bytes on one machine, whatever its number of free cores. The
    folder appears when all is made.

    Raises
    ------
    UserError
        If the folder holds something else.
    """
    pictures = list(plan(settings))
    mark = f".world-{world_digest(settings)}"  # an empty file in a finished folder
    if not (folder / mark).exists():
        if folder.exists():
            raise UserError(f"{folder} holds something other than these pictures; move it away")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as partial:
            made = Path(partial) / folder.name
            _make_all(pictures, made, progress)
            (made / mark).touch()
            try:
                made.rename(folder)
            except OSError:
                if not (folder / mark).exists():  # finished by another process in the meantime
                    raise
    return file_table(picture[:6] for picture in pictures)


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


def contents(settings: DataSettings) -> pd.DataFrame:
    """Return what each picture shows: path, and shape, colour, ground, backdrop and light.

    Shape and colour are those of the scene's first group of things.

    Raises
    ------
    UserError
        If the images are not those of a world.
    """
    (source, *others) = settings.sources
    if others or not isinstance(source, WorldSource):
        raise UserError("only of a world is it known what each picture shows; use profile 'demo'")
    rows = []
    for picture in plan(source):
        scene = scene_of(picture)
        shown = {"path": picture.path} | vars(scene) | vars(scene.groups[0])
        rows.append([shown[column] for column in CONTENTS])
    return pd.DataFrame(rows, columns=list(CONTENTS))


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


def _make_all(pictures: list[Picture], folder: Path, progress: Progress | None) -> None:
    jobs = 1 if len(pictures) < 4 * CHUNK else -1  # a process a core takes seconds to start
    if progress:
        progress(0, len(pictures))
    with recording():
        made = joblib.Parallel(jobs, return_as="generator_unordered", batch_size=CHUNK)(
            joblib.delayed(_write)(picture, folder / picture.path) for picture in pictures
        )
        for done, _ in enumerate(made, start=1):
            if progress:
                progress(done, len(pictures))


def _write(picture: Picture, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(make(picture))
