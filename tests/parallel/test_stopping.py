"""SIGTERM as a request: noticed inside the block, and as before after it."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

from layerfusion.parallel.processes import stop_requests


def test_a_signal_is_noticed_and_ends_nothing():
    former = signal.getsignal(signal.SIGTERM)
    with stop_requests() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
    assert signal.getsignal(signal.SIGTERM) is former
    with stop_requests() as asked:  # the former request is not this one's
        assert not asked()


def test_a_thread_that_no_signal_reaches_can_train_too():
    def wait():
        with stop_requests() as asked:
            return asked()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(wait).result() is False
