"""The fusion head: the paper's equation (section 2), in the paper's symbols."""

import torch
from torch import Tensor, nn


class LayerFusion(nn.Module):
    r"""Fuse the class tokens of all blocks and classify the result.

    .. math:: z(x) = \sum_{l=1}^{L} \alpha_l \, (W_p h_l(x) + b_p), \qquad
              \alpha = \operatorname{softmax}(a)

    followed by a small classifier that maps :math:`z(x)` to a synthetic-image logit. The block
    logits :math:`a` start at 0, so every block weighs 1/L before training; the classifier is
    LayerNorm, Dropout, Linear, GELU, Dropout, Linear (the author's code; the paper says "a small
    multilayer classifier"). With L = 24 blocks of width 1024 that makes 328,985 parameters.

    Parameters
    ----------
    blocks
        L, the number of transformer blocks.
    width
        Length of a class token.
    projection_width
        Length of z.
    hidden_width
        Width of the classifier's hidden layer.
    dropout
        Probability of both dropouts.
    """

    def __init__(
        self,
        *,
        blocks: int,
        width: int,
        projection_width: int = 256,
        hidden_width: int = 256,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.projection = nn.Linear(width, projection_width)  # W_p, b_p: one for all blocks
        self.block_logits = nn.Parameter(torch.zeros(blocks))  # a
        self.classifier = nn.Sequential(
            nn.LayerNorm(projection_width),
            nn.Dropout(dropout),
            nn.Linear(projection_width, hidden_width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_width, 1),
        )

    def block_weights(self) -> Tensor:
        """Return alpha, shape (blocks,), float32: positive, of sum 1."""
        return self.block_logits.softmax(dim=0)

    def fuse(self, h: Tensor) -> Tensor:
        """Return z, shape (batch, projection_width), of class tokens h (batch, blocks, width)."""
        return torch.einsum("l,bld->bd", self.block_weights(), self.projection(h))

    def forward(self, h: Tensor) -> Tensor:
        """Return synthetic-image logits, shape (batch,), of class tokens (batch, blocks, width)."""
        logit: Tensor = self.classifier(self.fuse(h)).squeeze(-1)
        return logit
