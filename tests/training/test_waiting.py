"""How long a training waits for images."""

from types import SimpleNamespace

import pytest

from layerfusion.training import loop
from layerfusion.training.loop import timed


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def test_time_until_a_batch_is_there_counts_and_time_with_it_does_not(clock):
    def slow():
        for batch in "abc":
            clock.now += 3
            yield batch

    found = timed(slow())
    clock.now += 50  # before anybody asks
    seen = []
    for batch in found:
        seen.append(batch)
        clock.now += 1
    assert seen == [("a", 3), ("b", 3), ("c", 3)]
