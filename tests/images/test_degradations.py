"""What befalls images on their way: as Pillow and torchvision do it, and stronger with strength."""

import io
import pickle

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from conftest import photo
from layerfusion.data.loading import EvaluationImages, scoring_batches
from layerfusion.errors import UserError
from layerfusion.experiments.corruptions import CONDITIONS, CURVES
from layerfusion.images.degradations import LARGEST_JPEG_SIDE, Jpeg, Launder, degradation
from layerfusion.images.reading import ImageError
from layerfusion.images.transforms import EvaluationTransform
from layerfusion.scoring.predictions import score_files
from layerfusion.settings import ImageSettings, LoaderSettings

SMALL = ImageSettings(crop=48, min_side=64)
ALONE = LoaderSettings(workers=0)


def equal(one, other):
    return one.size == other.size and np.array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize("quality", [95, 85, 75, 1, 100])
def test_jpeg_is_one_round_trip_at_full_size(quality):
    image, file = photo(123, 77), io.BytesIO()
    image.save(file, format="JPEG", quality=quality)
    file.seek(0)
    assert equal(degradation(f"jpeg-{quality}")(image), Image.open(file).convert("RGB"))


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
@example(width=1, height=9)
@example(width=115, height=111)  # margins of 12 and 12
@example(width=33, height=37)  # a window of 32 px, margins of 1 and 4
@example(width=31, height=200)  # padded
@example(width=100, height=40)  # 32 px, not half of 40
def test_laundering_is_what_torchvision_makes_of_the_authors_numbers(width, height):
    image = photo(width, height)
    small = [max(32, int(height * 0.5)), max(32, int(width * 0.5))]
    window = [max(32, int(height * 0.9)), max(32, int(width * 0.9))]
    step = F.resize(image, small, interpolation=InterpolationMode.BICUBIC)
    step = F.resize(step, [height, width], interpolation=InterpolationMode.BICUBIC)
    step = F.center_crop(step, window)
    step = F.resize(step, [height, width], interpolation=InterpolationMode.BICUBIC)
    assert equal(degradation("launder")(image), step)


def test_names_say_kind_and_strength():
    assert degradation("jpeg-85") == Jpeg(85) and degradation("launder") == Launder(50)


@settings(max_examples=120, deadline=None)
@given(
    degrade=st.builds(Jpeg, st.integers(1, 100)) | st.builds(Launder, st.integers(1, 100)),
    width=st.integers(32, 400),
    height=st.integers(32, 400),
    left=st.floats(0, 1),
    top=st.floats(0, 1),
    side=st.integers(1, 32),
)
@example(degrade=Launder(50), width=375, height=500, left=0.5, top=0.5, side=32)
@example(degrade=Launder(100), width=32, height=400, left=0, top=1, side=32)
@example(degrade=Launder(9), width=175, height=319, left=0.3, top=0.6, side=32)
def test_a_part_of_a_degraded_image_is_what_the_whole_shows_there(
    degrade, width, height, left, top, side
):
    image = photo(width, height, seed=width)
    y, x = int(top * (height - side)), int(left * (width - side))
    part = degrade.part(np.asarray(image), (y, x), side)
    assert np.array_equal(part, np.asarray(degrade(image))[y : y + side, x : x + side])


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for index, path in enumerate(paths):
        photo(70 + 30 * index, 90, index).save(path)
    return paths


@pytest.mark.parametrize("name", ["jpeg-85", "launder"])
@pytest.mark.parametrize("workers", [0, 2])
def test_images_are_degraded_before_they_are_enlarged_and_cropped(files, name, workers):
    images = EvaluationImages(files, SMALL, degradation=name)
    (batch,) = scoring_batches(images, LoaderSettings(workers=workers))
    transform = EvaluationTransform(SMALL)
    for pixels, file in zip(batch.images, files, strict=True):
        assert np.array_equal(pixels, transform(degradation(name)(Image.open(file))))


def test_without_a_degradation_nothing_changes(files):
    (batch,) = scoring_batches(EvaluationImages(files, SMALL), ALONE)
    transform = EvaluationTransform(SMALL)
    for pixels, file in zip(batch.images, files, strict=True):
        assert np.array_equal(pixels, transform(Image.open(file)))


def test_an_image_too_long_for_jpeg_is_named(tmp_path):
    path = tmp_path / "line.png"
    Image.new("RGB", (LARGEST_JPEG_SIDE + 1, 1)).save(path)
    with pytest.raises(UserError, match="does not fit into a JPEG"):
        Jpeg(85)(Image.open(path))
    _, error = EvaluationImages([path], SMALL, degradation="jpeg-85")[0]
    assert isinstance(error, ImageError) and "line.png" in str(error)
    Jpeg(85)(Image.new("RGB", (LARGEST_JPEG_SIDE, 1)))


def test_scores_are_of_degraded_images(files):
    class Contrast(torch.nn.Module):
        def forward(self, images):
            return images.float().std(dim=(1, 2, 3))

    clean = score_files(Contrast(), files, SMALL, ALONE)
    laundered = score_files(Contrast(), files, SMALL, ALONE, degradation="launder")
    assert (laundered["logit"] < clean["logit"]).all()


def distance(name, image):
    degraded = degradation(name)(image).resize(image.size, Image.Resampling.BICUBIC)
    return np.abs(np.asarray(degraded, float) - np.asarray(image, float)).mean()


@pytest.mark.parametrize("name", ["launder", "jpeg-1", *CONDITIONS[1:]])
def test_every_condition_gives_rgb_and_the_same_twice_also_in_a_worker(name):
    image = photo(120, 90)
    before = image.tobytes()
    once = degradation(name)(image)
    handed = pickle.loads(pickle.dumps(degradation(name)))
    assert once.mode == "RGB"
    assert once.tobytes() == handed(image).tobytes()
    assert image.tobytes() == before


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif", "shrink", "blur", "noise"])
def test_more_of_it_is_further_from_the_image(kind):
    image = photo(120, 90).resize((60, 45)).resize((120, 90), Image.Resampling.BICUBIC)
    found = [distance(f"{kind}-{strength}", image) for strength in CURVES[kind]]
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
    image = photo(120, 90)
    one, two = degradation("shrink-50"), degradation("jpeg-60")
    assert degradation("shrink-50+jpeg-60")(image).tobytes() == two(one(image)).tobytes()


@pytest.mark.parametrize(
    "name",
    ["", "jpeg", "jpeg-0", "jpeg-101", "jpeg-085", "blur", "blur-0", "noise-101", "bound-8",
     "jpeg-80+", "+", "a+b"],
)  # fmt: skip
def test_what_there_is_not_is_one_sentence(name):
    for ask in (degradation, lambda name: EvaluationImages([], SMALL, degradation=name)):
        with pytest.raises(UserError, match="there is no degradation") as caught:
            ask(name)
        assert "\n" not in str(caught.value)
