"""Dhakal et al. 2026 (SimLBR): a small network that learns from blends of real and generated.

*SimLBR: Learning to Detect Fake Images by Learning to Detect Real Images*, CVPR 2026, arXiv
2602.20412. On a frozen class embedding, three layers, 512 and 256 features wide, with ReLU and
dropout. The generated images of a batch are replaced by blends: an embedding of a real image mixed
with one of a generated image, whose share is drawn from U(0.5, 0.8); a blend counts as generated.

Differences from its public code
--------------------------------
- It was written from a description of the paper, not from its code. What that does not say is ours:
  dropout of one half, AdamW, real images drawn from the same batch.
- The encoder is CLIP, for all detectors here. The paper's own is DINOv3.
- Learning rate and number of steps are chosen on training images.
- Training views are augmented, and crops enlarged where an image is small, as the profile says.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from layerfusion.experiments.baselines.baseline import Labels
from layerfusion.experiments.baselines.features import Features
from layerfusion.experiments.baselines.gradient_descent import Loss, TrainedNetwork, train

WIDTHS = (512, 256)
DROPOUT = 0.5
SHARE = (0.5, 0.8)  # of a generated image in a blend


def simlbr(width: int) -> nn.Module:
    """Return the untrained network: embeddings (n, width) to logits (n,)."""
    first, second = WIDTHS
    return nn.Sequential(
        nn.Linear(width, first), nn.ReLU(), nn.Dropout(DROPOUT),
        nn.Linear(first, second), nn.ReLU(), nn.Dropout(DROPOUT),
        nn.Linear(second, 1), nn.Flatten(0),
    )  # fmt: skip


def blended(embedding: Tensor, label: Tensor, share: Tensor, partner: Tensor) -> Tensor:
    """Return a batch whose generated images are blends; real ones stay as they are.

    Parameters
    ----------
    embedding, label
        Shape (n, width), and (n,): 0 (real) or 1 (synthetic).
    share
        Of a generated image in its blend, shape (n,).
    partner
        The row of the real image that each is blended with, shape (n,).
    """
    own = torch.where(label == 1, share, torch.ones_like(share))[:, None]
    return own * embedding + (1 - own) * embedding[partner]


def _loss(model: nn.Module) -> Loss:
    def loss(embedding: Tensor, label: Tensor) -> Tensor:
        real = torch.nonzero(label == 0)[:, 0]
        if len(real):
            share = torch.empty(len(label)).uniform_(*SHARE)
            partner = real[torch.randint(len(real), (len(label),))]
            embedding = blended(embedding, label, share, partner)
        return binary_cross_entropy_with_logits(model(embedding), label.float())

    return loss


def fit_simlbr(
    features: Features, labels: Labels, seed: int, *, learning_rate: float, steps: int
) -> TrainedNetwork:
    """Train the network on views and their labels, 0 (real) or 1 (synthetic), shape (n,)."""
    width = features.next_to_last.shape[1]
    return train(
        lambda: simlbr(width), "next_to_last", features, labels, seed,
        learning_rate=learning_rate, steps=steps, loss=_loss,
    )  # fmt: skip
