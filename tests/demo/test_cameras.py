from dataclasses import replace

import numpy as np
import pytest

from layerfusion.demo.cameras import (
    CAMERAS,
    add_noise,
    demosaic,
    develop,
    expose,
    mosaic,
    photograph,
)

PLAIN = replace(
    CAMERAS[0], blur=0.01, vignetting=0.0, shot_noise=0.0, read_noise=0.0, contrast=0.0,
    saturation=1.0, sharpening=0.0,
)  # fmt: skip


def flat(colour, side=16):
    return np.full((side, side, 3), colour, dtype=np.float32)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.name)
def test_a_photograph_is_8_bit_repeatable_and_noisy(camera):
    light = flat((0.4, 0.3, 0.2), side=21)
    one, two, other = (photograph(light, camera, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one.shape == (21, 21, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("method", ["bilinear", "gradient"])
@pytest.mark.parametrize("side", [15, 16])
def test_demosaicing_restores_a_flat_colour(method, side):
    light = flat((0.5, 0.3, 0.1), side)
    assert np.allclose(demosaic(mosaic(light), method), light, atol=1e-6)


def test_a_demosaiced_pixel_keeps_what_was_measured():
    signal = np.random.default_rng(0).random((12, 12)).astype(np.float32)
    colours = demosaic(signal, "bilinear")
    assert np.allclose(colours[0::2, 0::2, 0], signal[0::2, 0::2])
    assert np.allclose(colours[0::2, 1::2, 1], signal[0::2, 1::2])
    assert np.allclose(colours[1::2, 1::2, 2], signal[1::2, 1::2])


def test_noise_has_the_variance_of_the_model():
    camera = replace(PLAIN, shot_noise=0.001, read_noise=0.01)
    rng = np.random.default_rng(0)
    for level in (0.2, 0.6):
        noisy = add_noise(np.full((400, 400), level, dtype=np.float32), camera, rng)
        assert noisy.var() == pytest.approx(0.001 * level + 0.01**2, rel=0.05)


def test_the_lens_darkens_corners_by_the_stated_share():
    seen = expose(flat((1.0, 1.0, 1.0), 33), replace(PLAIN, vignetting=0.3))
    assert seen[16, 16, 0] == pytest.approx(1, abs=1e-5)
    assert seen[0, 0, 0] == pytest.approx(0.7, abs=1e-5)


@pytest.mark.parametrize(("linear", "encoded"), [(0.0, 0), (0.002, 7), (0.2140, 127), (1.0, 255)])
def test_the_curve_is_srgb(linear, encoded):
    assert (np.abs(develop(flat((linear,) * 3), PLAIN).astype(int) - encoded) <= 1).all()
