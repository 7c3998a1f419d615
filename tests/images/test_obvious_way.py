"""Images as the plain reference of the benchmarks prepares them: the same, or of the same kind."""

import random
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from layerfusion.images.degradations import degradation, evaluated
from layerfusion.images.reading import read_pixels
from layerfusion.images.transforms import EvaluationTransform, TrainingTransform, image_rng
from layerfusion.paths import project_root
from layerfusion.settings import ImageSettings

sys.path.append(str(project_root() / "benchmarks"))
from reference import preparation as reference

EVALUATE, TRAIN = EvaluationTransform(ImageSettings()), TrainingTransform(ImageSettings())
MEAN, STD = (
    torch.tensor(values).view(3, 1, 1) for values in (reference.MEAN, reference.STD)
)  # fmt: skip
VIEWS = 250


@pytest.fixture(scope="module", params=[(375, 290), (300, 500), (200, 260)], ids=str)
def photograph(request, tmp_path_factory):
    """Blurred noise with an edge in it: detail at every scale."""
    width, height = request.param
    rng = np.random.default_rng(width)
    small = Image.fromarray(rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8))
    pixels = np.array(small.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    pixels[:, width // 2 :] *= 0.6
    pixels += rng.normal(0, 6, pixels.shape)
    path = tmp_path_factory.mktemp("photograph") / "photograph.jpg"
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=92)
    return path


@pytest.mark.parametrize("name", reference.CONDITIONS)
def test_evaluation_pixels_are_the_same_under_every_condition(photograph, name):
    pixels = read_pixels(photograph)
    own = EVALUATE(pixels) if name == "clean" else evaluated(EVALUATE, pixels, degradation(name))
    expected = reference.evaluation(photograph, name) * STD + MEAN
    assert torch.equal(own, (expected * 255).round().byte())


def traits(view):
    """Brightness, contrast, colour, detail and blocks of 8 px of a view, in 0..1."""
    grey = view.mean(0)
    steps = (grey[:, 1:] - grey[:, :-1]).abs()
    at_blocks = steps[:, 7::8].mean() / steps.mean()
    colour = (view.amax(0) - view.amin(0)).mean()
    return [float(value) for value in (grey.mean(), grey.std(), colour, steps.mean(), at_blocks)]


def test_training_views_are_of_the_same_distributions(photograph):
    random.seed(0)
    torch.manual_seed(0)
    pixels = read_pixels(photograph)
    own = [traits(TRAIN(pixels, image_rng(0, 0, i)).float() / 255) for i in range(VIEWS)]
    other = [traits(reference.training(photograph) * STD + MEAN) for _ in range(VIEWS)]
    for one, two in zip(np.transpose(own), np.transpose(other), strict=True):
        assert stats.ks_2samp(one, two).pvalue > 1e-3
