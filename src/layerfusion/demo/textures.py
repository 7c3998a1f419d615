"""Random textures with the statistics of natural images."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# Leaves are drawn until so much of the picture is covered; the rest keeps the mean colour.
COVERED = 0.97
MOST_LEAVES = 500


def power_law_noise(
    rng: np.random.Generator, shape: tuple[int, int], *, exponent: float = 1.0, stretch: float = 1.0
) -> Array:
    """Return noise whose amplitude spectrum falls as 1 / f**exponent.

    Natural images fall with an exponent near 1 (Field 1987, "Relations between the statistics of
    natural images and the response properties of cortical cells", J. Opt. Soc. Am. A 4).

    Parameters
    ----------
    shape
        Height and width, px.
    exponent
        Smoothness: 0 is white, 1 natural, 2 cloud-like.
    stretch
        How much longer structures are horizontally than vertically; below 1 the other way round.

    Returns
    -------
    ndarray
        float32 of the given shape, mean 0 and standard deviation 1.
    """
    height, width = shape
    fy = np.fft.fftfreq(height)[:, None]
    fx = np.fft.rfftfreq(width)[None, :] * stretch
    radius = np.hypot(fy, fx)
    radius[0, 0] = np.inf  # no constant part
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) / radius**exponent
    noise = np.fft.irfft2(spectrum, shape)
    return (noise / max(float(noise.std()), 1e-9)).astype(np.float32)


def dead_leaves(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    smallest: float = 0.03,
    largest: float = 0.25,
) -> Array:
    """Return a picture of opaque discs that hide each other, with radii of density r**-3.

    The model whose scale invariance and occlusions natural images share (Lee, Mumford and Huang
    2001, "Occlusion models for natural images", Int. J. Computer Vision 41).

    Parameters
    ----------
    shape
        Height and width, px.
    smallest, largest
        Bounds of the radii, as shares of the shorter side.

    Returns
    -------
    ndarray
        float32 of the given shape, in [0, 1]: one grey value a disc.
    """
    height, width = shape
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    picture = np.full(shape, 0.5, dtype=np.float32)
    free, left_free = np.ones(shape, dtype=bool), height * width
    for _ in range(MOST_LEAVES):  # front to back: what is covered stays
        share, y, x, grey = rng.random(4).tolist()
        inverse = smallest**-2 - share * (smallest**-2 - largest**-2)
        radius = max(min(shape) / math.sqrt(inverse), 1.0)
        y, x = y * height, x * width
        place = (
            slice(max(int(y - radius), 0), int(y + radius) + 2),
            slice(max(int(x - radius), 0), int(x + radius) + 2),
        )
        dy, dx = rows[place[0]] - y, columns[:, place[1]] - x
        leaf = free[place] & (dy * dy + dx * dx <= radius * radius)
        picture[place][leaf] = grey
        free[place] ^= leaf
        left_free -= int(np.count_nonzero(leaf))
        if left_free / (height * width) < 1 - COVERED:
            break
    return picture
