"""What larger work would take on more devices, from rates that were measured on one.

Nothing here is a measurement, and a page that shows it says so. A step of work is bound by the
slowest of three: the devices, the cores that prepare images, and the store that images lie in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Rates:
    """What was measured, or is assumed; images a second unless another unit is named.

    Attributes
    ----------
    training, scoring
        Of one device.
    training_images, scoring_images
        That one core prepares.
    cores
        Beside each device.
    store
        Bytes a second that all devices together can read.
    image_bytes
        Mean size of a file.
    """

    training: float
    scoring: float
    training_images: float
    scoring_images: float
    cores: int
    store: float
    image_bytes: float


@dataclass(frozen=True)
class Work:
    """Images to see: in training, each as often as there are epochs; or to score."""

    name: str
    images: int
    training: bool


def project(work: Sequence[Work], rates: Rates, devices: Sequence[int]) -> pd.DataFrame:
    """Return how long each piece of work takes on so many devices, and what bounds it.

    Returns
    -------
    DataFrame
        A row a piece of work and number of devices: ``work``, ``images``, ``devices``, ``hours``,
        ``at worst``, ``device hours``, ``bound by``. ``hours`` takes every device to do its share
        at the measured rate. ``at worst`` is for training: the batch stays as large as it is, so
        more devices have smaller shares of it, and a step that waits for launches, not for
        arithmetic, takes as long as on one.
    """
    rows = []
    for piece in work:
        device = rates.training if piece.training else rates.scoring
        core = rates.training_images if piece.training else rates.scoring_images
        for count in devices:
            limits = {  # images a second
                "devices": device * count,
                "cores": core * rates.cores * count,
                "store": rates.store / rates.image_bytes,
            }
            bound = min(limits, key=lambda name: limits[name])
            hours = piece.images / limits[bound] / 3600
            worst = max(hours, piece.images / device / 3600) if piece.training else hours
            row = {"work": piece.name, "images": piece.images, "devices": count, "hours": hours}
            row |= {"at worst": worst, "device hours": hours * count, "bound by": bound}
            rows.append(row)
    return pd.DataFrame(rows)
