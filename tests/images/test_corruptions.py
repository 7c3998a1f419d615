"""What befalls images on their way: the same every time, stronger with its strength."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from layerfusion.errors import UserError
from layerfusion.experiments.corruptions import CONDITIONS, CURVES
from layerfusion.images.degradations import degradation


def photo(width=120, height=90):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (12, 15, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def distance(name, image):
    degraded = degradation(name)(image).resize(image.size, Image.Resampling.BICUBIC)
    return np.abs(np.asarray(degraded, float) - np.asarray(image, float)).mean()


@pytest.mark.parametrize("name", CONDITIONS[1:])
def test_every_condition_gives_rgb_and_the_same_twice_also_in_a_worker(name):
    image = photo()
    before = image.tobytes()
    once = degradation(name)(image)
    handed = pickle.loads(pickle.dumps(degradation(name)))
    assert once.mode == "RGB"
    assert once.tobytes() == handed(image).tobytes()
    assert image.tobytes() == before


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif", "shrink", "blur", "noise"])
def test_more_of_it_is_further_from_the_image(kind):
    found = [distance(f"{kind}-{strength}", photo()) for strength in CURVES[kind]]
    assert found == sorted(found)
    assert found[0] < found[-1]


@settings(max_examples=30, deadline=None)
@given(width=st.integers(1, 200), height=st.integers(1, 200), percent=st.integers(1, 100))
def test_sizes_are_what_the_percent_says(width, height, percent):
    image = Image.new("RGB", (width, height))
    expected = tuple(max(1, round(side * percent / 100)) for side in (width, height))
    for kind in ("shrink", "crop", "screenshot"):
        assert degradation(f"{kind}-{percent}")(image).size == expected


def test_a_bound_shrinks_only_what_is_longer():
    image = photo(120, 90)
    assert degradation("bound-60")(image).size == (60, 45)
    assert degradation("bound-120")(image) is image


def test_noise_is_of_its_levels_and_of_the_pixels():
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    noisy = np.asarray(degradation("noise-5")(grey), float) - 128
    assert noisy.std() == pytest.approx(5, rel=0.03)
    assert abs(noisy.mean()) < 0.1
    other = np.asarray(degradation("noise-5")(Image.new("RGB", (200, 200), (127, 128, 128))), float)
    assert np.corrcoef(noisy[..., 1].ravel(), other[..., 1].ravel())[0, 1] < 0.1


def test_a_chain_is_one_after_the_other():
    image = photo()
    one, two = degradation("shrink-50"), degradation("jpeg-60")
    assert degradation("shrink-50+jpeg-60")(image).tobytes() == two(one(image)).tobytes()


@pytest.mark.parametrize("name", ["blur", "blur-0", "noise-101", "bound-8", "jpeg-80+", "+", "a+b"])
def test_what_there_is_not_is_one_sentence(name):
    with pytest.raises(UserError, match="there is no degradation") as caught:
        degradation(name)
    assert "\n" not in str(caught.value)
