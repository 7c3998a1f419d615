"""Cozzolino et al. 2024: a linear support vector machine on the next-to-last features of CLIP.

*Raising the Bar of AI-generated Image Detection with CLIP*, CVPR Workshops 2024. The features are
those before the output projection, brought to length 1; the decision value is the score.

Differences from its public code
--------------------------------
- Its public code has trained detectors and no training. The machine here is scikit-learn's
  `LinearSVC` with its loss (squared hinge); its cost C is chosen on training images.
- Crops are not resized to 224 px first: they are cut, and small images enlarged, as the profile
  says. Training views are augmented.
- Nothing in it is drawn: all seeds give the same numbers where they share their training views.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.svm import LinearSVC

from layerfusion.experiments.baselines.baseline import Labels
from layerfusion.experiments.baselines.features import Features

TRIES = tuple({"cost": cost} for cost in (0.001, 0.01, 0.1, 1.0, 10.0, 100.0))


@dataclass(frozen=True)
class LinearSvm:
    """The fitted machine, the division by length before it."""

    pipeline: Pipeline

    @property
    def parameters(self) -> int:
        """Return how many numbers were learnt: a weight a feature, and a bias."""
        machine = self.pipeline[-1]
        return int(machine.coef_.size + machine.intercept_.size)

    def score(self, features: Features) -> NDArray[np.float32]:
        """Return decision values, shape (n,), float32: above 0 is synthetic."""
        return np.asarray(self.pipeline.decision_function(features.next_to_last), dtype=np.float32)


def fit_linear_svm(
    features: Features, labels: Labels, seed: int, *, cost: float = 1.0
) -> LinearSvm:
    """Fit the machine to views and their labels.

    Parameters
    ----------
    labels
        0 (real) or 1 (synthetic), shape (n,).
    seed
        Not used: the primal problem has one solution, and nothing on the way to it is drawn.
    cost
        C, of an image on the wrong side.
    """
    machine = LinearSVC(C=cost, dual=False, max_iter=10_000)
    return LinearSvm(make_pipeline(Normalizer(), machine).fit(features.next_to_last, labels))
