"""Picture and caption pairs that `clip-nano` learns from, as the web would hold them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import joblib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from layerfusion.demo.cameras import CAMERAS, Camera, photograph
from layerfusion.demo.rendering import render
from layerfusion.demo.scenes import Scene, caption, draw_scene

SIDES = (72, 112)  # range of height and width, px, before a picture is made smaller for the web
CHUNK = 64  # pairs that a worker draws at a time


@dataclass(frozen=True)
class Pair:
    """A photograph, uint8 (height, width, 3), its scene, and words on its quality."""

    picture: NDArray[np.uint8]
    scene: Scene
    quality: tuple[str, ...]

    def caption(self, rng: np.random.Generator | None = None) -> str:
        """Return a caption: complete without `rng`, otherwise with parts left out."""
        words = [word for word in self.quality if rng is None or rng.random() < 0.5]
        return " ".join([*words, caption(self.scene, rng)])


def draw_pairs(seed: Sequence[int], count: int) -> list[Pair]:
    """Draw pairs, the same for a seed whatever the number of cores."""
    jobs = (joblib.delayed(_draw_pair)([*seed, index]) for index in range(count))
    workers = 1 if count <= 2 * CHUNK else -1  # starting them takes longer than a few pairs
    return list(joblib.Parallel(n_jobs=workers, batch_size=CHUNK)(jobs))


def _draw_pair(seed: list[int]) -> Pair:
    rng = np.random.default_rng(seed)
    scene, camera = draw_scene(rng), CAMERAS[rng.integers(len(CAMERAS))]
    height, width = rng.integers(*SIDES, size=2)
    photo = Image.fromarray(photograph(render(scene, height, width), camera, rng))
    scale = float(rng.uniform(0.65, 1.0)) if rng.random() < 0.4 else 1.0
    # A crop of 64 px must fit.
    size = (max(round(width * scale), 64), max(round(height * scale), 64))
    quality = int(rng.integers(60, 99))
    file = io.BytesIO()
    photo.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=quality)
    return Pair(np.asarray(Image.open(file)), scene, _quality_words(camera, scale, quality))


def _quality_words(camera: Camera, scale: float, quality: int) -> tuple[str, ...]:
    """Return what people say of a picture's quality; captions on the web often do."""
    words = {
        "grainy": camera.shot_noise >= 0.0008 and scale > 0.8,
        "soft": camera.blur >= 0.7 and scale > 0.8,
        "sharp": scale < 0.8,
        "compressed": quality < 72,
    }
    return tuple(word for word, holds in words.items() if holds)
