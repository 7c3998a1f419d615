"""Which image is drawn when: the weighted sampler of the author's code, as a pure function."""

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


def stream_seed(*parts: int) -> int:
    """Mix non-negative integers (seed, epoch, step...) into one 63-bit seed."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
