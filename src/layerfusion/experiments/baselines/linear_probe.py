"""Ojha, Li and Lee 2023: one linear layer on the final embedding of CLIP.

*Towards Universal Fake Image Detectors that Generalize Across Generative Models*, CVPR 2023. Its
weights start from N(0, 0.02²); AdamW without weight decay, batches of 256.

Differences from its public code
--------------------------------
- Learning rate (published: 1e-4) and number of steps are chosen on training images. Its public code
  trains until the validation accuracy stops rising.
- Training views are augmented, and crops enlarged where an image is small, as the profile says.
- The threshold is chosen on validation images. Its public code chooses it on those that it reports.
"""

from torch import nn

from layerfusion.experiments.baselines.baseline import Labels
from layerfusion.experiments.baselines.features import Features
from layerfusion.experiments.baselines.gradient_descent import TrainedNetwork, train

BATCH_SIZE = 256
INITIAL_DEVIATION = 0.02
# A layer learns slowly at rates that suit networks: with 1e-4 it takes thousands of steps.
TRIES = tuple(
    {"learning_rate": rate, "steps": steps} for rate in (3e-5, 1e-4, 1e-3) for steps in (700, 2800)
)


def fit_linear_probe(
    features: Features, labels: Labels, seed: int, *, learning_rate: float, steps: int
) -> TrainedNetwork:
    """Train the layer on views and their labels; `steps` are those of the optimiser.

    Parameters
    ----------
    labels
        0 (real) or 1 (synthetic), shape (n,).
    """

    def build() -> nn.Module:
        layer = nn.Linear(features.embedding.shape[1], 1)
        nn.init.normal_(layer.weight, std=INITIAL_DEVIATION)
        nn.init.zeros_(layer.bias)
        return nn.Sequential(layer, nn.Flatten(0))

    return train(
        build, "embedding", features, labels, seed,
        learning_rate=learning_rate, steps=steps, batch_size=BATCH_SIZE,
    )  # fmt: skip
