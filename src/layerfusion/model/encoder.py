"""The visual encoder: the class token h_l(x) after every block of an OpenCLIP ViT (section 2)."""

from typing import Any, NamedTuple

import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from layerfusion.errors import UserError
from layerfusion.settings import LastBlock, PrefixPrecision, Tokens


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


# What frozen tokens are rounded to by `prefix_precision`; the other one leaves them alone.
KEPT: dict[PrefixPrecision, torch.dtype] = {"float16": torch.float16, "bfloat16": torch.bfloat16}


class FrozenTokens(NamedTuple):
    """What the frozen blocks make of a batch of images: all that the trained ones need.

    Attributes
    ----------
    class_tokens
        Shape (batch, frozen blocks, width): the class token after each frozen block, or the mean of
        its patch tokens where that is what is read.
    tokens
        Shape (batch, tokens, width): the residual stream after the last of them, class token
        first; (batch, 0, width) where no block is trained and nothing reads it.
    """

    class_tokens: Tensor
    tokens: Tensor


class ClassTokenEncoder(nn.Module):
    """Read the class token after every residual block of an OpenCLIP visual tower.

    The last `trained_blocks` blocks are fine-tuned; everything before them is frozen, kept in
    evaluation mode and run without a graph. The token is the residual stream itself, before
    ``ln_post``: that layer and the output projection stay frozen, for no gradient reaches them.

    What is frozen gives the same tokens for the same pixels at any time: `prefix` computes them,
    `suffix` goes on from them, and calling the encoder does both.

    Parameters
    ----------
    visual
        An OpenCLIP ``VisionTransformer`` (see `layerfusion.model.weights.build_tower`).
    trained_blocks
        How many of the last blocks receive gradients.
    prefix_precision
        ``float16`` rounds what `prefix` returns, so that numbers are the same whether it was
        computed just now or kept in half the room; ``float32`` leaves it as it was computed.
        ``bfloat16`` computes it in that, weights, sums and all, for hardware that is faster so.
    last_block
        ``class_token`` computes nothing of the last block, if it is trained, but its class token
        (see `layerfusion.model.encoder`).
    tokens
        ``patches`` reads the mean of a block's patch tokens in the place of its class token.

    Raises
    ------
    UserError
        If the tower is not a vision transformer or has fewer blocks than `trained_blocks`.
    """

    def __init__(
        self,
        visual: nn.Module,
        *,
        trained_blocks: int = 2,
        prefix_precision: PrefixPrecision = "float32",
        last_block: LastBlock = "full",
        tokens: Tokens = "class",
    ) -> None:
        super().__init__()
        if not isinstance(visual, VisionTransformer):
            raise UserError(
                f"the visual tower is a {type(visual).__name__}, but class tokens of every block "
                "can be read from an OpenCLIP VisionTransformer only; choose a ViT such as ViT-L-14"
            )
        self.visual = visual
        self.depth = len(visual.transformer.resblocks)
        self.width = int(visual.transformer.width)
        self.image_size = int(visual.image_size[0])
        if trained_blocks > self.depth:
            raise UserError(
                f"encoder.trained_blocks is {trained_blocks}, but the tower has {self.depth} blocks"
            )
        self.trained_blocks = trained_blocks
        self.prefix_precision = prefix_precision
        self.last_block = last_block
        self.tokens = tokens
        self.requires_grad_(False)
        for block in self._split()[1]:
            block.requires_grad_(True)
        if prefix_precision == "bfloat16":
            for part in (visual.conv1, visual.ln_pre, *self._split()[0]):
                part.bfloat16()
            for embedding in (visual.class_embedding, visual.positional_embedding):
                embedding.data = embedding.data.bfloat16()

    def _split(self) -> tuple[nn.ModuleList, nn.ModuleList]:
        blocks = self.visual.transformer.resblocks
        first_trained = self.depth - self.trained_blocks
        return blocks[:first_trained], blocks[first_trained:]

    def train(self, mode: bool = True) -> "ClassTokenEncoder":
        """Switch the trained blocks; the frozen part never leaves evaluation mode."""
        super().train(mode)
        self.visual.eval()
        self._split()[1].train(mode)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return h, shape (batch, blocks, width), float32, block 1 first.

        Parameters
        ----------
        images
            Shape (batch, 3, image_size, image_size), float, normalised as the weights were trained.
        """
        return self.suffix(self.prefix(images))

    @torch.no_grad()
    def prefix(self, images: Tensor) -> FrozenTokens:
        """Return what the frozen blocks make of images, given as in `forward`.

        It is of the `prefix_precision` where that has 16 bits; otherwise class tokens are float32
        and tokens have the dtype of the residual stream: float32, or less under autocast.

        Raises
        ------
        UserError
            If the values do not fit into float16.
        """
        if self.prefix_precision == "bfloat16":
            # Whatever precision the training has: kept tokens serve trainings of any.
            with torch.autocast(images.device.type, enabled=False):
                return self._through_frozen(images.bfloat16(), torch.bfloat16)
        frozen = self._through_frozen(images, torch.float32)
        return _rounded(frozen) if self.prefix_precision == "float16" else frozen

    def _through_frozen(self, images: Tensor, class_token_dtype: torch.dtype) -> FrozenTokens:
        stream: Tensor = self.visual._embeds(images)
        class_tokens = [stream.new_empty(len(images), 0, self.width, dtype=class_token_dtype)]
        for block in self._split()[0]:
            stream = block(stream)
            class_tokens.append(self._read(stream)[:, None].to(class_token_dtype))
        tokens = stream if self.trained_blocks else stream[:, :0]
        return FrozenTokens(torch.cat(class_tokens, dim=1), tokens)

    def _read(self, stream: Tensor) -> Tensor:
        """Return what is read of a block, (batch, width), of the residual stream after it."""
        return stream[:, 0] if self.tokens == "class" else stream[:, 1:].mean(dim=1)

    def suffix(self, frozen: FrozenTokens) -> Tensor:
        """Return h, as `forward` does, of what `prefix` returned."""
        class_tokens, tokens = frozen
        if self.prefix_precision in KEPT:
            tokens = tokens.float()
        blocks = list(self._split()[1])
        spared = blocks.pop() if blocks and self.last_block == "class_token" else None
        trained = []
        for block in blocks:
            tokens = block(tokens)
            trained.append(self._read(tokens).float())
        if spared is not None:
            trained.append(class_token_after(spared, tokens).float())
        h = class_tokens.float()
        return torch.cat([h, torch.stack(trained, dim=1)], dim=1) if trained else h


def _rounded(frozen: FrozenTokens) -> FrozenTokens:
    """Round to float16, and say so where that cannot be."""
    rounded = FrozenTokens(*(part.half() for part in frozen))
    if not all(torch.isfinite(part).all() for part in rounded):
        raise UserError(
            "the frozen blocks of this encoder give values that float16 cannot hold; set "
            "encoder.prefix_precision=float32"
        )
    return rounded
