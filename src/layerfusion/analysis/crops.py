"""Measurements of evaluation crops: one function of uint8 batches, applied to every image once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from layerfusion.data.loading import EvaluationImages, scoring_batches
from layerfusion.data.manifest import Progress
from layerfusion.errors import UserError
from layerfusion.settings import ImageSettings, LoaderSettings


def measure_crops(
    measure: Callable[[Tensor], NDArray[Any]],
    files: Sequence[Path],
    images: ImageSettings,
    loader: LoaderSettings,
    *,
    progress: Progress | None = None,
) -> NDArray[Any]:
    """Apply a function to the evaluation crop of every image file.

    Parameters
    ----------
    measure
        Maps uint8 crops (batch, 3, crop, crop) to an array (batch, ...).

    Returns
    -------
    ndarray
        What `measure` returned, shape (len(files), ...), in the order of `files`.

    Raises
    ------
    UserError
        If there are no files.
    ImageError
        If a file cannot be read.
    """
    if not files:
        raise UserError("there are no images to measure")
    measured: NDArray[Any] | None = None
    done = 0
    for batch in scoring_batches(EvaluationImages(files, images), loader):
        for error in batch.errors.values():
            raise error
        assert batch.images is not None
        values = measure(batch.images)
        if measured is None:  # one array from the start: tokens of large sets fit no second time
            measured = np.empty((len(files), *values.shape[1:]), dtype=values.dtype)
        measured[batch.indices] = values
        done += len(batch.indices)
        if progress:
            progress(done, len(files))
    assert measured is not None
    return measured
