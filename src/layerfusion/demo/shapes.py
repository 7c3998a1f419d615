"""Outlines of the things in a scene, as signed distances: negative inside, in half sizes.

Coordinates are u (right) and v (up), arrays of one shape; each thing fits into [-1, 1] x [-1, 1]
and stands on v = -1. Distances are exact or good bounds near the outline, which is all that
anti-aliasing and shading read. Unions and differences are minima and maxima, as in Hart 1996
("Sphere tracing", The Visual Computer 12).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SignedDistance = Callable[[Array, Array], Array]


def _disc(u: Array, v: Array, radius: float) -> Array:
    return np.hypot(u, v) - radius


def _box(u: Array, v: Array, half_width: float, half_height: float, rounding: float) -> Array:
    du = np.abs(u) - half_width + rounding
    dv = np.abs(v) - half_height + rounding
    outside = np.hypot(np.maximum(du, 0), np.maximum(dv, 0))
    return outside + np.minimum(np.maximum(du, dv), 0) - rounding


def _triangle(u: Array, v: Array, half_width: float, foot: float, top: float) -> Array:
    """Return the distance to an upright triangle with equal sides."""
    rise = top - foot
    slope = np.hypot(rise, half_width)
    side = (np.abs(u) * rise + (v - top) * half_width) / slope
    return np.asarray(np.maximum(side, foot - v))


def _ring(u: Array, v: Array) -> Array:
    return np.abs(np.hypot(u, v) - 0.72) - 0.27


def _star(u: Array, v: Array) -> Array:
    angle = np.mod(np.arctan2(u, v) + np.pi / 5, 2 * np.pi / 5) - np.pi / 5
    radius = np.hypot(u, v)
    x, y = np.abs(radius * np.sin(angle)), radius * np.cos(angle)
    # The edge from a tip (0, 1) to the notch beside it.
    notch_x, notch_y = 0.45 * np.sin(np.pi / 5), 0.45 * np.cos(np.pi / 5)
    length = np.hypot(notch_x, 1 - notch_y)
    return np.asarray((x * (1 - notch_y) + (y - 1) * notch_x) / length)


def _heart(u: Array, v: Array) -> Array:
    lobes = _disc(np.abs(u) - 0.46, v - 0.40, 0.54)
    body = np.maximum((np.abs(u) - 0.81 * (v + 1)) / 1.29, v - 0.2)
    return np.asarray(np.minimum(lobes, body))


def _house(u: Array, v: Array) -> Array:
    return np.asarray(
        np.minimum(_box(u, v + 0.45, 0.72, 0.55, 0.03), _triangle(u, v, 1.0, 0.05, 1.0))
    )


def _tree(u: Array, v: Array) -> Array:
    trunk = _box(u, v + 0.6, 0.13, 0.4, 0.02)
    crown = np.minimum(_disc(u, v - 0.5, 0.5), _disc(np.abs(u) - 0.38, v - 0.12, 0.42))
    return np.asarray(np.minimum(trunk, crown))


def _mushroom(u: Array, v: Array) -> Array:
    cap = np.maximum(_disc(u, (v - 0.05) * 1.02, 0.95), 0.05 - v)
    return np.asarray(np.minimum(cap, _box(u, v + 0.45, 0.26, 0.55, 0.12)))


def _flower(u: Array, v: Array) -> Array:
    angle = np.arctan2(u, v - 0.25)
    petals = np.hypot(u, v - 0.25) - (0.55 + 0.2 * np.cos(6 * angle))
    return np.asarray(np.minimum(petals, _box(u, v + 0.6, 0.06, 0.4, 0.02)))


def _moon(u: Array, v: Array) -> Array:
    return np.asarray(np.maximum(_disc(u, v, 1.0), -_disc(u - 0.48, v - 0.22, 0.78)))


SIGNED_DISTANCES: dict[str, SignedDistance] = {
    "ball": lambda u, v: _disc(u, v, 1.0),
    "cube": lambda u, v: _box(u, v + 0.1, 0.9, 0.9, 0.12),
    "pillar": lambda u, v: _box(u, v, 0.42, 1.0, 0.1),
    "cone": lambda u, v: _triangle(u, v, 0.8, -1.0, 1.0),
    "ring": _ring,
    "star": _star,
    "heart": _heart,
    "house": _house,
    "tree": _tree,
    "mushroom": _mushroom,
    "flower": _flower,
    "moon": _moon,
}
