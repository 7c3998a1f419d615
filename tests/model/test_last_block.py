"""The class token of the last block, computed alone, against the whole block."""

import pytest
import torch
from open_clip.transformer import CustomResidualAttentionBlock, QuickGELU, ResidualAttentionBlock

from layerfusion.model.encoder import ClassTokenEncoder
from layerfusion.model.tower import class_token_after
from layerfusion.model.weights import build_tower
from layerfusion.settings import EncoderSettings

# Float32 sums in another order; values are about 1.
TOLERANCE = 1e-5


class Shifted(ResidualAttentionBlock):
    """A variant that the shortcut does not know."""

    def forward(self, x):
        return super().forward(x) + 1


BLOCKS = {
    "plain": lambda: ResidualAttentionBlock(64, 4, act_layer=QuickGELU),
    "layer scale": lambda: ResidualAttentionBlock(64, 4, ls_init_value=0.3),
    "custom": lambda: CustomResidualAttentionBlock(64, 4, qk_norm=True, scale_attn=True),
    "subclass": lambda: Shifted(64, 4),
}


def token_and_gradients(compute, block, tokens):
    block.zero_grad()
    tokens = tokens.clone().requires_grad_()
    token = compute(block, tokens)
    (token * torch.arange(token.numel()).view_as(token).cos()).sum().backward()
    return [token.detach(), tokens.grad, *(parameter.grad for parameter in block.parameters())]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", BLOCKS)
def test_token_and_gradients_are_those_of_the_whole_block(kind, training):
    torch.manual_seed(3)
    block, tokens = BLOCKS[kind]().train(training), torch.randn(5, 17, 64)
    whole = token_and_gradients(lambda block, tokens: block(tokens)[:, 0], block, tokens)
    alone = token_and_gradients(class_token_after, block, tokens)
    for ours, theirs in zip(alone, whole, strict=True):
        torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=TOLERANCE)


def test_the_last_token_of_no_other_image_is_mixed_in():
    torch.manual_seed(3)
    block, tokens = BLOCKS["plain"]().eval(), torch.randn(2, 17, 64)
    alone = class_token_after(block, tokens[:1])
    torch.testing.assert_close(class_token_after(block, tokens)[:1], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("trained_blocks", [0, 1, 2, 4])
def test_an_encoder_gives_the_same_with_either_setting(trained_blocks):
    tower = build_tower(EncoderSettings(model="demo-tiny", weights="random"))
    full, spared = (
        ClassTokenEncoder(tower, trained_blocks=trained_blocks, last_block=kind).eval()
        for kind in ("full", "class_token")
    )
    images = torch.randn(3, 3, 48, 48)
    torch.testing.assert_close(spared(images), full(images), atol=TOLERANCE, rtol=0)


def test_it_runs_under_autocast():
    block, tokens = BLOCKS["plain"](), torch.randn(5, 17, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        spared, whole = class_token_after(block, tokens), block(tokens)[:, 0]
    torch.testing.assert_close(spared, whole, atol=0.05, rtol=0.05)
