"""The fusion head: the paper's equation (section 2), in the paper's symbols; and one without it."""

import torch
from torch import Tensor, nn

from layerfusion.errors import UserError
from layerfusion.settings import HeadSettings, WeightsPer


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
    learned_weights
        False is the ablation in which every block weighs 1/L for good: a is then no parameter, and
        nothing of it is trained or saved.
    weights_per
        ``feature`` is the ablation in which a is a matrix (L, projection_width): each feature of
        the projection has weights of its own.
    """

    block_logits: Tensor

    def __init__(
        self,
        *,
        blocks: int,
        width: int,
        projection_width: int = 256,
        hidden_width: int = 256,
        dropout: float = 0.5,
        learned_weights: bool = True,
        weights_per: WeightsPer = "block",
    ) -> None:
        super().__init__()
        self.projection = nn.Linear(width, projection_width)  # W_p, b_p: one for all blocks
        a = torch.zeros((blocks, projection_width) if weights_per == "feature" else blocks)
        if learned_weights:
            self.block_logits = nn.Parameter(a)
        else:
            self.register_buffer("block_logits", a, persistent=False)
        self.classifier = nn.Sequential(
            nn.LayerNorm(projection_width),
            nn.Dropout(dropout),
            nn.Linear(projection_width, hidden_width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_width, 1),
        )

    @property
    def learned_weights(self) -> bool:
        """Whether training changes how much each block weighs."""
        return isinstance(self.block_logits, nn.Parameter)

    def block_weights(self) -> Tensor:
        """Return alpha, shape (blocks,), float32: positive, of sum 1.

        Where features have weights of their own, these are their means over the features.
        """
        alpha = self.alpha()
        return alpha if alpha.ndim == 1 else alpha.mean(dim=1)

    def fuse(self, h: Tensor) -> Tensor:
        """Return z, shape (batch, projection_width), of class tokens h (batch, blocks, width)."""
        alpha = self.alpha()
        terms = "l,bld->bd" if alpha.ndim == 1 else "ld,bld->bd"
        return torch.einsum(terms, alpha, self.projection(h))

    def alpha(self) -> Tensor:
        """Return alpha as `fuse` reads it: shape (blocks,), or (blocks, projection_width)."""
        return self.block_logits.softmax(dim=0)

    def forward(self, h: Tensor) -> Tensor:
        """Return synthetic-image logits, shape (batch,), of class tokens (batch, blocks, width)."""
        logit: Tensor = self.classifier(self.fuse(h)).squeeze(-1)
        return logit

    def contributions(self, h: Tensor) -> Tensor:
        r"""Return how much the logit falls without each block of h (blocks, width): (blocks,).

        .. math:: c_l = f\Big(\sum_m \alpha_m u_m\Big)
                  - f\Big(\frac{1}{1 - \alpha_l} \sum_{m \ne l} \alpha_m u_m\Big), \qquad
                  u_m = W_p h_m + b_p

        (f is the classifier): without a block the others share its weight. They do not add up to
        the logit, for f is not linear. Of a head that reads one block alone it is that block's
        whole logit.
        """
        alpha = self.block_weights().view(-1, 1)
        terms = alpha * self.projection(h)
        whole = self.classifier(terms.sum(dim=0, keepdim=True))
        if len(terms) == 1:
            return whole[:, 0]  # type: ignore[no-any-return]
        without = (terms.sum(dim=0) - terms) / (1 - alpha)
        return (whole - self.classifier(without))[:, 0]  # type: ignore[no-any-return]


class SideBySide(nn.Module):
    r"""Classify the class tokens of all blocks side by side, linearly.

    .. math:: b + \sum_{l=1}^{L} w_l \cdot \operatorname{LN}(h_l(x))

    with :math:`w_l` of as many numbers as a class token has, and a layer norm without parameters,
    which brings the blocks to one scale. Nothing is fused: it is what fusion is compared with.

    Parameters
    ----------
    blocks, width
        As in `LayerFusion`.
    """

    def __init__(self, *, blocks: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.linear = nn.Linear(blocks * width, 1)

    def block_weights(self) -> Tensor:
        """Return each block's share of the weights, by their lengths: shape (blocks,), of sum 1."""
        lengths: Tensor = self.linear.weight.view(-1, self.norm.normalized_shape[0]).norm(dim=1)
        return lengths / lengths.sum()

    def forward(self, h: Tensor) -> Tensor:
        """Return synthetic-image logits, shape (batch,), of class tokens (batch, blocks, width)."""
        logit: Tensor = self.linear(self.norm(h).flatten(1))[:, 0]
        return logit

    def contributions(self, h: Tensor) -> Tensor:
        """Return each block's summand of the logit, shape (blocks,), of h (blocks, width)."""
        summands: Tensor = self.linear.weight.view(len(h), -1) * self.norm(h)
        return summands.sum(dim=1)


Head = LayerFusion | SideBySide


def as_fusion(head: Head) -> LayerFusion:
    """Return the paper's head; raises a UserError of another one, which has none of its parts."""
    if not isinstance(head, LayerFusion):
        raise UserError("the paper's head is described here; leave head.kind as it is, fusion")
    return head


def build_head(settings: HeadSettings, *, depth: int, width: int) -> Head:
    """Return an untrained head for an encoder of `depth` blocks and class tokens of `width`.

    Its weights are drawn from torch's global generator, the same for every choice of blocks and
    of their weights: heads differ in the block logits alone, of which nothing is drawn.

    Raises
    ------
    UserError
        If the settings name a block that the encoder does not have.
    """
    blocks = len(blocks_read(settings, depth))
    if settings.kind == "tokens":
        return SideBySide(blocks=blocks, width=width)
    return LayerFusion(
        blocks=blocks,
        width=width,
        projection_width=settings.projection_width,
        hidden_width=settings.hidden_width,
        dropout=settings.dropout,
        learned_weights=settings.blocks != "mean",
        weights_per=settings.weights_per,
    )


def blocks_read(settings: HeadSettings, depth: int) -> list[int]:
    """Return which of an encoder's `depth` blocks a head reads: positions from 0, ascending.

    Raises
    ------
    UserError
        If the settings name a block that the encoder does not have.
    """
    if settings.blocks == "last":
        return [depth - 1]
    if settings.reads is None:
        return list(range(depth))
    if settings.reads[-1] > depth:
        raise UserError(
            f"head.reads names block {settings.reads[-1]}, but the encoder has {depth} blocks"
        )
    return [number - 1 for number in settings.reads]
