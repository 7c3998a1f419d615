r"""Class tokens of all blocks side by side, or of one block: a logistic regression.

.. math:: \text{logit} = b + \sum_l w_l \cdot \operatorname{LN}(h_l)

with :math:`w_l` of as many numbers as a token has. Tokens are layer-normalised, then standardised
over the training views; weights are held back by their squares. Nothing in it is drawn, and the
optimum is one, so all seeds give the same numbers where they share their training views.

Differences from its public code
--------------------------------
- It is not published as a detector: it is what a fusion of blocks is compared with. How much
  weights are held back is chosen on training images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from layerfusion.analysis.probes import linear_probe
from layerfusion.experiments.baselines.baseline import Labels
from layerfusion.experiments.baselines.features import Features

EPSILON = 1e-5  # as torch's LayerNorm
# Variance of a logit before anything is learned; that of the probes of page 06 is 10.
TRIES = tuple({"variance": variance} for variance in (0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0))


@dataclass(frozen=True)
class SideBySide:
    """The fitted regression, and the blocks that it reads; all, where these are None."""

    pipeline: Pipeline
    block: int | None

    @property
    def parameters(self) -> int:
        """Return how many numbers were learnt: a weight a feature, and a bias."""
        machine = self.pipeline[-1]
        return int(machine.coef_.size + machine.intercept_.size)

    def score(self, features: Features) -> NDArray[np.float32]:
        """Return logits, shape (n,), float32."""
        inputs = _normalised(features, self.block)
        return np.asarray(self.pipeline.decision_function(inputs), dtype=np.float32)


def fit_side_by_side(
    features: Features, labels: Labels, seed: int, *, variance: float, block: int | None = None
) -> SideBySide:
    """Fit the regression to views and their labels, 0 (real) or 1 (synthetic), shape (n,).

    Parameters
    ----------
    seed
        Not used.
    variance
        As `layerfusion.analysis.probes.linear_probe` takes it.
    block
        The one that is read, counted from 1; None: all.
    """
    inputs = _normalised(features, block)
    return SideBySide(linear_probe(inputs.shape[1], variance).fit(inputs, labels), block)


def _normalised(features: Features, block: int | None) -> NDArray[np.float32]:
    """Return the tokens that are read, of mean 0 and deviation 1 each, side by side."""
    tokens = features.tokens if block is None else features.tokens[:, block - 1 : block]
    mean, variance = (f(tokens, axis=2, keepdims=True) for f in (np.mean, np.var))
    normed = (tokens - mean) / np.sqrt(variance + EPSILON)
    return np.asarray(normed.reshape(len(tokens), -1), dtype=np.float32)
