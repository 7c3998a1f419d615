"""Simulated cameras: from linear light to the 8-bit picture that a camera would save as JPEG."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, gaussian_filter

from layerfusion.demo.description import described
from layerfusion.demo.textures import Array


@dataclass(frozen=True, kw_only=True)
class Camera:
    """What sets one camera apart.

    Attributes
    ----------
    blur
        Standard deviation of the lens's point spread, px.
    vignetting
        Loss of light in the corners, a share.
    shot_noise, read_noise
        Variance a unit of signal, and standard deviation in the dark; signal is in [0, 1].
    demosaicing
        ``bilinear`` or ``gradient``: see `demosaic`.
    contrast
        Strength of the S-shaped tone curve, from 0 (none).
    saturation
        Distance from grey, as a multiple.
    sharpening
        Amount of the unsharp mask, from 0 (none).
    jpeg_quality
        Lowest and highest quality that the camera saves with.
    """

    name: str
    blur: float
    vignetting: float
    shot_noise: float
    read_noise: float
    demosaicing: str
    contrast: float
    saturation: float
    sharpening: float
    jpeg_quality: tuple[int, int]


CAMERAS = described("cameras", Camera)

_BILINEAR_GREEN = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], dtype=np.float32) / 4
_BILINEAR_COLOUR = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float32) / 4
_LAPLACIAN = (
    np.array(
        [[0, 0, -1, 0, 0], [0, 0, 0, 0, 0], [-1, 0, 4, 0, -1], [0, 0, 0, 0, 0], [0, 0, -1, 0, 0]],
        dtype=np.float32,
    )
    / 8
)


def photograph(radiance: Array, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Take a picture of linear light.

    Parameters
    ----------
    radiance
        float (height, width, 3), linear RGB, not negative.

    Returns
    -------
    ndarray
        uint8 (height, width, 3), sRGB: lens, sensor, demosaicing, tone curve and sharpening, in
        this order (Ramanath et al. 2005, "Color image processing pipeline", IEEE Signal Processing
        Magazine 22); the JPEG file is the caller's.
    """
    exposure = rng.uniform(0.85, 1.2) * 0.32 / max(float(np.mean(radiance)), 0.04)
    light = expose(radiance * min(exposure, 2.5), camera)
    signal = add_noise(mosaic(light), camera, rng)
    linear = demosaic(signal, camera.demosaicing)
    return develop(linear, camera)


def expose(light: Array, camera: Camera) -> Array:
    """Return what the lens makes of the light: a Gaussian point spread, and darker corners.

    Vignetting falls with the square of the distance from the centre, to first order the natural
    law cos**4 (Kingslake 1992, "Optics in Photography").
    """
    blurred = gaussian_filter(light, (camera.blur, camera.blur, 0))
    height, width = light.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return np.asarray(blurred * (1 - camera.vignetting * (x * x + y * y) / 2)[..., None])


def mosaic(light: Array) -> Array:
    """Return the one colour a pixel that a sensor behind Bayer's filter sees, (h, w), RGGB.

    Bayer 1976, US patent 3,971,065.
    """
    signal = light[..., 1].copy()
    signal[0::2, 0::2] = light[0::2, 0::2, 0]
    signal[1::2, 1::2] = light[1::2, 1::2, 2]
    return signal


def add_noise(signal: Array, camera: Camera, rng: np.random.Generator) -> Array:
    """Return the signal with shot and read noise, clipped to [0, 1].

    Variance a * signal + b**2 (Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling and
    fitting for single-image raw-data", IEEE Trans. Image Processing 17).
    """
    deviation = np.sqrt(camera.shot_noise * np.maximum(signal, 0) + camera.read_noise**2)
    noisy = signal + deviation * rng.standard_normal(signal.shape, dtype=np.float32)
    return np.asarray(np.clip(noisy, 0, 1))


def demosaic(signal: Array, method: str) -> Array:
    """Return linear RGB (h, w, 3) from an RGGB mosaic (h, w).

    ``bilinear`` averages the nearest pixels of a colour. ``gradient`` adds the Laplacian of the
    measured colour to the averages, a simplified form of Malvar, He and Cutler 2004 ("High-quality
    linear interpolation for demosaicing of Bayer-patterned color images", ICASSP).
    """
    red = np.zeros_like(signal)
    red[0::2, 0::2] = signal[0::2, 0::2]
    blue = np.zeros_like(signal)
    blue[1::2, 1::2] = signal[1::2, 1::2]
    green = signal - red - blue
    channels = [
        convolve(red, _BILINEAR_COLOUR, mode="mirror"),
        convolve(green, _BILINEAR_GREEN, mode="mirror"),
        convolve(blue, _BILINEAR_COLOUR, mode="mirror"),
    ]
    if method == "gradient":
        detail = convolve(signal, _LAPLACIAN, mode="mirror")
        missing = [red == 0, (red + blue) > 0, blue == 0]
        for index, mask in enumerate(missing):
            channels[index] = channels[index] + np.where(mask, detail, 0)
    return np.asarray(np.clip(np.stack(channels, axis=-1), 0, 1))


def develop(linear: Array, camera: Camera) -> NDArray[np.uint8]:
    """Return the finished picture: saturation, sRGB curve, contrast, sharpening; uint8.

    The curve is IEC 61966-2-1's; contrast blends in a smooth step; sharpening is an unsharp mask.
    """
    grey = linear.mean(axis=-1, keepdims=True)
    colour = np.clip(grey + camera.saturation * (linear - grey), 0, 1)
    encoded = np.where(
        colour <= 0.0031308, 12.92 * colour, 1.055 * np.power(colour, 1 / 2.4) - 0.055
    )
    step = encoded * encoded * (3 - 2 * encoded)
    toned = encoded + 0.5 * camera.contrast * (step - encoded)
    sharp = toned + camera.sharpening * (toned - gaussian_filter(toned, (1.0, 1.0, 0)))
    return np.asarray(np.rint(255 * np.clip(sharp, 0, 1)), dtype=np.uint8)
