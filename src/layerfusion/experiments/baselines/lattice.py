r"""The lattice of fusions: the paper's head, and what lies one step from it, and from there.

Of the tokens :math:`h_l` of all blocks every form computes

.. math:: \text{logit} = v \cdot z + c, \qquad
          z = f\Big(\sum_l \alpha_l \odot (W_l h_l + b_l)\Big) \quad\text{or}\quad
          z = \sum_l \alpha_l \odot f(W_l h_l + b_l)

with f the paper's classifier up to its last layer: LayerNorm, Dropout, Linear, GELU, Dropout. The
paper's head is the first of these, with :math:`W_l = W` and :math:`\alpha` a softmax, one number a
block. The second, with weights of any sign, fuses after a nonlinearity as MoLD does: where a block
has one weight, to fuse features before the last layer and logits after it is the same. With one
weight a feature it is RINE's way. Without f, with a :math:`W_l` for each block, it is linear in all
tokens side by side.

Differences from its public code
--------------------------------
- It is not published as a detector. Each form is trained as all others are; of the paper's training
  it keeps the loss, the optimiser and the weight decay, and block weights learn a hundred times as
  fast as the rest, for otherwise they hardly leave 1/L.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from layerfusion.experiments.baselines.baseline import Labels, Reads
from layerfusion.experiments.baselines.features import Features
from layerfusion.experiments.baselines.gradient_descent import TrainedNetwork, train

SIZE, DROPOUT = 256, 0.5  # as the paper's head
WEIGHT_DECAY = 1e-4
FASTER = 100  # block weights learn so many times as fast as the rest


@dataclass(frozen=True)
class Form:
    """A fusion; the paper's where nothing is said.

    Attributes
    ----------
    weights
        ``softmax``: positive, of sum 1; ``equal``: 1/L for good; ``free``: of any sign.
    per
        One weight a ``block``, or a block and ``feature`` of the projection.
    fused
        ``before`` or ``after`` the nonlinearity.
    projection
        ``shared`` by all blocks, or each its ``own``.
    tokens
        As the blocks give them, ``raw``, or layer-normalised, ``normed``.
    classifier
        Whether there is the nonlinearity, ``mlp``, or none, ``linear``.
    reads
        The tokens: ``class``, ``patches`` (their mean), or ``both``.
    blocks
        ``all``, or the ``last`` alone: then nothing is fused.
    """

    weights: Literal["softmax", "equal", "free"] = "softmax"
    per: Literal["block", "feature"] = "block"
    fused: Literal["before", "after"] = "before"
    projection: Literal["shared", "own"] = "shared"
    tokens: Literal["raw", "normed"] = "raw"
    classifier: Literal["mlp", "linear"] = "mlp"
    reads: Reads = "class"
    blocks: Literal["all", "last"] = "all"

    @property
    def changes(self) -> dict[str, str]:
        """Where it is not the paper's: what it is there."""
        usual = asdict(Form())
        return {name: value for name, value in asdict(self).items() if value != usual[name]}

    @property
    def name(self) -> str:
        """What a table calls it: ``fusion`` and the changes, as ``fusion-free-after``."""
        return "-".join(["fusion", *(NAMES.get(own, own) for own in self.changes.values())])

    @property
    def text(self) -> str:
        """Its changes in words."""
        said = [WORDS[name, value] for name, value in self.changes.items()]
        return ", ".join(said) or "the paper's fusion"


NAMES = {"feature": "features"}
WORDS = {
    ("weights", "equal"): "equal weights",
    ("weights", "free"): "weights of any sign",
    ("per", "feature"): "a weight a feature",
    ("fused", "after"): "fused after the nonlinearity",
    ("projection", "own"): "a projection a block",
    ("tokens", "normed"): "tokens layer-normalised",
    ("classifier", "linear"): "no nonlinearity",
    ("reads", "patches"): "patch tokens",
    ("reads", "both"): "class and patch tokens",
    ("blocks", "last"): "the last block alone",
}

_OWN = Form(projection="own")
_NORMED = Form(tokens="normed")
FORMS = (
    Form(),
    Form(weights="equal"),
    Form(weights="free"),
    Form(per="feature"),
    Form(weights="free", per="feature"),
    Form(fused="after"),
    Form(weights="equal", fused="after"),
    Form(weights="free", fused="after"),
    Form(per="feature", fused="after"),
    _OWN,
    replace(_OWN, fused="after"),
    _NORMED,
    replace(_NORMED, projection="own"),
    replace(_NORMED, classifier="linear"),
    replace(_NORMED, projection="own", classifier="linear"),
    Form(classifier="linear"),
    Form(reads="patches"),
    Form(reads="both"),
    Form(blocks="last"),
)


def steps() -> Iterator[tuple[Form, Form, str]]:
    """Yield each form beside those one change further from the paper's, and the change in words."""
    for one in FORMS:
        for other in FORMS:
            more = {k: v for k, v in other.changes.items() if one.changes.get(k) != v}
            if len(more) == 1 and len(other.changes) == len(one.changes) + 1:
                yield one, other, WORDS[next(iter(more.items()))]


class Fusion(nn.Module):
    """A form's network: tokens of all blocks, (n, blocks, width), to logits (n,).

    Attributes
    ----------
    a
        What the weights are made of: shape (blocks,), or (blocks, size) of one a feature.
    weight, bias
        Of the projections, shape (1 or blocks, width, size) and (1 or blocks, size).
    """

    a: Tensor

    def __init__(
        self, form: Form, *, blocks: int, width: int, size: int = SIZE, dropout: float = DROPOUT
    ) -> None:
        super().__init__()
        self.form = form
        blocks = 1 if form.blocks == "last" else blocks
        layers = [nn.Linear(width, size) for _ in range(blocks if form.projection == "own" else 1)]
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().T for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))
        a = torch.zeros((blocks, size) if form.per == "feature" else blocks)
        if form.weights == "equal":
            self.register_buffer("a", a)
        else:
            self.a = nn.Parameter(a)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        body = [nn.LayerNorm(size), nn.Dropout(dropout), nn.Linear(size, size), nn.GELU(),
                nn.Dropout(dropout)]  # fmt: skip
        self.nonlinear = nn.Sequential(*(body if form.classifier == "mlp" else []))
        self.last = nn.Linear(size, 1)

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return the parameters as an optimiser takes them: block weights learn faster."""
        own = [p for name, p in self.named_parameters() if name == "a"]
        rest = [p for name, p in self.named_parameters() if name != "a"]
        return [{"params": rest}, {"params": own, "lr": FASTER * learning_rate}]

    def alpha(self) -> Tensor:
        """Return the weights, 1/L each at first: shape (blocks, 1), or (blocks, size)."""
        a = self.a if self.a.ndim == 2 else self.a[:, None]
        return (1 + a) / len(a) if self.form.weights == "free" else a.softmax(dim=0)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (n,), of tokens (n, blocks, width)."""
        h = tokens[:, -1:] if self.form.blocks == "last" else tokens
        h = self.norm(h) if self.form.tokens == "normed" else h
        alpha = self.alpha()
        if self.form.fused == "after":
            z = (alpha * self.nonlinear(self._project(h))).sum(dim=1)
        else:
            z = self.nonlinear(self._fused(alpha, h))
        return self.last(z)[:, 0]  # type: ignore[no-any-return]

    def _fused(self, alpha: Tensor, h: Tensor) -> Tensor:
        if alpha.shape[1] == 1 and len(self.weight) == 1:
            # The same sum, a projection of one token in the place of all.
            return (alpha * h).sum(dim=1) @ self.weight[0] + alpha.sum() * self.bias[0]
        return (alpha * self._project(h)).sum(dim=1)

    def _project(self, h: Tensor) -> Tensor:
        """Return the projected tokens, (n, blocks, size)."""
        if len(self.weight) == 1:
            return h @ self.weight[0] + self.bias
        return (h.transpose(0, 1) @ self.weight).transpose(0, 1) + self.bias


def fit_fusion(
    features: Features,
    labels: Labels,
    seed: int,
    *,
    form: Form,
    learning_rate: float,
    steps: int,
) -> TrainedNetwork:
    """Train a form on views and their labels, 0 (real) or 1 (synthetic), shape (n,)."""
    _, blocks, width = features.tokens.shape
    return train(
        lambda: Fusion(form, blocks=blocks, width=width), "tokens", features, labels, seed,
        learning_rate=learning_rate, steps=steps, weight_decay=WEIGHT_DECAY,
    )  # fmt: skip
