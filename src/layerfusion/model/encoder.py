"""The encoder: the class token h_l(x) after every block of a vision tower (section 2)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from layerfusion.errors import UserError
from layerfusion.model.tower import FrozenTokens, tower_of
from layerfusion.settings import LastBlock, PrefixPrecision, Tokens

# What frozen tokens are rounded to by `prefix_precision`; the other one leaves them alone.
KEPT: dict[PrefixPrecision, torch.dtype] = {"float16": torch.float16, "bfloat16": torch.bfloat16}


class ClassTokenEncoder(nn.Module):
    """Read the class token after every residual block of a vision tower.

    The last `trained_blocks` blocks are fine-tuned; everything before them is frozen, kept in
    evaluation mode and run without a graph. The token is the residual stream itself, before the
    tower's last layer norm: that layer and an output projection stay frozen, for no gradient
    reaches them.

    What is frozen gives the same tokens for the same pixels at any time: `prefix` computes them,
    `suffix` goes on from them, and calling the encoder does both.

    Parameters
    ----------
    visual
        A tower as `layerfusion.model.weights.build_tower` builds it, or any other that
        `layerfusion.model.tower.tower_of` knows.
    trained_blocks
        How many of the last blocks receive gradients.
    prefix_precision
        ``float16`` rounds what `prefix` returns, so that numbers are the same whether it was
        computed just now or kept in half the room; ``float32`` leaves it as it was computed.
        ``bfloat16`` computes it in that, weights, sums and all, for hardware that is faster so.
    last_block
        ``class_token`` computes nothing of the last block, if it is trained, but its class token
        (see `layerfusion.model.tower.class_token_after`).
    tokens
        ``patches`` reads the mean of a block's patch tokens in the place of its class token.

    Raises
    ------
    UserError
        If the tower is no vision transformer, has no class token to be read, or fewer blocks than
        `trained_blocks`.
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
        self.tower = tower_of(visual)
        self.visual: Any = self.tower.visual
        self.depth, self.width = self.tower.depth, self.tower.width
        self.image_size = self.tower.image_size
        if trained_blocks > self.depth:
            raise UserError(
                f"encoder.trained_blocks is {trained_blocks}, but the tower has {self.depth} blocks"
            )
        if tokens == "class" and not self.tower.has_class_token:
            raise UserError("this tower has no class token; set encoder.tokens=patches")
        self.trained_blocks = trained_blocks
        self.prefix_precision = prefix_precision
        self.last_block = last_block
        self.tokens = tokens
        self.requires_grad_(False)
        for block in self._trained():
            block.requires_grad_(True)
        if prefix_precision == "bfloat16":
            self.tower.compute_in_bfloat16(self.depth - trained_blocks)

    def _trained(self) -> Sequence[nn.Module]:
        return self.tower.blocks[self.depth - self.trained_blocks :]

    def train(self, mode: bool = True) -> "ClassTokenEncoder":
        """Switch the trained blocks; the frozen part never leaves evaluation mode."""
        super().train(mode)
        self.visual.eval()
        for block in self._trained():
            block.train(mode)
        return self

    @property
    def keeps_frozen_tokens(self) -> bool:
        """Whether what `prefix` returns is work that need not be done again for an image."""
        return self.tower.can_be_cut or self.trained_blocks == 0

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
        frozen = self.depth - self.trained_blocks
        if self.prefix_precision == "bfloat16":
            # Whatever precision the training has: kept tokens serve trainings of any.
            with torch.autocast(images.device.type, enabled=False):
                return self.tower.prefix(images.bfloat16(), frozen, self.tokens)
        read, stream = self.tower.prefix(images, frozen, self.tokens)
        computed = FrozenTokens(read.float(), stream)
        rounds = self.prefix_precision == "float16" and self.keeps_frozen_tokens
        return _rounded(computed) if rounds else computed

    def suffix(self, frozen: FrozenTokens) -> Tensor:
        """Return h, as `forward` does, of what `prefix` returned."""
        class_tokens, tokens = frozen
        if self.prefix_precision in KEPT:
            tokens = tokens.float()
        trained = self.tower.suffix(
            tokens, self.depth - self.trained_blocks, self.tokens, self.last_block
        )
        h = class_tokens.float()
        rest = [token.float() for token in trained]
        return torch.cat([h, torch.stack(rest, dim=1)], dim=1) if rest else h


def _rounded(frozen: FrozenTokens) -> FrozenTokens:
    """Round to float16, and say so where that cannot be."""
    rounded = FrozenTokens(*(part.half() for part in frozen))
    if not all(torch.isfinite(part).all() for part in rounded):
        raise UserError(
            "the frozen blocks of this encoder give values that float16 cannot hold; set "
            "encoder.prefix_precision=float32"
        )
    return rounded
