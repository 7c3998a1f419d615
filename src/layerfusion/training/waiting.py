"""How long a training waits for its images: whether more of the loader's processes would help."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch

from layerfusion.progress import Reporter

Batch = TypeVar("Batch")

TOO_LONG = 0.2  # of an epoch's time


def timed(batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
    """Yield batches in their order, each with the seconds that were spent until it was there."""
    asked = time.perf_counter()
    for batch in batches:
        yield batch, time.perf_counter() - asked
        asked = time.perf_counter()


def report_waiting(share: float, device: torch.device, reporter: Reporter) -> None:
    """Say which share of an epoch the device had no images; aloud, if more processes may help."""
    text = f"{share:.0%} of the epoch went by waiting for images"
    if share > TOO_LONG and device.type != "cpu":
        reporter.say(f"{text}; with more cores, set loader.workers higher")
    else:
        reporter.detail(text)
