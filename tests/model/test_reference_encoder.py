"""The obvious way to write the detector, which benchmarks measure against, computes the same."""

import copy
import sys

import open_clip
import pytest
import torch

from conftest import tiny_detector, tiny_images
from layerfusion.model.weights import set_activation
from layerfusion.paths import project_root

sys.path.append(str(project_root() / "benchmarks"))
from reference.encoder import HookedDetector, optimizer, step


@pytest.fixture
def both():
    detector = tiny_detector()
    clip = open_clip.create_model("demo-tiny")
    clip.visual.load_state_dict(detector.encoder.visual.state_dict())
    set_activation(clip.visual, detector.activation)
    blocks = detector.encoder_settings.trained_blocks
    return detector, HookedDetector(clip, copy.deepcopy(detector.head), blocks).eval()


def normalised(images, detector):
    mean, std = (
        torch.tensor(values).view(3, 1, 1)
        for values in (detector.encoder_settings.mean, detector.encoder_settings.std)
    )
    return (images / 255 - mean) / std


def test_hooks_on_all_of_clip_give_the_same_logits(both):
    detector, hooked = both
    images = tiny_images(5)
    with torch.no_grad():
        found = hooked(normalised(images, detector))
        assert torch.allclose(found, detector(images), atol=1e-5)
        assert torch.equal(hooked(normalised(images, detector)), found)  # hooks keep nothing


def test_a_step_moves_the_last_blocks_and_the_head_alone(both):
    detector, hooked = both
    before = copy.deepcopy(hooked.state_dict())
    step(hooked, optimizer(hooked, 1e-3, 1e-3), normalised(tiny_images(4), detector), torch.ones(4))
    moved = {name for name, value in hooked.state_dict().items() if not value.equal(before[name])}
    resblocks = len(hooked.clip.visual.transformer.resblocks)
    trained = [f"clip.visual.transformer.resblocks.{n}." for n in (resblocks - 2, resblocks - 1)]
    assert moved
    assert all(name.startswith(("head.", *trained)) for name in moved)
    assert all(any(name.startswith(prefix) for name in moved) for prefix in ("head.", *trained))
