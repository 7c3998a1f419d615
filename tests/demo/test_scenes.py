import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerfusion.demo.rendering import render
from layerfusion.demo.scenes import SHAPES, WORDS, caption, draw_scene
from layerfusion.demo.shapes import SIGNED_DISTANCES
from layerfusion.demo.textures import dead_leaves, power_law_noise


def scene(seed):
    return draw_scene(np.random.default_rng(seed))


@given(st.integers(0, 2**32 - 1))
def test_captions_are_made_of_known_words_and_name_what_is_there(seed):
    drawn = scene(seed)
    words = caption(drawn).split()
    assert set(words) <= set(WORDS)
    assert set(caption(drawn, np.random.default_rng(seed)).split()) <= set(words)
    assert {drawn.ground, drawn.backdrop, drawn.light} <= set(words)
    for thing, *_ in drawn.groups:
        assert thing.colour in words
        assert thing.shape in words or f"{thing.shape}s" in words


@settings(deadline=None)  # the first example pays for starting FFT
@given(st.integers(0, 2**32 - 1), st.integers(16, 40), st.integers(16, 40))
def test_renders_finite_light_of_any_size_the_same_each_time(seed, height, width):
    light = render(scene(seed), height, width)
    assert light.shape == (height, width, 3)
    assert light.dtype == np.float32
    assert np.isfinite(light).all()
    assert light.min() >= 0
    assert np.array_equal(light, render(scene(seed), height, width))


@pytest.mark.parametrize("shape", SHAPES)
def test_things_fill_their_box_and_stand_on_its_floor(shape):
    v, u = np.mgrid[-1.3:1.3:131j, -1.3:1.3:131j].astype(np.float32)
    inside = SIGNED_DISTANCES[shape](u, v) < 0
    assert not inside[(np.abs(u) > 1.05) | (np.abs(v) > 1.05)].any()
    assert v[inside].min() < -0.75
    assert 0.05 < inside[(np.abs(u) <= 1) & (np.abs(v) <= 1)].mean() < 1


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_the_spectrum_falls_with_the_exponent(exponent):
    noise = power_law_noise(np.random.default_rng(0), (256, 256), exponent=exponent)
    assert abs(noise.mean()) < 1e-5
    assert noise.std() == pytest.approx(1, abs=1e-4)
    amplitude = np.abs(np.fft.rfft2(noise))
    radius = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256))
    chosen = (radius > 0.02) & (radius < 0.4)
    slope = np.polyfit(np.log(radius[chosen]), np.log(amplitude[chosen]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.05)


def test_dead_leaves_cover_the_picture_in_flat_discs():
    leaves = dead_leaves(np.random.default_rng(0), (96, 96))
    assert leaves.min() >= 0
    assert leaves.max() <= 1
    assert (leaves != 0.5).mean() > 0.9
    assert (np.diff(leaves, axis=1) == 0).mean() > 0.6
