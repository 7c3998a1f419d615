"""Render scenes to linear light: grounds, backdrops, shaded things and their shadows."""

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from layerfusion.demo.scenes import Scene, Thing
from layerfusion.demo.shapes import SIGNED_DISTANCES
from layerfusion.demo.surfaces import BACKDROPS, COLOURS, GROUNDS, LIGHTS, tinted
from layerfusion.demo.textures import Array, power_law_noise

# How things answer to light: strength and sharpness of the highlight.
HIGHLIGHTS = {"glossy": (0.55, 40.0), "metal": (0.9, 18.0), "marble": (0.3, 30.0)}


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
    things = [thing for group in scene.groups for thing in group]
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


def _window(
    picture: Array, thing: Thing, reach: float
) -> tuple[Array, Array, tuple[slice, slice], float]:
    """Return coordinates (u right, v up, foot at v = -1) around a thing, in its half sizes.

    Also the window's slices and the size of a pixel.
    """
    height, width = picture.shape[:2]
    half = thing.size * height / 2
    x, y = thing.x * width, thing.y * height - half
    top, bottom = max(int(y - reach * half), 0), min(int(y + reach * half) + 1, height)
    left, right = max(int(x - reach * half), 0), min(int(x + reach * half) + 1, width)
    v, u = np.mgrid[top:bottom, left:right].astype(np.float32)
    u, v = (u + 0.5 - x) / half, (y - v - 0.5) / half
    return u, v, (slice(top, bottom), slice(left, right)), 1 / half


def _cast_shadow(picture: Array, thing: Thing, light_from: float, depth: float) -> None:
    """Darken the ground below a thing, away from the light."""
    u, v, place, _ = _window(picture, thing, 2.2)
    distance = np.hypot((u + 0.55 * light_from) / 1.15, (v + 0.95) / 0.24)
    shade = depth * 0.75 * expit(7 * (1 - distance))
    picture[place] *= (1 - shade)[..., None]


def _paint(
    picture: Array, thing: Thing, light_from: float, ambient: float, rng: np.random.Generator
) -> None:
    """Paint a thing: its outline from a signed distance, its shading as if it were inflated."""
    u, v, place, pixel = _window(picture, thing, 1.25)
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
        return tinted(share, 0.45 * base, base + 0.05)
    if thing.material == "striped":
        return tinted(1.0 * (np.sin(11 * u) > 0), base, 0.3 * base + 0.5)
    if thing.material == "dotted":
        dots = np.hypot(np.mod(u * 2.6, 1) - 0.5, np.mod(v * 2.6, 1) - 0.5) < 0.27
        return tinted(1.0 * dots, base, 0.2 * base + 0.6)
    if thing.material == "marble":
        veins = np.abs(power_law_noise(rng, shape, exponent=1.5))
        return tinted(np.exp(-4 * veins), base + 0.06, 0.3 * base + 0.55)
    roughness = {"matte": 0.10, "metal": 0.05}.get(thing.material, 0.03)
    grain = power_law_noise(rng, shape, exponent=0.7)
    return np.asarray(base * (1 + roughness * grain[..., None]), dtype=np.float32)
