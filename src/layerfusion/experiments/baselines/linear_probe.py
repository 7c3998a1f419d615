"""Ojha, Li and Lee 2023: one linear layer on the final embedding of CLIP.

*Towards Universal Fake Image Detectors that Generalize Across Generative Models*, CVPR 2023. Its
weights start from N(0, 0.02²); AdamW without weight decay, learning rate 1e-4, batches of 256.

Differences from its public code
--------------------------------
- It learns as many steps as one pass over that paper's 720,000 images takes, whatever the number of
  images here. Its public code trains until the validation accuracy stops rising.
- Training views are augmented, and crops enlarged where an image is small, as the profile says.
- The threshold is chosen on validation images. Its public code chooses it on those that it reports.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from layerfusion.experiments.baselines.baseline import Labels
from layerfusion.experiments.baselines.features import Features
from layerfusion.experiments.baselines.gradient_descent import (
    TrainedNetwork,
    descend,
    seeded,
    shuffled_batches,
)

BATCH_SIZE = 256
STEPS = 720_000 // BATCH_SIZE
LEARNING_RATE = 1e-4
INITIAL_DEVIATION = 0.02


def fit_linear_probe(
    features: Features, labels: Labels, seed: int, *, steps: int = STEPS
) -> TrainedNetwork:
    """Train the layer on views and their labels; `steps` are those of the optimiser.

    Parameters
    ----------
    labels
        0 (real) or 1 (synthetic), shape (n,).
    """
    embedding = torch.from_numpy(features.embedding)
    target = torch.from_numpy(labels).float()
    with seeded(seed):
        layer = nn.Linear(embedding.shape[1], 1)
        nn.init.normal_(layer.weight, std=INITIAL_DEVIATION)
        nn.init.zeros_(layer.bias)
        model = nn.Sequential(layer, nn.Flatten(0))
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True
        )

        def loss(rows: Tensor) -> Tensor:
            return binary_cross_entropy_with_logits(model(embedding[rows]), target[rows])

        batches = shuffled_batches(len(features), size=BATCH_SIZE, steps=steps, seed=seed)
        descend(optimizer, batches, loss)
    return TrainedNetwork(model.requires_grad_(False), "embedding")
