"""What a baseline is: a rule that learns from frozen features and labels, then scores features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from layerfusion.experiments.baselines.features import Features

Labels = NDArray[np.int64]
Reads = Literal["class", "patches", "both"]
Settings = Mapping[str, Any]


class FittedBaseline(Protocol):
    """A baseline that has learnt.

    Attributes
    ----------
    parameters : int
        Number of learnt parameters.
    """

    @property
    def parameters(self) -> int:
        """Return the number of learnt parameters."""

    def score(self, features: Features) -> NDArray[np.float32]:
        """Return logits, shape (n,), float32: greater is more likely synthetic."""


@dataclass(frozen=True)
class Baseline:
    """A detector to compare the paper's with.

    Attributes
    ----------
    name
        For tables and options: lower case, hyphens.
    title
        For pages: what it is, and whose.
    fit
        Maps features of n training views, their labels (0 real, 1 synthetic, shape (n,)), a seed
        and one of `tries` to the fitted baseline. It depends on nothing else: same arguments, same
        numbers.
    module
        Where it is described: the name of the module that implements it.
    tries
        Settings of `fit`; `layerfusion.experiments.baselines.choosing` chooses among them. Every
        baseline that has any has the same number.
    reads
        The tokens that it finds in `Features.tokens`: class tokens, means of patch tokens, or those
        of both, class tokens first.
    drawn
        Whether a seed changes it.
    """

    name: str
    title: str
    fit: Callable[..., FittedBaseline]
    module: str
    tries: tuple[Settings, ...] = ({},)
    reads: Reads = "class"
    drawn: bool = True
