"""Render scenes to linear light: grounds, backdrops, shaded things and their shadows."""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from layerfusion.demo.scenes import COLOURS, Scene, Thing
from layerfusion.demo.shapes import SIGNED_DISTANCES
from layerfusion.demo.textures import Array, dead_leaves, power_law_noise

# Colour of the light, share of it that comes from everywhere, strength; linear RGB.
LIGHTS = {
    "daylight": ((1.0, 0.98, 0.94), 0.35, 1.25),
    "evening": ((1.15, 0.82, 0.52), 0.30, 1.0),
    "overcast": ((0.92, 0.98, 1.05), 0.65, 0.95),
    "lamplight": ((1.1, 0.85, 0.6), 0.22, 0.75),
}
# How things answer to light: strength and sharpness of the highlight.
HIGHLIGHTS = {"glossy": (0.55, 40.0), "metal": (0.9, 18.0), "marble": (0.3, 30.0)}

# Draws the reflectance of a ground or a backdrop of some height and width, (h, w, 3).
Surface = Callable[[np.random.Generator, tuple[int, int]], Array]


def render(scene: Scene, height: int, width: int) -> Array:
    """Render a scene.

    Returns
    -------
    ndarray
        float32 (height, width, 3), linear RGB, not negative; about 1 is paper white in the scene's
        light, highlights exceed it.
    """
    rng = np.random.default_rng(scene.texture_seed)
    colour, ambient, strength = LIGHTS[scene.light]
    picture = _surroundings(scene, rng, (height, width))
    things = [thing for group in scene.groups for thing in group.things]
    for thing in sorted(things, key=lambda thing: thing.y):
        _cast_shadow(picture, thing, scene.light_from, 1 - ambient)
        _paint(picture, thing, scene.light_from, ambient, rng)
    fall = np.linspace(-1, 1, width, dtype=np.float32) * (0.15 * scene.light_from)
    picture *= (strength * (1 + fall))[None, :, None] * np.array(colour, dtype=np.float32)
    return np.maximum(picture, 0.0)


def _surroundings(scene: Scene, rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Return ground and backdrop, joined at the horizon, linear reflectance (h, w, 3)."""
    height, width = shape
    line = round(scene.horizon * height)
    backdrop = BACKDROPS[scene.backdrop](rng, (line, width))
    ground = GROUNDS[scene.ground](rng, (height - line, width))
    depth = np.linspace(0.82, 1.0, height - line, dtype=np.float32)[:, None, None]
    return np.concatenate([backdrop, ground * depth])


def _tinted(grey: Array, dark: tuple[float, ...], bright: tuple[float, ...]) -> Array:
    """Return the mixture of two colours: 0 is the dark one, 1 the bright one; (h, w, 3)."""
    share = np.clip(grey, 0, 1)[..., None]
    return (np.array(dark) * (1 - share) + np.array(bright) * share).astype(np.float32)


def _noisy(
    exponent: float,
    stretch: float,
    contrast: float,
    dark: tuple[float, ...],
    bright: tuple[float, ...],
) -> Surface:
    def surface(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        noise = power_law_noise(rng, shape, exponent=exponent, stretch=stretch)
        return _tinted(0.5 + contrast * noise, dark, bright)

    return surface


def _wood(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    rows = np.linspace(0, rng.uniform(4, 8), shape[0])[:, None]
    grain = power_law_noise(rng, shape, exponent=1.3, stretch=8)
    rings = 0.5 + 0.3 * np.sin(2 * np.pi * (rows + 0.35 * grain)) + 0.15 * grain
    return _tinted(rings, (0.16, 0.07, 0.03), (0.48, 0.26, 0.12))


def _cloth(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape[1], 1)
    threads = rng.uniform(9, 16) * 2 * np.pi
    squares = 0.25 * (np.sin(threads * x) > 0) + 0.25 * (np.sin(threads * y * 1.6) > 0)
    weave = squares + 0.25 + 0.06 * power_law_noise(rng, shape, exponent=0.6)
    bright = np.array(list(COLOURS.values()))[rng.integers(len(COLOURS))]
    return _tinted(weave, tuple(0.25 * bright), tuple(0.4 * bright + 0.3))


def _leaves(dark: tuple[float, ...], bright: tuple[float, ...], largest: float) -> Surface:
    def surface(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        leaves = dead_leaves(rng, shape, smallest=0.03, largest=largest)
        return _tinted(leaves + 0.12 * power_law_noise(rng, shape), dark, bright)

    return surface


def _sky(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    ramp = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None]
    haze = ramp + 0.04 * power_law_noise(rng, shape, exponent=1.6)
    return _tinted(haze, (0.16, 0.32, 0.66), (0.60, 0.72, 0.82))


def _clouds(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    clouds = power_law_noise(rng, shape, exponent=1.7, stretch=2)
    share = expit(3 * (clouds - 0.1))
    return _tinted(share, (0.22, 0.36, 0.60), (0.86, 0.86, 0.86))


def _bricks(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape[1], 1)
    rows = rng.uniform(11, 16)
    row = np.floor(y * rows)
    column = x * rows / 2.2 + 0.5 * (row % 2)
    mortar = (np.mod(y * rows, 1) < 0.14) | (np.mod(column, 1) < 0.07)
    shade = rng.random((64, 64))[row.astype(int) % 64, np.floor(column).astype(int) % 64]
    grey = 0.3 + 0.5 * shade + 0.12 * power_law_noise(rng, shape, exponent=0.8)
    bricks = _tinted(grey, (0.16, 0.05, 0.03), (0.42, 0.17, 0.10))
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
    return _tinted(plaster, tuple(0.75 * paint), tuple(1.2 * paint))


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


def _window(
    picture: Array, thing: Thing, reach: float
) -> tuple[Array, Array, tuple[slice, slice], float] | None:
    """Return coordinates (u right, v up, foot at v = -1) around a thing, in its half sizes.

    Also the window's slices and the size of a pixel; None where nothing of it is visible.
    """
    height, width = picture.shape[:2]
    half = thing.size * height / 2
    x, y = thing.x * width, thing.y * height - half
    top, bottom = max(int(y - reach * half), 0), min(int(y + reach * half) + 1, height)
    left, right = max(int(x - reach * half), 0), min(int(x + reach * half) + 1, width)
    if top >= bottom or left >= right:
        return None
    v, u = np.mgrid[top:bottom, left:right].astype(np.float32)
    u, v = (u + 0.5 - x) / half, (y - v - 0.5) / half
    return u, v, (slice(top, bottom), slice(left, right)), 1 / half


def _cast_shadow(picture: Array, thing: Thing, light_from: float, depth: float) -> None:
    """Darken the ground below a thing, away from the light."""
    window = _window(picture, thing, 2.2)
    if window is None:
        return
    u, v, place, _ = window
    distance = np.hypot((u + 0.55 * light_from) / 1.15, (v + 0.95) / 0.24)
    shade = depth * 0.75 * expit(7 * (1 - distance))
    picture[place] *= (1 - shade)[..., None]


def _paint(
    picture: Array, thing: Thing, light_from: float, ambient: float, rng: np.random.Generator
) -> None:
    """Paint a thing: its outline from a signed distance, its shading as if it were inflated."""
    window = _window(picture, thing, 1.25)
    if window is None:
        return
    u, v, place, pixel = window
    cosine, sine = np.cos(thing.tilt), np.sin(thing.tilt)
    u, v = cosine * u - sine * v, sine * u + cosine * v
    distance = SIGNED_DISTANCES[thing.shape](u, v)
    coverage = np.clip(0.5 - distance / pixel, 0, 1)[..., None]
    light, gloss = _shading(distance, pixel, light_from, ambient, thing.material)
    paint = _pattern(thing, u, v, rng)
    picture[place] = picture[place] * (1 - coverage) + coverage * (
        paint * light[..., None] + gloss[..., None]
    )


def _shading(
    distance: Array, pixel: float, light_from: float, ambient: float, material: str
) -> tuple[Array, Array]:
    """Return diffuse light and highlight, (h, w) each, of a body inflated from its outline.

    Lambert's cosine law with Phong's highlight (Phong 1975, "Illumination for computer generated
    pictures", Comm. ACM 18).
    """
    depth = np.clip(-distance, 0, 0.6) / 0.6
    swell = gaussian_filter(np.sqrt(np.maximum(1 - (1 - depth) ** 2, 0)), 0.06 / pixel)
    down, right = np.gradient(swell, pixel)
    normal = np.stack([-right, down, np.full_like(swell, 1.1)])
    normal /= np.linalg.norm(normal, axis=0)
    towards = np.array([light_from, 0.75, 0.8])
    towards /= np.linalg.norm(towards)
    cosine = np.einsum("i,ihw->hw", towards, normal)
    diffuse = ambient + (1 - ambient) * np.maximum(cosine, 0)
    strength, sharpness = HIGHLIGHTS.get(material, (0.04, 12.0))
    mirrored = 2 * cosine * normal[2] - towards[2]
    highlight = strength * np.maximum(mirrored, 0) ** sharpness
    return diffuse.astype(np.float32), highlight.astype(np.float32)


def _pattern(thing: Thing, u: Array, v: Array, rng: np.random.Generator) -> Array:
    """Return the reflectance of a thing's surface, (h, w, 3)."""
    base = np.array(COLOURS[thing.colour]) * np.array(thing.tint)
    shape = (u.shape[0], u.shape[1])
    if thing.material == "wooden":
        grain = power_law_noise(rng, shape, exponent=1.2, stretch=6)
        share = 0.5 + 0.35 * np.sin(7 * (v * 2 + 0.5 * grain)) + 0.1 * grain
        return _tinted(share, tuple(0.45 * base), tuple(base + 0.05))
    if thing.material == "striped":
        return _tinted(1.0 * (np.sin(11 * u) > 0), tuple(base), tuple(0.3 * base + 0.5))
    if thing.material == "dotted":
        dots = np.hypot(np.mod(u * 2.6, 1) - 0.5, np.mod(v * 2.6, 1) - 0.5) < 0.27
        return _tinted(1.0 * dots, tuple(base), tuple(0.2 * base + 0.6))
    if thing.material == "marble":
        veins = np.abs(power_law_noise(rng, shape, exponent=1.5))
        return _tinted(np.exp(-4 * veins), tuple(base + 0.06), tuple(0.3 * base + 0.55))
    roughness = {"matte": 0.10, "metal": 0.05}.get(thing.material, 0.03)
    grain = power_law_noise(rng, shape, exponent=0.7)
    return np.asarray(base * (1 + roughness * grain[..., None]), dtype=np.float32)
