"""Contact sheets of the demo world: the same scenes by each camera, generator and platform."""

import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from layerfusion.demo.cameras import CAMERAS, Camera, photograph
from layerfusion.demo.generators import GENERATORS, load_generator
from layerfusion.demo.platforms import PLATFORMS, share
from layerfusion.demo.rendering import render
from layerfusion.demo.scenes import Scene, draw_scene
from layerfusion.figures.contact_sheets import SIDE, Picture, SheetRow, contact_sheet

CAMERA = CAMERAS[1]  # behind every picture whose camera is not the point


def camera_sheet(seed: int = 0, columns: int = 6) -> Figure:
    """Draw a row a camera: the real pictures of the world, before JPEG."""
    scenes = _scenes(seed, columns)
    return _sheet({camera.name: _photographs(scenes, camera) for camera in CAMERAS})


def generator_sheet(seed: int = 0, columns: int = 6) -> Figure:
    """Draw a row of photographs, then a row a generator: what it makes of them."""
    photographs = _photographs(_scenes(seed, columns), CAMERA)
    rows = {"photograph": photographs}
    for name in GENERATORS:
        made = load_generator(name).generate(np.stack(photographs), seeds=range(columns))
        rows[name] = list(made)
    return _sheet(rows)


def platform_sheet(seed: int = 0, columns: int = 6) -> Figure:
    """Draw a row of photographs, then a row a platform: what it shows of them, at one size."""
    photographs = _photographs(_scenes(seed, columns), CAMERA)
    rows = {"photograph": photographs}
    for name, platform in PLATFORMS.items():
        rng = np.random.default_rng(seed)
        files = [share(Image.fromarray(photo), platform, rng) for photo in photographs]
        shown = [Image.open(io.BytesIO(file)) for file in files]
        size, nearest = (SIDE, SIDE), Image.Resampling.NEAREST
        rows[name] = [np.asarray(picture.resize(size, nearest)) for picture in shown]
    return _sheet(rows)


def _scenes(seed: int, count: int) -> list[Scene]:
    return [draw_scene(np.random.default_rng([seed, 4, index])) for index in range(count)]


def _photographs(scenes: list[Scene], camera: Camera) -> list[Picture]:
    return [
        photograph(render(scene, SIDE, SIDE), camera, np.random.default_rng(index))
        for index, scene in enumerate(scenes)
    ]


def _sheet(rows: dict[str, list[Picture]]) -> Figure:
    columns = max(len(pictures) for pictures in rows.values())
    return contact_sheet([SheetRow(*row) for row in rows.items()], columns=columns)
