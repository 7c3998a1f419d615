"""What baselines that torch trains share: full batches from a seed, and logits of many images."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from layerfusion.arithmetic import deterministic
from layerfusion.data.sampling import stream_seed

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


def scored(model: Callable[[Tensor], Tensor], inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits of images, shape (n,), float32, of what a model reads of each."""
    with torch.inference_mode():
        parts = [
            model(torch.from_numpy(inputs[start : start + _SCORED_AT_ONCE]))
            for start in range(0, len(inputs), _SCORED_AT_ONCE)
        ]
    return np.asarray(torch.cat(parts).float().numpy())


def parameter_count(model: nn.Module) -> int:
    """Return how many numbers a model has learnt."""
    return sum(parameter.numel() for parameter in model.parameters())
