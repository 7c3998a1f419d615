"""How long a training waits for its images: whether more of the loader's processes would help."""

import time
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import torch

from layerfusion.progress import Reporter

Batch = TypeVar("Batch")

TOO_LONG = 0.2  # of an epoch's time


class Waiting(Generic[Batch]):
    """Batches in their order, and the time that was spent until each was there.

    Attributes
    ----------
    seconds
        Spent waiting, so far.
    begun
        When the first batch was asked for, by `time.perf_counter`; before that, when this was made.
    """

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = batches
        self.seconds = 0.0
        self.begun = time.perf_counter()

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches, once."""
        batches = iter(self._batches)
        asked = self.begun = time.perf_counter()
        for batch in batches:
            self.seconds += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()

    def share(self) -> float:
        """Return the share of the time since the beginning that was spent waiting, 0..1."""
        whole = time.perf_counter() - self.begun
        return self.seconds / whole if whole > 0 else 0.0


def report_waiting(share: float, device: torch.device, reporter: Reporter) -> None:
    """Say which share of an epoch the device had no images; aloud, if more processes may help."""
    text = f"{share:.0%} of the epoch went by waiting for images"
    if share > TOO_LONG and device.type != "cpu":
        reporter.say(f"{text}; with more cores, set loader.workers higher")
    else:
        reporter.detail(text)
