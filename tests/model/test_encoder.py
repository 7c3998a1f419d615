"""Class tokens against OpenCLIP's own, at toy and at full size."""

import pytest
import torch
from pydantic import ValidationError

from layerfusion.errors import UserError
from layerfusion.model.encoder import ClassTokenEncoder
from layerfusion.model.weights import build_tower
from layerfusion.settings import EncoderSettings


def tower_of(model, **settings):
    return build_tower(EncoderSettings(model=model, weights="random", **settings))


def reference_class_tokens(tower, images):
    with torch.no_grad():
        tokens = tower.eval().forward_intermediates(images, output_extra_tokens=True)
    return torch.stack([block[:, 0] for block in tokens["image_intermediates_prefix"]], dim=1)


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("trained_blocks", [0, 2, 4])
def test_class_tokens_equal_open_clips(activation, trained_blocks):
    tower = tower_of("demo-tiny", activation=activation)
    images = torch.randn(3, 3, 48, 48)
    h = ClassTokenEncoder(tower, trained_blocks=trained_blocks).eval()(images)
    assert h.shape == (3, 4, 32) and h.dtype == torch.float32
    torch.testing.assert_close(h, reference_class_tokens(tower, images), atol=1e-5, rtol=0)


@pytest.mark.parametrize("trained_blocks", [0, 2])
def test_patch_tokens_are_the_mean_of_open_clips(trained_blocks):
    tower = tower_of("demo-tiny")
    images = torch.randn(3, 3, 48, 48)
    with torch.no_grad():
        streams = tower.eval().forward_intermediates(images, output_fmt="NLC")
    expected = torch.stack([s.mean(dim=1) for s in streams["image_intermediates"]], dim=1)
    h = ClassTokenEncoder(tower, trained_blocks=trained_blocks, tokens="patches").eval()(images)
    torch.testing.assert_close(h, expected, atol=1e-5, rtol=0)


def test_patch_tokens_are_not_read_where_the_last_block_computes_none():
    with pytest.raises(ValidationError, match="patches"):
        EncoderSettings(
            model="demo-tiny", weights="random", tokens="patches", last_block="class_token"
        )


def test_class_tokens_equal_open_clips_at_full_size():
    tower = tower_of("ViT-L-14", activation="quick_gelu")
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        h = ClassTokenEncoder(tower).eval()(images)
    assert h.shape == (1, 24, 1024)
    torch.testing.assert_close(h, reference_class_tokens(tower, images), atol=1e-5, rtol=0)


def test_frozen_part_stays_in_evaluation_mode():
    encoder = ClassTokenEncoder(tower_of("demo-tiny"), trained_blocks=2).train()
    modes = [block.training for block in encoder.visual.transformer.resblocks]
    assert modes == [False] * 2 + [True] * 2
    assert not encoder.eval().visual.transformer.resblocks[-1].training


def test_other_towers_are_refused():
    with pytest.raises(UserError, match="a Linear is no tower"):
        ClassTokenEncoder(torch.nn.Linear(2, 2))
    with pytest.raises(UserError, match="not an OpenCLIP vision transformer"):
        tower_of("RN50")
    with pytest.raises(UserError, match="has 4 blocks"):
        ClassTokenEncoder(tower_of("demo-tiny"), trained_blocks=13)
