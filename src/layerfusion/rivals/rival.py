"""What a rival is: a rule that learns from features and labels, and then scores features."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from layerfusion.rivals.features import Features

Labels = NDArray[np.int64]


class FittedRival(Protocol):
    """A rival that has learnt.

    Attributes
    ----------
    parameters : int
        How many numbers it learnt.
    """

    @property
    def parameters(self) -> int:
        """Return how many numbers were learnt."""

    def score(self, features: Features) -> NDArray[np.float32]:
        """Return logits, shape (n,), float32: greater is more likely synthetic."""


@dataclass(frozen=True)
class Rival:
    """A detector to hold the paper's against.

    Attributes
    ----------
    name
        For tables and options: lower case, hyphens.
    title
        For pages: what it is, and whose.
    fit
        Maps features of n training views, their labels (0 real, 1 synthetic, shape (n,)) and a seed
        to the fitted rival. It depends on nothing else: same arguments, same numbers.
    module
        Where it is described: the name of the module that implements it.
    """

    name: str
    title: str
    fit: Callable[[Features, Labels, int], FittedRival]
    module: str
