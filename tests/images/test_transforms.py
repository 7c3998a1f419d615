"""The two transforms do what they say, pixel for pixel and draw for draw."""

from io import BytesIO
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy import stats
from torchvision.transforms import v2

from conftest import photo
from layerfusion.images.augmentation import ADJUST
from layerfusion.images.transforms import (
    LONGEST_RATIO,
    EvaluationTransform,
    TrainingTransform,
    enlarge,
    image_rng,
)
from layerfusion.settings import AugmentationSettings, ImageSettings

OFF = {f"{step}_probability": 0.0 for step in ("flip", "jitter", "rotation", "jpeg", "resample")}
FIELD = {
    "flip": "flip",
    "jitter": "jitter",
    "rotation": "angle",
    "jpeg": "quality",
    "resample": "resample_side",
}
N = 4000


def training(**augmentation):
    """A transform with every step off that is not named."""
    return TrainingTransform(
        ImageSettings(augmentation=AugmentationSettings(**{**OFF, **augmentation}))
    )


def tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def many_draws(transform, size=(300, 260)):
    return [transform.draw(image_rng(7, 0, i), size) for i in range(N)]


def is_fair(successes, chance, trials=N):
    return bool(stats.binomtest(successes, trials, chance).pvalue > 1e-4)


def is_uniform(counts):
    return bool(stats.chisquare(counts).pvalue > 1e-4)


# --- evaluation ---------------------------------------------------------------------------------


def reference(image, crop, min_side):
    steps = [v2.CenterCrop(crop), v2.PILToTensor()]
    if min(image.size) < min_side:
        bicubic = v2.InterpolationMode.BICUBIC
        steps.insert(0, v2.Resize(min_side, interpolation=bicubic, antialias=True))
    return v2.Compose(steps)(image)


SIDE = st.integers(1, 700)
OTHERS = [(1, 1), (31, 32), (32, 32), (97, 200)]  # crop and shorter side


@settings(max_examples=120, deadline=None)
@given(size=st.tuples(SIDE, SIDE), crops=st.just((224, 256)) | st.sampled_from(OTHERS))
@example(size=(30, 1000), crops=(224, 256))
@example(size=(1000, 30), crops=(224, 256))
@example(size=(224, 224), crops=(224, 256))
@example(size=(255, 257), crops=(224, 256))
@example(size=(256, 256), crops=(224, 256))
@example(size=(2, 1999), crops=(224, 256))
def test_evaluation_equals_torchvisions_composition(size, crops):
    image, (crop, min_side) = photo(*size), crops
    found = EvaluationTransform(ImageSettings(crop=crop, min_side=min_side))(image)
    assert torch.equal(found, reference(image, crop, min_side))


@pytest.mark.parametrize("upright", [True, False])
def test_of_an_endless_line_the_middle_is_enlarged(upright):
    long = LONGEST_RATIO + 400
    line = photo(1, long) if upright else photo(long, 1)
    box = (0, 200, 1, long - 200) if upright else (200, 0, long - 200, 1)
    assert max(enlarge(line, 24).size) == 24 * LONGEST_RATIO
    evaluate = EvaluationTransform(ImageSettings(crop=20, min_side=24))
    assert torch.equal(evaluate(line), evaluate(line.crop(box)))


# --- both ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (30, 500), (224, 224), (256, 300), (640, 480)])
def test_both_give_contiguous_bytes_of_the_same_shape(size):
    everything = dict.fromkeys(OFF, 1.0)
    image = photo(*size)
    before = image.tobytes()
    views = [EvaluationTransform(ImageSettings())(image)]
    views += [training(**everything)(image, image_rng(0, 0, i)) for i in range(3)]
    for view in views:
        assert view.shape == (3, 224, 224)
        assert view.dtype == torch.uint8
        assert view.is_contiguous()
        view.add_(1)  # its own memory, writable
    assert image.tobytes() == before


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_both_refuse_what_is_not_rgb(mode):
    image = photo(300, 300).convert(mode)
    with pytest.raises(ValueError, match=mode):
        EvaluationTransform(ImageSettings())(image)
    with pytest.raises(ValueError, match=mode):
        training()(image, image_rng(0, 0, 0))


# --- training: what is drawn --------------------------------------------------------------------


def test_an_image_is_a_function_of_seed_epoch_and_position():
    transform, image = TrainingTransform(ImageSettings()), photo(300, 280)
    first = transform(image, image_rng(1, 2, 3))
    transform(image, image_rng(9, 9, 9))
    assert torch.equal(first, transform(image, image_rng(1, 2, 3)))
    keys = [(a, b, c) for a in range(4) for b in range(4) for c in range(4)]
    assert len({image_rng(*key).random() for key in keys}) == len(keys)


@pytest.mark.parametrize("step", FIELD)
@pytest.mark.parametrize("chance", [0.0, 0.1, 0.8, 1.0])
def test_a_step_happens_as_often_as_its_probability_says(step, chance):
    draws = many_draws(training(**{f"{step}_probability": chance}))
    happened = sum(bool(getattr(draw, FIELD[step])) for draw in draws)
    if chance in (0, 1):
        assert happened == N * chance
    else:
        assert is_fair(happened, chance)
    others = [field for name, field in FIELD.items() if name != step]
    assert not any(getattr(draw, field) for draw in draws for field in others)


def test_default_probabilities_are_the_authors():
    draws = many_draws(TrainingTransform(ImageSettings()))
    chances = {"flip": 0.5, "jitter": 0.3, "rotation": 0.2, "jpeg": 0.5, "resample": 0.6}
    for step, chance in chances.items():
        assert is_fair(sum(bool(getattr(draw, FIELD[step])) for draw in draws), chance), step


def test_steps_happen_independently():
    draws = many_draws(training(**dict.fromkeys(OFF, 0.5)))
    happened = np.array([[bool(getattr(d, field)) for field in FIELD.values()] for d in draws])
    correlation = np.corrcoef(happened.T) - np.eye(len(FIELD))
    assert np.abs(correlation).max() < 4 / np.sqrt(N)


@pytest.mark.parametrize(
    ("setting", "field", "low", "high"),
    [("jpeg_quality", "quality", 61, 70), ("resample_size", "resample_side", 80, 95)],
)
def test_integers_are_uniform_and_both_ends_occur(setting, field, low, high):
    step = setting.partition("_")[0]
    draws = many_draws(training(**{f"{step}_probability": 1.0, setting: (low, high)}))
    values = np.array([getattr(draw, field) for draw in draws])
    assert (values.min(), values.max()) == (low, high)
    assert is_uniform(np.bincount(values - low, minlength=high - low + 1))


def test_crop_positions_are_uniform_and_reach_every_edge():
    draws = many_draws(training(), size=(224 + 9, 224 + 4))
    left, top = (np.array([getattr(draw, side) for draw in draws]) for side in ("left", "top"))
    assert (left.min(), left.max(), top.min(), top.max()) == (0, 9, 0, 4)
    assert is_uniform(np.bincount(left * 5 + top, minlength=50))


def test_angles_and_colour_factors_are_uniform_in_their_ranges():
    reach = {"brightness": 0.1, "contrast": 0.2, "saturation": 0.3, "hue": 0.04}
    ranges = {f"jitter_{name}": value for name, value in reach.items()}
    always = {"jitter_probability": 1.0, "rotation_probability": 1.0, "rotation_degrees": 12.0}
    draws = many_draws(training(**always, **ranges))
    drawn = [dict(draw.jitter or ()) | {"angle": draw.angle} for draw in draws]
    for name, value in (reach | {"angle": 12.0}).items():
        centre = 0 if name in ("hue", "angle") else 1
        values = np.array([values[name] for values in drawn])
        expected = stats.uniform(centre - value, 2 * value)
        assert stats.kstest(values, expected.cdf).pvalue > 1e-4, name


def test_the_order_of_colour_adjustments_is_uniform_and_tells_nothing_of_the_factors():
    draws = many_draws(training(jitter_probability=1.0))
    orders = [tuple(name for name, _ in draw.jitter or ()) for draw in draws]
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 24
    assert is_uniform(counts)
    places = [order.index("contrast") for order in orders]
    factors = [dict(draw.jitter or ())["contrast"] for draw in draws]
    assert abs(np.corrcoef(places, factors)[0, 1]) < 4 / np.sqrt(N)


def test_an_adjustment_without_range_is_left_out():
    draws = many_draws(training(jitter_probability=1.0, jitter_hue=0.0, jitter_contrast=0.0))
    assert {name for draw in draws for name, _ in draw.jitter or ()} == {"brightness", "saturation"}


@pytest.mark.parametrize("step", FIELD)
def test_switching_a_step_off_leaves_the_other_draws(step):
    everything = dict.fromkeys(OFF, 1.0)
    full, part = training(**everything), training(**{**everything, f"{step}_probability": 0.0})
    for i in range(50):
        generators = image_rng(3, 1, i), image_rng(3, 1, i)
        one = vars(full.draw(generators[0], (300, 400)))
        two = vars(part.draw(generators[1], (300, 400)))
        assert {name for name in one if one[name] != two[name]} == {FIELD[step]}
        # ... and what a caller draws next from the same generator.
        assert generators[0].random() == generators[1].random()


def test_size_and_ranges_do_not_shift_the_other_draws():
    everything = dict.fromkeys(OFF, 1.0)
    one = training(**everything).draw(image_rng(3, 1, 0), (300, 400))
    two = training(**everything, jpeg_quality=(3, 5), jitter_hue=0.0).draw(
        image_rng(3, 1, 0), (256, 999)
    )
    assert (one.flip, one.angle, one.resample_side) == (two.flip, two.angle, two.resample_side)
    assert [pair for pair in one.jitter or () if pair[0] != "hue"] == list(two.jitter or ())


# --- training: what it does to pixels -----------------------------------------------------------


def test_with_every_step_off_an_image_of_the_crops_size_is_itself():
    transform = TrainingTransform(
        ImageSettings(crop=224, min_side=224, augmentation=AugmentationSettings(**OFF))
    )
    assert torch.equal(transform(photo(224, 224), image_rng(0, 0, 0)), tensor(photo(224, 224)))


@pytest.mark.parametrize("size", [(300, 280), (90, 120)])
def test_the_crop_is_cut_where_it_was_drawn_after_the_min_side_rule(size):
    image, large = photo(*size), photo(*size)
    if min(size) < 256:
        large = v2.Resize(256, interpolation=v2.InterpolationMode.BICUBIC)(image)
    transform = training()
    draws = transform.draw(image_rng(5, 0, 1), large.size)
    expected = tensor(large)[:, draws.top : draws.top + 224, draws.left : draws.left + 224]
    assert torch.equal(transform(image, image_rng(5, 0, 1)), expected)


def both(image, **step):
    """The transform's output, its bare crop (no step on) and what was drawn."""
    transform, rng = training(**step), image_rng(11, 0, 4)
    draws = transform.draw(image_rng(11, 0, 4), image.size)
    crop = image.crop((draws.left, draws.top, draws.left + 224, draws.top + 224))
    return transform(image, rng), crop, draws


def test_flip_mirrors_left_and_right():
    found, crop, _ = both(photo(300, 280), flip_probability=1.0)
    assert torch.equal(found, tensor(crop).flip(-1))


def jpeg(image, quality):
    buffer = BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return Image.open(BytesIO(buffer.getvalue())).convert("RGB")


@pytest.mark.parametrize("quality", [1, 50, 75, 100])
def test_jpeg_is_pillows_round_trip_at_the_drawn_quality(quality):
    found, crop, _ = both(photo(300, 280), jpeg_probability=1.0, jpeg_quality=(quality, quality))
    assert torch.equal(found, tensor(jpeg(crop, quality)))


def off(found, expected):
    """By how many of 256 levels pixels differ, shape (3, height, width)."""
    return (found.float() - tensor(expected).float()).abs()


@pytest.mark.parametrize("side", [1, 80, 192, 224, 300])
def test_resampling_goes_down_and_up_again(side):
    found, crop, _ = both(photo(300, 280), resample_probability=1.0, resample_size=(side, side))
    bicubic = Image.Resampling.BICUBIC
    differs = off(found, crop.resize((side, side), bicubic).resize((224, 224), bicubic))
    assert differs.max() <= 2
    assert differs.mean() < 0.05


def test_rotation_is_bilinear_about_the_centre_with_black_corners():
    found, crop, draws = both(photo(300, 280), rotation_probability=1.0, rotation_degrees=40.0)
    assert draws.angle is not None
    assert abs(draws.angle) > 5
    differs = off(found, crop.rotate(draws.angle, Image.Resampling.BILINEAR))
    assert differs.quantile(0.98) <= 1  # the rest are edges against black, half a pixel wide
    corners = found[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 0).all()


def shifted_hue(image, factor):
    """Turn the hue by a fraction of the circle; Pillow keeps hues as 0..255 and wraps."""
    hue, saturation, value = (np.array(band) for band in image.convert("HSV").split())
    turned = ((hue.astype(int) + int(factor * 255)) % 256).astype(np.uint8)
    bands = [Image.fromarray(band) for band in (turned, saturation, value)]
    return Image.merge("HSV", bands).convert("RGB")


ENHANCE = {
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "saturation": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "hue": shifted_hue,
}


@pytest.mark.parametrize("name", ENHANCE)
@pytest.mark.parametrize("factor", [-0.1, -0.02, 0.004, 0.02, 0.1])
def test_an_adjustment_is_pillows(name, factor):
    centre = 0 if name == "hue" else 1
    image = photo(200, 160)
    found = torch.from_numpy(ADJUST[name](np.array(image), centre + factor)).permute(2, 0, 1)
    differs = off(found, ENHANCE[name](image, centre + factor))
    if name == "hue":  # its three numbers are rounded here and cut off there
        assert differs.mean() < 1
        assert differs.quantile(0.99) <= 8  # one of 256 hues is six levels of a full colour
    else:
        assert differs.max() <= 1
        assert differs.mean() < 0.01


def test_grey_has_no_colour_to_adjust():
    grey = np.array(photo(60, 50).convert("L").convert("RGB"))
    for factor in (0.5, 0.93, 1.07):
        assert np.array_equal(ADJUST["saturation"](grey, factor), grey)
    assert np.array_equal(ADJUST["hue"](grey, 0.02), grey)


def test_jitter_applies_the_drawn_factors_in_the_drawn_order():
    transform = training(jitter_probability=1.0, jitter_brightness=0.5, jitter_hue=0.3)
    image = photo(300, 280)
    for position in range(6):
        draws = transform.draw(image_rng(0, 0, position), image.size)
        assert draws.jitter is not None
        crop = image.crop((draws.left, draws.top, draws.left + 224, draws.top + 224))
        found = transform(image, image_rng(0, 0, position))
        assert torch.equal(found, transform.apply(np.array(crop), draws))
        distances = {}
        for order in permutations(draws.jitter):
            expected = crop
            for name, factor in order:
                expected = ENHANCE[name](expected, factor)
            distances[order] = off(found, expected).mean()
        assert distances[draws.jitter] < 1.2
        assert distances[draws.jitter] < min(distances.values()) + 0.05


def test_steps_come_in_the_authors_order():
    found, crop, draws = both(
        photo(300, 280),
        flip_probability=1.0,
        jitter_probability=1.0,
        jitter_brightness=0.5,
        jitter_saturation=0.0,
        jitter_hue=0.0,
        jitter_contrast=0.0,
        rotation_probability=1.0,
        rotation_degrees=30.0,
        jpeg_probability=1.0,
        jpeg_quality=(10, 10),
        resample_probability=1.0,
    )
    assert draws.jitter is not None
    factor, angle, quality, side = (
        draws.jitter[0][1], draws.angle, draws.quality, draws.resample_side
    )  # fmt: skip
    assert angle is not None and quality is not None and side is not None
    steps = {
        "brightness": lambda image: ImageEnhance.Brightness(image).enhance(factor),
        "rotation": lambda image: image.rotate(angle, Image.Resampling.BILINEAR),
        "jpeg": lambda image: jpeg(image, quality),
        "resample": lambda image: image.resize((side, side), Image.Resampling.BICUBIC).resize(
            (224, 224), Image.Resampling.BICUBIC
        ),
    }
    distances = {}
    for order in permutations(steps):
        expected = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for name in order:
            expected = steps[name](expected)
        distances[order] = off(found, expected).mean().item()
    best, second = sorted(distances.values())[:2]
    assert distances["brightness", "rotation", "jpeg", "resample"] == best < 0.8 * second
