"""Ojha, Li and Lee 2023: nearest neighbours in the final embedding of CLIP.

*Towards Universal Fake Image Detectors that Generalize Across Generative Models*, CVPR 2023, its
second detector. The score is the cosine distance to the k nearest real training images less that to
the k nearest generated ones.

Differences from its public code
--------------------------------
- Of more than one neighbour the mean distance is taken, so that there is a score to rank by. The
  paper lets the neighbours vote.
- Training views are augmented, and crops enlarged where an image is small, as the profile says.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from layerfusion.experiments.baselines.baseline import Labels
from layerfusion.experiments.baselines.features import Features

NEIGHBOURS = (1, 3, 5, 9)


@dataclass(frozen=True)
class Neighbours:
    """The training images of both classes, ready to be searched."""

    real: NearestNeighbors
    synthetic: NearestNeighbors
    parameters: int = 0

    def score(self, features: Features) -> NDArray[np.float32]:
        """Return the difference of the distances, shape (n,), float32, in [-2, 2]."""
        to_real, to_synthetic = (
            searched.kneighbors(features.embedding)[0].mean(axis=1)
            for searched in (self.real, self.synthetic)
        )
        return np.asarray(to_real - to_synthetic, dtype=np.float32)


def fit_neighbours(features: Features, labels: Labels, seed: int, *, k: int) -> Neighbours:
    """Keep the views of each class; nothing is drawn, and `seed` not used."""
    return Neighbours(
        *(
            NearestNeighbors(n_neighbors=min(k, int((labels == kind).sum())), metric="cosine").fit(
                features.embedding[labels == kind]
            )
            for kind in (0, 1)
        )
    )
