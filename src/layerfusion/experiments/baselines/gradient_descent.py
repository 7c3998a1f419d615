"""What baselines that torch trains share: tries, batches from a seed, steps, a trained network."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from layerfusion.arithmetic import deterministic
from layerfusion.data.loading import stream_seed
from layerfusion.experiments.baselines.baseline import Labels
from layerfusion.experiments.baselines.features import Features

BATCH_SIZE = 128
LEARNING_RATES = (1e-4, 3e-4, 1e-3)
STEPS = (50, 250)
# What each of these baselines is tried with.
TRIES = tuple(
    {"learning_rate": rate, "steps": steps} for rate, steps in product(LEARNING_RATES, STEPS)
)

_SCORED_AT_ONCE = 512  # images: little memory for any number of them

Field = Literal["tokens", "next_to_last", "embedding"]
Loss = Callable[[Tensor, Tensor], Tensor]  # of inputs and labels


def train(
    build: Callable[[], nn.Module],
    field: Field,
    features: Features,
    labels: Labels,
    seed: int,
    *,
    learning_rate: float,
    steps: int,
    loss: Callable[[nn.Module], Loss] | None = None,
    weight_decay: float = 0.0,
    batch_size: int = BATCH_SIZE,
) -> "TrainedNetwork":
    """Build a network and train it by AdamW, whatever is drawn being drawn from the seed.

    Parameters
    ----------
    build
        Returns the network, which maps inputs (n, ...) to logits (n,). A network that has
        ``parameter_groups(learning_rate)`` says itself how fast each of its parameters learns.
    field
        The field of `Features` that it reads.
    labels
        0 (real) or 1 (synthetic), shape (n,).
    loss
        Of a network: returns its loss on inputs and labels, shape (). Usually binary cross-entropy.
    """
    inputs, target = torch.from_numpy(getattr(features, field)), torch.from_numpy(labels)
    with seeded(seed):
        model = build().train()
        groups = getattr(model, "parameter_groups", lambda _: model.parameters())(learning_rate)
        optimizer = torch.optim.AdamW(
            groups, lr=learning_rate, weight_decay=weight_decay, fused=True
        )
        of_batch = (loss or cross_entropy)(model)
        batches = shuffled_batches(len(features), size=batch_size, steps=steps, seed=seed)
        descend(optimizer, batches, lambda rows: of_batch(inputs[rows], target[rows]))
    return TrainedNetwork(model.eval().requires_grad_(False), field)


def cross_entropy(model: nn.Module) -> Loss:
    """Return the loss of a network: binary cross-entropy, its mean over a batch."""
    return lambda inputs, label: binary_cross_entropy_with_logits(model(inputs), label.float())


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
    read: Field

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
