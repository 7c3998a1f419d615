"""Colours, lights, grounds and backdrops: what each looks like, by the name that captions give."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from layerfusion.demo.textures import Array, dead_leaves, power_law_noise

# Linear reflectance, RGB.
Colour = tuple[float, float, float] | NDArray[Any]
# Draws the reflectance of a ground or a backdrop of some height and width, (h, w, 3).
Surface = Callable[[np.random.Generator, tuple[int, int]], Array]

# Linear-light colours (not sRGB values), so that light and paint multiply.
COLOURS = {
    "red": (0.55, 0.05, 0.04),
    "orange": (0.70, 0.24, 0.03),
    "yellow": (0.72, 0.52, 0.06),
    "green": (0.09, 0.34, 0.07),
    "teal": (0.04, 0.34, 0.32),
    "blue": (0.06, 0.14, 0.52),
    "purple": (0.25, 0.08, 0.38),
    "pink": (0.70, 0.26, 0.36),
    "brown": (0.22, 0.11, 0.05),
    "white": (0.72, 0.71, 0.68),
    "grey": (0.22, 0.22, 0.23),
}
# Colour of the light, share of it that comes from everywhere, strength; linear RGB.
LIGHTS = {
    "daylight": ((1.0, 0.98, 0.94), 0.35, 1.25),
    "evening": ((1.15, 0.82, 0.52), 0.30, 1.0),
    "overcast": ((0.92, 0.98, 1.05), 0.65, 0.95),
    "lamplight": ((1.1, 0.85, 0.6), 0.22, 0.75),
}


def tinted(grey: Array, dark: Colour, bright: Colour) -> Array:
    """Return the mixture of two colours: 0 is the dark one, 1 the bright one; (h, w, 3)."""
    share = np.clip(grey, 0, 1)[..., None]
    return (np.array(dark) * (1 - share) + np.array(bright) * share).astype(np.float32)


def _noisy(
    exponent: float, stretch: float, contrast: float, dark: Colour, bright: Colour
) -> Surface:
    def surface(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        noise = power_law_noise(rng, shape, exponent=exponent, stretch=stretch)
        return tinted(0.5 + contrast * noise, dark, bright)

    return surface


def _wood(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    rows = np.linspace(0, rng.uniform(4, 8), shape[0])[:, None]
    grain = power_law_noise(rng, shape, exponent=1.3, stretch=8)
    rings = 0.5 + 0.3 * np.sin(2 * np.pi * (rows + 0.35 * grain)) + 0.15 * grain
    return tinted(rings, (0.16, 0.07, 0.03), (0.48, 0.26, 0.12))


def _cloth(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape[1], 1)
    threads = rng.uniform(9, 16) * 2 * np.pi
    squares = 0.25 * (np.sin(threads * x) > 0) + 0.25 * (np.sin(threads * y * 1.6) > 0)
    weave = squares + 0.25 + 0.06 * power_law_noise(rng, shape, exponent=0.6)
    bright = np.array(list(COLOURS.values()))[rng.integers(len(COLOURS))]
    return tinted(weave, 0.25 * bright, 0.4 * bright + 0.3)


def _leaves(dark: Colour, bright: Colour, largest: float) -> Surface:
    def surface(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        leaves = dead_leaves(rng, shape, smallest=0.03, largest=largest)
        return tinted(leaves + 0.12 * power_law_noise(rng, shape), dark, bright)

    return surface


def _sky(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    ramp = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None]
    haze = ramp + 0.04 * power_law_noise(rng, shape, exponent=1.6)
    return tinted(haze, (0.16, 0.32, 0.66), (0.60, 0.72, 0.82))


def _clouds(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    clouds = power_law_noise(rng, shape, exponent=1.7, stretch=2)
    share = expit(3 * (clouds - 0.1))
    return tinted(share, (0.22, 0.36, 0.60), (0.86, 0.86, 0.86))


def _bricks(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape[1], 1)
    rows = rng.uniform(11, 16)
    row = np.floor(y * rows)
    column = x * rows / 2.2 + 0.5 * (row % 2)
    mortar = (np.mod(y * rows, 1) < 0.14) | (np.mod(column, 1) < 0.07)
    shade = rng.random((64, 64))[row.astype(int) % 64, np.floor(column).astype(int) % 64]
    grey = 0.3 + 0.5 * shade + 0.12 * power_law_noise(rng, shape, exponent=0.8)
    bricks = tinted(grey, (0.16, 0.05, 0.03), (0.42, 0.17, 0.10))
    bricks[mortar] = (0.38, 0.36, 0.33)
    return bricks


def _hills(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    picture = _sky(rng, shape)
    rows = np.arange(shape[0])[:, None] / max(shape[0], 1)
    for depth, (top, colour) in enumerate(
        [(0.45, (0.26, 0.34, 0.44)), (0.62, (0.12, 0.24, 0.20)), (0.8, (0.06, 0.16, 0.06))]
    ):
        ridge = top + 0.09 * power_law_noise(rng, (4, shape[1]), exponent=1.5)[0]
        shade = 1 + 0.08 * (depth + 1) * power_law_noise(rng, shape)
        picture = np.where(
            (rows > ridge)[..., None], shade[..., None] * np.array(colour), picture
        ).astype(np.float32)
    return picture


def _wall(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    paint = np.array(list(COLOURS.values()))[rng.integers(len(COLOURS))] * 0.35 + 0.25
    plaster = 0.5 + 0.16 * power_law_noise(rng, shape, exponent=0.9)
    return tinted(plaster, 0.75 * paint, 1.2 * paint)


GROUNDS: dict[str, Surface] = {
    "grass": _noisy(0.7, 0.35, 0.24, (0.02, 0.08, 0.01), (0.22, 0.42, 0.08)),
    "sand": _noisy(0.8, 1.5, 0.20, (0.40, 0.28, 0.14), (0.74, 0.58, 0.36)),
    "water": _noisy(1.3, 5.0, 0.22, (0.02, 0.10, 0.18), (0.34, 0.52, 0.62)),
    "wood": _wood,
    "cloth": _cloth,
    "stone": _noisy(1.0, 1.0, 0.22, (0.12, 0.12, 0.12), (0.46, 0.45, 0.42)),
    "snow": _noisy(1.5, 2.0, 0.22, (0.52, 0.60, 0.72), (0.92, 0.93, 0.95)),
    "leaves": _leaves((0.20, 0.07, 0.02), (0.68, 0.36, 0.08), 0.16),
}
BACKDROPS: dict[str, Surface] = {
    "sky": _sky,
    "clouds": _clouds,
    "wall": _wall,
    "bricks": _bricks,
    "forest": _leaves((0.01, 0.05, 0.02), (0.16, 0.34, 0.10), 0.30),
    "hills": _hills,
    "darkness": _noisy(1.6, 1.0, 0.25, (0.008, 0.008, 0.015), (0.05, 0.05, 0.08)),
}
