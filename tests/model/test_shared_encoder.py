"""Detectors on one frozen encoder: each gets the logits it would have alone, and work is shared."""

import pytest
import torch

from conftest import tiny_detector, tiny_images
from layerfusion.model.detector import SharedEncoder, share_encoder


def test_each_detector_gets_the_logits_it_has_alone():
    detectors = [tiny_detector(1), tiny_detector(2), tiny_detector(2, **{"head.blocks": "last"})]
    with torch.no_grad():
        for parameter in detectors[1].encoder.visual.transformer.resblocks[-1].parameters():
            parameter.add_(0.01)  # as training changes the last blocks
    with torch.inference_mode():
        together = SharedEncoder(detectors)(tiny_images(5))
        alone = torch.stack([detector(tiny_images(5)) for detector in detectors], dim=1)
    assert torch.equal(together, alone)
    assert len(set(together[0].tolist())) == 3


def test_the_frozen_blocks_see_an_image_once(monkeypatch):
    detectors, seen = [tiny_detector(1), tiny_detector(2)], []
    for detector in detectors:
        prefix = detector.encoder.prefix
        monkeypatch.setattr(
            detector.encoder, "prefix", lambda x, prefix=prefix: seen.append(len(x)) or prefix(x)
        )
    with torch.inference_mode():
        SharedEncoder(detectors)(tiny_images(5))
    assert seen == [5]


def test_other_frozen_blocks_are_not_shared():
    others = [tiny_detector(1), tiny_detector(1, **{"encoder.random_seed": 1})]
    assert share_encoder([tiny_detector(1), tiny_detector(2)]) and not share_encoder(others)
    assert not share_encoder([tiny_detector(1), tiny_detector(1, **{"encoder.trained_blocks": 1})])
    with pytest.raises(ValueError, match="do not share"):
        SharedEncoder(others)
