"""The last block for the class token alone: the head reads nothing else of it."""

from typing import Any

from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn


def class_token_after(block: nn.Module, tokens: Tensor) -> Tensor:
    """Return the class token after a block, computing no other token where that can be spared.

    The class token attends to all tokens, so keys and values are needed of all; the query, the
    output projection and the MLP of the class token alone. That leaves a sixth of the block's
    matrix products, forward and backward, and the result is the block's own up to rounding. A
    block that is not OpenCLIP's plain `ResidualAttentionBlock` is computed as a whole.

    Parameters
    ----------
    block
        A residual block of an OpenCLIP visual tower.
    tokens
        Shape (batch, tokens, width), floating point: the residual stream, class token first.

    Returns
    -------
    Tensor
        Shape (batch, width), of the stream's dtype.
    """
    if not _is_plain(block):
        whole: Tensor = block(tokens)
        return whole[:, 0]
    plain: Any = block
    normed = plain.ln_1(tokens)
    attended, _ = plain.attn(normed[:, :1], normed, normed, need_weights=False)
    token: Tensor = tokens[:, :1] + plain.ls_1(attended)
    token = token + plain.ls_2(plain.mlp(plain.ln_2(token)))
    return token[:, 0]


def _is_plain(block: nn.Module) -> bool:
    # By exact type: what a subclass or a variant adds would be left out without a word.
    return (
        type(block) is ResidualAttentionBlock
        and type(block.attn) is nn.MultiheadAttention
        and block.attn.batch_first
        and not hasattr(block, "ln_1_kv")
    )
