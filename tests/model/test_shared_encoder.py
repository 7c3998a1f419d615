"""Detectors on one frozen encoder: each gets the logits it would have alone, and work is shared."""

import pytest
import torch

from layerfusion.model.detector import Detector
from layerfusion.model.shared_encoder import SharedEncoder, share_encoder
from layerfusion.settings import load_profile


@pytest.fixture
def build(tiny_settings):
    """Build a detector of the tiny tower; the seed is the head's."""

    def build(seed=0, **overrides):
        profile = load_profile("demo", tiny_settings | overrides)
        return Detector.build(profile.encoder, profile.head, profile.images, seed=seed).eval()

    return build


def images(count=5):
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 3, 48, 48), dtype=torch.uint8, generator=generator)


def test_each_detector_gets_the_logits_it_has_alone(build):
    detectors = [build(1), build(2), build(2, **{"head.blocks": "last"})]
    with torch.no_grad():
        for parameter in detectors[1].encoder.visual.transformer.resblocks[-1].parameters():
            parameter.add_(0.01)  # as training changes the last blocks
    with torch.inference_mode():
        together = SharedEncoder(detectors)(images())
        alone = torch.stack([detector(images()) for detector in detectors], dim=1)
    assert torch.equal(together, alone)
    assert len(set(together[0].tolist())) == 3


def test_the_frozen_blocks_see_an_image_once(build, monkeypatch):
    detectors, seen = [build(1), build(2)], []
    for detector in detectors:
        prefix = detector.encoder.prefix
        monkeypatch.setattr(
            detector.encoder, "prefix", lambda x, prefix=prefix: seen.append(len(x)) or prefix(x)
        )
    with torch.inference_mode():
        SharedEncoder(detectors)(images())
    assert seen == [5]


def test_other_frozen_blocks_are_not_shared(build):
    others = [build(1), build(1, **{"encoder.random_seed": 1})]
    assert share_encoder([build(1), build(2)]) and not share_encoder(others)
    assert not share_encoder([build(1), build(1, **{"encoder.trained_blocks": 1})])
    with pytest.raises(ValueError, match="do not share"):
        SharedEncoder(others)
