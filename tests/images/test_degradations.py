"""Degradations against the same steps written out in Pillow, at every size, and on the way in."""

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

from layerfusion.data.loading import EvaluationImages, scoring_batches
from layerfusion.errors import UserError
from layerfusion.images.degradations import (
    LARGEST_JPEG_SIDE,
    Jpeg,
    Launder,
    degradation,
)
from layerfusion.images.reading import ImageError
from layerfusion.images.transforms import EvaluationTransform
from layerfusion.scoring.predictions import score_files
from layerfusion.settings import ImageSettings, LoaderSettings

launder = Launder()
# Those of the author's robustness runs.
AUTHORS = ["jpeg-95", "jpeg-85", "jpeg-75", "launder"]
SMALL = ImageSettings(crop=48, min_side=64)
ALONE = LoaderSettings(workers=0)


def photo(width, height, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    ramp = np.stack([x * 255 / width, y * 255 / height, (x + y) * 127 / (width + height)], axis=-1)
    return Image.fromarray(np.clip(ramp + rng.normal(0, 20, ramp.shape), 0, 255).astype(np.uint8))


def equal(one, other):
    return one.size == other.size and np.array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize("quality", [95, 85, 75, 1, 100])
def test_jpeg_is_one_round_trip_at_full_size(quality):
    image, file = photo(123, 77), io.BytesIO()
    image.save(file, format="JPEG", quality=quality)
    file.seek(0)
    assert equal(degradation(f"jpeg-{quality}")(image), Image.open(file).convert("RGB"))


def test_laundering_is_down_up_crop_up():
    image = photo(202, 151)
    step = image.resize((101, 75), resample=Image.BICUBIC).resize((202, 151), Image.BICUBIC)
    # 90 % of 202 x 151 are 181 x 135: half of 21 and of 16 px before it, halves to even.
    step = step.crop((10, 8, 191, 143)).resize((202, 151), Image.BICUBIC)
    assert equal(launder(image), step)


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
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
    assert equal(launder(image), step)


def test_laundering_magnifies_the_centre_and_removes_fine_detail():
    checkers = np.indices((200, 200)).sum(axis=0) % 2 * 255
    image = Image.fromarray(np.repeat(checkers[..., None], 3, axis=2).astype(np.uint8))
    assert np.asarray(launder(image)).std() < 5 < np.asarray(image).std()
    framed = Image.new("RGB", (100, 100), "white")
    framed.paste(Image.new("RGB", (96, 96), "black"), (2, 2))
    assert np.asarray(launder(framed)).max() < 5  # the frame lies in the edges that are cut off


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(AUTHORS),
    width=st.integers(1, 300),
    height=st.integers(1, 300),
)
@example(name="launder", width=1, height=1)
@example(name="jpeg-85", width=1, height=1)
@example(name="launder", width=1, height=9)
def test_every_image_keeps_its_size_and_stays_rgb(name, width, height):
    image = photo(width, height)
    before = np.array(image)
    degraded = degradation(name)(image)
    assert (degraded.size, degraded.mode) == ((width, height), "RGB")
    assert np.array_equal(np.asarray(image), before)
    assert equal(degradation(name)(image), degraded)


@settings(max_examples=30, deadline=None)
@given(
    colour=st.tuples(*[st.integers(0, 255)] * 3),
    width=st.integers(32, 90),
    height=st.integers(32, 90),
)
def test_laundering_leaves_a_flat_image_alone(colour, width, height):
    flat = Image.new("RGB", (width, height), colour)
    assert equal(launder(flat), flat)


@pytest.mark.parametrize("name", [*AUTHORS, "jpeg-1", "jpeg-100"])
def test_degradations_can_be_handed_to_a_worker(name):
    image = photo(50, 40)
    handed = pickle.loads(pickle.dumps(degradation(name)))
    assert equal(handed(image), degradation(name)(image))


@pytest.mark.parametrize("name", ["jpeg", "jpeg-0", "jpeg-101", "jpeg-085", "blur", ""])
def test_an_unknown_degradation_is_one_sentence(name):
    with pytest.raises(UserError, match="there is no degradation") as caught:
        EvaluationImages([], SMALL, degradation=name)
    assert "\n" not in str(caught.value)


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
