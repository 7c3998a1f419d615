"""The same numbers from the same work: instructions, threads, and operations that may differ.

Training amplifies last bits: two processors that round differently end with other thresholds. What
a library computes with depends on what the processor can do, so the only way to the same bits is to
ask every library for what all processors of a kind can do. Torch, oneDNN and MKL read their
variables when they first compute, NumPy and OpenBLAS when they are loaded: these therefore hold in
the processes that are started from here on, which draw the demo's pictures.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from layerfusion.settings import ComputeSettings

# By variable: torch's own kernels, oneDNN (convolutions, fused layers), MKL (matrix products),
# NumPy's loops and its OpenBLAS. The first three decide what a training computes, all of them what
# pictures the demo draws. `layerfusion study processors` measures what they change. MKL's mode
# doubles the time of a training step; its mode AVX2 does not, but is another on processors of Intel
# than on those of AMD.
PORTABLE = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
}


def use_arithmetic(settings: ComputeSettings) -> None:
    """Have this process, and those that it starts, compute as the settings say.

    A variable that is set already stays, for whoever set it had a reason. It comes too late for a
    library that has computed before; `arithmetic` says what is really in force.
    """
    if settings.instructions == "portable":
        for name, value in PORTABLE.items():
            os.environ.setdefault(name, value)
    if settings.threads is not None:
        import torch  # seconds to load; pages that read tables do without

        torch.set_num_threads(settings.threads)


@contextmanager
def recording() -> Iterator[None]:
    """Have processes that are started while the block runs compute portably, in one thread.

    What is committed is made so: the chapters that are published, and the demo's pictures, which
    are the same bytes on every x86-64 processor with AVX2.
    """
    wanted = PORTABLE | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update({name: value for name, value in wanted.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def arithmetic() -> dict[str, Any]:
    """Return what decides the last bits here: torch's instruction set, threads, the variables."""
    import torch

    return {
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "variables": {name: os.environ.get(name) for name in PORTABLE},
    }


@contextmanager
def deterministic() -> Iterator[None]:
    """Have torch refuse operations that are not deterministic, while the block runs."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at the first CUDA call
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
