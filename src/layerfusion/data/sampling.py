"""Which image is drawn when: the weighted sampler of the author's code, as a pure function."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray


class Draw(NamedTuple):
    """One training image to prepare: its row in the manifest, and where in the run it is used."""

    row: int
    epoch: int
    position: int


def sampling_weights(
    rows: pd.DataFrame, *, small_side: int, small_weight: float
) -> NDArray[np.float64]:
    """Return the probability of each row to be drawn, shape (len(rows),), of sum 1.

    An image whose shorter side is below `small_side` px weighs `small_weight`, any other 1; then
    weights are normalised within each label, so that each label is drawn equally often.
    """
    shorter = np.minimum(rows["width"].to_numpy(), rows["height"].to_numpy())
    weight = np.where(shorter < small_side, small_weight, 1.0)
    label = rows["label"].to_numpy(dtype=np.int64)
    present = np.unique(label)
    for value in present:
        weight[label == value] /= weight[label == value].sum() * len(present)
    return weight


def draw_epoch(weights: NDArray[np.float64], *, seed: int, epoch: int) -> list[Draw]:
    """Draw as many images as there are, with replacement: a function of its arguments alone."""
    generator = torch.Generator().manual_seed(stream_seed(seed, epoch))
    rows = torch.multinomial(
        torch.from_numpy(weights), len(weights), replacement=True, generator=generator
    )
    return [Draw(row, epoch, position) for position, row in enumerate(rows.tolist())]


class Share(NamedTuple):
    """What one of several processes prepares of a batch, and how it counts.

    Attributes
    ----------
    draws
        Its images; never empty.
    weight
        Factor of the mean loss over these images. The mean over the processes of what comes out is
        the mean loss over the batch, and so it is with gradients. 1 for a process on its own; 0
        where there was no image left, and the batch's first is computed in vain.
    batch
        Number of images of the whole batch.
    """

    draws: list[Draw]
    weight: float
    batch: int


def share_batch(batch: Sequence[Draw], rank: int, size: int) -> Share:
    """Return the share of process `rank` of `size`; images are dealt one by one, in order."""
    draws = list(batch[rank::size])
    return Share(draws or [batch[0]], len(draws) * size / len(batch), len(batch))


def stream_seed(*parts: int) -> int:
    """Mix non-negative integers (seed, epoch, step...) into one 63-bit seed."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
