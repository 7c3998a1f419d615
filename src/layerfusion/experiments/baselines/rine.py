r"""Koutlis and Papadopoulos 2024 (RINE): an importance for every feature of every block.

*Leveraging Representations from Intermediate Encoder-blocks for Synthetic Image Detection*, ECCV
2024. Of the class tokens :math:`h_l` of all blocks,

.. math:: z = Q_2\Big(\sum_l \alpha_l \odot Q_1(h_l)\Big), \qquad
          \alpha_{lk} = \frac{e^{A_{lk}}}{\sum_m e^{A_{mk}}}

with :math:`k` counting features: where the paper's head gives a block one weight, RINE gives it one
a feature. :math:`Q_1` and :math:`Q_2` are small networks, and a third one classifies :math:`z`.
Trained on binary cross-entropy, summed over a batch of 128, plus :math:`\xi` times the mean of a
supervised contrastive loss of :math:`z`; Adam, learning rate 1e-3. (Of the mean of both, the second
would weigh 128 times as much.)

Differences from its public code
--------------------------------
- It reads the class token after every block. Its public code reads it within each block, after
  ``ln_2``, which brings all blocks to one scale.
- Sizes, among those of its published variants, and number of steps are chosen on training images.
  Its public code chooses by scores of test images; it learns for one epoch of many images.
- Training views are augmented, and crops enlarged where an image is small, as the profile says.
- The threshold is chosen on validation images. Its public code predicts synthetic above 0.5.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from layerfusion.experiments.baselines.baseline import Labels
from layerfusion.experiments.baselines.features import Features
from layerfusion.experiments.baselines.gradient_descent import Loss, TrainedNetwork, train

LEARNING_RATE = 1e-3
TEMPERATURE = 0.07
DROPOUT = 0.5


@dataclass(frozen=True)
class RineSizes:
    """What differs between the published variants.

    Attributes
    ----------
    projections
        q, linear layers in each of Q1 and Q2.
    width
        d', features after each of them.
    contrast
        xi, the weight of the contrastive loss.
    """

    projections: int
    width: int
    contrast: float


# By what each was trained on in the paper: so many classes of objects by ProGAN, or latent
# diffusion, which differs from the first in xi alone and is not tried.
PUBLISHED = {
    "1-class": RineSizes(4, 1024, 0.1),
    "2-class": RineSizes(4, 128, 0.2),
    "4-class": RineSizes(2, 1024, 0.2),
    "latent diffusion": RineSizes(4, 1024, 0.4),
}
TRIES = tuple(
    {"variant": variant, "steps": steps}
    for variant in ("1-class", "2-class", "4-class")
    for steps in (50, 150)
)


class Rine(nn.Module):
    """The network: class tokens of all blocks to a logit, and to what is contrasted.

    Attributes
    ----------
    importance : nn.Parameter
        A, shape (blocks, d'), before its softmax over blocks; drawn from N(0, 1).
    """

    def __init__(self, sizes: RineSizes, *, blocks: int, width: int) -> None:
        super().__init__()
        inner = sizes.width
        self.importance = nn.Parameter(torch.randn(blocks, inner))
        self.q1 = nn.Sequential(nn.Dropout(DROPOUT), *_layers(sizes.projections, width, inner))
        self.q2 = nn.Sequential(nn.Dropout(DROPOUT), *_layers(sizes.projections, inner, inner))
        self.head = nn.Sequential(*_layers(2, inner, inner), nn.Linear(inner, 1))

    def embed(self, tokens: Tensor) -> Tensor:
        """Return z (n, d'), which is contrasted, of class tokens (n, blocks, width)."""
        return self.q2((self.importance.softmax(dim=0) * self.q1(tokens)).sum(dim=1))  # type: ignore[no-any-return]

    def classify(self, z: Tensor) -> Tensor:
        """Return logits (n,) of z (n, d')."""
        return self.head(z)[:, 0]  # type: ignore[no-any-return]

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (n,), of class tokens (n, blocks, width)."""
        return self.classify(self.embed(tokens))


def fit_rine(
    features: Features, labels: Labels, seed: int, *, variant: str, steps: int
) -> TrainedNetwork:
    """Train the network on views and their labels.

    Parameters
    ----------
    labels
        0 (real) or 1 (synthetic), shape (n,).
    variant
        Of `PUBLISHED`.
    """
    (_, blocks, width), sizes = features.tokens.shape, PUBLISHED[variant]
    return train(
        lambda: Rine(sizes, blocks=blocks, width=width), "tokens", features, labels, seed,
        learning_rate=LEARNING_RATE, steps=steps,
        loss=lambda model: rine_loss(model, sizes.contrast),
    )  # fmt: skip


def rine_loss(model: nn.Module, contrast: float) -> Loss:
    """Return the loss of a `Rine`: its entropy summed over the batch, its contrast a mean."""
    network = cast(Rine, model)

    def loss(tokens: Tensor, label: Tensor) -> Tensor:
        z = network.embed(tokens)
        entropy = binary_cross_entropy_with_logits(
            network.classify(z), label.float(), reduction="sum"
        )
        return entropy + contrast * supervised_contrastive_loss(z, label)

    return loss


def supervised_contrastive_loss(
    z: Tensor, label: Tensor, *, temperature: float = TEMPERATURE
) -> Tensor:
    r"""Return how badly images of one label lie together, shape ().

    .. math:: \frac1n \sum_i \frac{-1}{|P(i)|} \sum_{p \in P(i)}
              \log \frac{e^{u_i \cdot u_p / \tau}}{\sum_{a \ne i} e^{u_i \cdot u_a / \tau}},
              \qquad u = z / \lVert z \rVert

    with :math:`P(i)` the other images of i's label (Khosla et al. 2020, equation 2). Images that
    are alone with their label are left out of the mean; if all are, the loss is 0.

    Parameters
    ----------
    z
        Shape (n, features), of any length.
    label
        Shape (n,).
    """
    u = normalize(z, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    similarity = (u @ u.T / temperature).masked_fill(itself, -torch.inf)
    log_share = (similarity - similarity.logsumexp(dim=1, keepdim=True)).masked_fill(itself, 0.0)
    positive = (label[:, None] == label) & ~itself
    count = positive.sum(dim=1)
    each = -(log_share * positive).sum(dim=1) / count.clamp(min=1)
    accompanied = count > 0
    return (each * accompanied).sum() / accompanied.sum().clamp(min=1)


def _layers(number: int, width: int, inner: int) -> list[nn.Module]:
    """Return so many linear layers, from `width` to `inner` features, each with ReLU, Dropout."""
    layers: list[nn.Module] = []
    for index in range(number):
        layers += [nn.Linear(inner if index else width, inner), nn.ReLU(), nn.Dropout(DROPOUT)]
    return layers
