"""Being asked to stop: SIGTERM, which schedulers send some time before they end a job for good."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Have SIGTERM ask for a stop, instead of ending the program, while the block runs.

    Yields
    ------
    callable
        Says whether a stop was asked for. Always False in a thread other than the main one, which
        no signal reaches.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    former = signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, former)
