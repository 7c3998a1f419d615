"""Freed memory is kept where glibc is asked to, and nothing happens elsewhere."""

import ctypes
import platform
import subprocess
import sys

import pytest

from layerfusion.parallel import processes

FAULTS = """
import resource, sys
import numpy as np
from layerfusion.parallel.processes import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
np.ones(2**22)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**22)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_memory_that_is_needed_again_is_not_asked_for_again():
    kept, given_back = (
        int(subprocess.check_output([sys.executable, "-c", FAULTS, how])) for how in ("keep", "not")
    )
    assert kept < given_back / 10


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert processes.keep_freed_memory() is False
