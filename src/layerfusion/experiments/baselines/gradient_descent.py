"""What baselines that torch trains share: batches from a seed, steps, and a trained network."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from layerfusion.arithmetic import deterministic
from layerfusion.data.loading import stream_seed
from layerfusion.experiments.baselines.features import Features

_SCORED_AT_ONCE = 512  # images: little memory for any number of them


def shuffled_batches(images: int, *, size: int, steps: int, seed: int) -> Iterator[Tensor]:
    """Yield the rows of one batch a step, shape (size,), int64.

    All images are shuffled, used, and shuffled anew, again and again; every batch is full, so that
    one may reach from the end of an order into the next.
    """
    waiting, orders = torch.empty(0, dtype=torch.int64), 0
    for _ in range(steps):
        while len(waiting) < size:
            generator = torch.Generator().manual_seed(stream_seed(seed, orders))
            waiting = torch.cat([waiting, torch.randperm(images, generator=generator)])
            orders += 1
        yield waiting[:size]
        waiting = waiting[size:]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Have torch draw from a seed on the CPU, and compute deterministically, within the block."""
    with deterministic(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def descend(
    optimizer: torch.optim.Optimizer, batches: Iterable[Tensor], loss: Callable[[Tensor], Tensor]
) -> None:
    """Take a step a batch of rows, down the gradient of their loss."""
    for rows in batches:
        value = loss(rows)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that has learnt, in evaluation mode: a baseline that scores.

    Attributes
    ----------
    model
        Maps what it reads of n images to their logits, shape (n,).
    read
        The field of `Features` that it reads.
    """

    model: nn.Module
    read: Literal["tokens", "embedding"]

    @property
    def parameters(self) -> int:
        """Return how many numbers were learnt."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def score(self, features: Features) -> NDArray[np.float32]:
        """Return logits, shape (n,), float32."""
        inputs: Tensor = torch.from_numpy(getattr(features, self.read))
        with torch.inference_mode():
            parts = [self.model(part) for part in torch.split(inputs, _SCORED_AT_ONCE)]
        return np.asarray(torch.cat(parts).float().numpy())
