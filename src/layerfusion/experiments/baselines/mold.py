r"""Park, Kim, Choe and Shim 2025 (MoLD): one logit a block, and a weighted sum of these.

*Rethinking the Use of Vision Transformers for AI-Generated Image Detection*, arXiv 2512.04969, five
months before the paper; as its public code has it. Of the class tokens :math:`h_l` of all blocks,

.. math:: \text{logit} = b + \sum_l w_l s_l, \qquad s_l = v \cdot \operatorname{GELU}(W h_l + c) + e

with one W and one v for all blocks. It fuses logits, after a nonlinearity, by weights of any sign;
the paper fuses features, before one, by weights of sum 1.

Differences from its public code
--------------------------------
- Learning rate (published: 1e-4, lowered as validation stalls) and number of steps are chosen on
  training images.
- Training views are augmented, and crops enlarged where an image is small, as the profile says. Its
  scripts leave augmentation off, and crop from images resized to 256 px.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from layerfusion.experiments.baselines.baseline import Labels
from layerfusion.experiments.baselines.features import Features
from layerfusion.experiments.baselines.gradient_descent import TrainedNetwork, train

HIDDEN = 512


class Mold(nn.Module):
    """The network: class tokens of all blocks, (n, blocks, width), to logits (n,)."""

    def __init__(self, *, blocks: int, width: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.projection = nn.Linear(width, hidden)
        self.to_logit = nn.Linear(hidden, 1)
        self.mix = nn.Linear(blocks, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (n,), of class tokens (n, blocks, width)."""
        each: Tensor = self.to_logit(gelu(self.projection(tokens)))[..., 0]
        return torch.squeeze(self.mix(each), dim=1)


def fit_mold(
    features: Features, labels: Labels, seed: int, *, learning_rate: float, steps: int
) -> TrainedNetwork:
    """Train the network on views and their labels, 0 (real) or 1 (synthetic), shape (n,)."""
    _, blocks, width = features.tokens.shape
    return train(
        lambda: Mold(blocks=blocks, width=width), "tokens", features, labels, seed,
        learning_rate=learning_rate, steps=steps,
    )  # fmt: skip
