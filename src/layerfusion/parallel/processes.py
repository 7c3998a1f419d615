"""Several processes of one run, one device each: collectives, and work that only one does.

All processes execute the same program and synchronise in the methods of `Processes`: each process
has to call them, or the others wait. In a single process they do nothing.
"""

import ctypes
import logging
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from inspect import signature
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from layerfusion.errors import ReportedElsewhereError, UserError
from layerfusion.parallel.launcher import Launch, launched

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # their names in malloc.h are M_TRIM_THRESHOLD, ...
_LARGE = 2**31 - 1  # bytes; the parameters are ints
_LARGEST_FROM_HEAP = 2**30  # bytes; larger pieces still come from the system and go back to it


def keep_freed_memory() -> bool:
    """Have this process keep the memory that it frees, and say whether that could be asked for.

    It cannot where the C library is another one: on macOS, on Windows, with musl.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _LARGE) and mallopt(_MMAP_THRESHOLD, _LARGEST_FROM_HEAP))


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


T = TypeVar("T")

PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}

# How long processes wait for each other before they take the others for lost: between steps, and
# while one alone reads all images or another is still scoring its share of them.
STEP_LIMIT = timedelta(minutes=10)
PATIENT_LIMIT = timedelta(hours=12)
WAITING_REPORTED_AFTER = 10.0  # seconds in which processes of one run have usually connected

# Errors of Gloo, NCCL and their sockets whose cause is that the other end is gone.
_LOST = re.compile(r"gloo|nccl|connection (?:closed|reset)|timed out", re.IGNORECASE)


@dataclass(frozen=True)
class Processes:
    """The processes of a run, seen from one of them.

    Attributes
    ----------
    rank
        Number of this process, from 0.
    size
        Number of processes.
    """

    rank: int = 0
    size: int = 1
    _quick: Any = None  # process groups on the CPU, whatever the device, for objects
    _patient: Any = None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.rank == 0

    def gather(self, value: T, *, patient: bool = True) -> list[T]:
        """Return every process's value, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        group = self._patient if patient else self._quick
        with self.reaching_others():
            distributed.all_gather_object(values, value, group)
        return values

    def highest(self, value: int) -> int:
        """Return the highest of all processes' values."""
        return max(self.gather(value, patient=False))

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the processes of tensors of one shape, on the CPU."""
        if self.size == 1:
            return values
        gathered = self.gather(values.cpu().double(), patient=False)
        return torch.stack(gathered).sum(0) / self.size

    @contextmanager
    def together(self, *, patient: bool = False) -> Iterator[None]:
        """Let all processes fail if the block fails in one, so that none waits for it for ever.

        Raises
        ------
        UserError
            The error of the block, in the first of the processes that failed, which reports it; a
            `ReportedElsewhereError` in all others.
        """
        failure: UserError | None = None
        try:
            yield
        except UserError as error:
            if self.size == 1 or error.agreed:
                raise
            failure = error
        failed = self.gather(failure is not None, patient=patient)
        if not any(failed):
            return
        if failure is not None:
            failure.agreed = True
            if self.rank == failed.index(True):
                raise failure
        status = UserError.status if failure is None else failure.status
        raise ReportedElsewhereError(failed.index(True), status)

    def only_first(self, work: Callable[[], T]) -> T:
        """Let the first process do work that the others wait for; return its result in all.

        Raises
        ------
        UserError
            If the work does, in all processes, as in `together`.
        """
        result: Any = None
        with self.together(patient=True):
            if self.first:
                result = work()
        first: T = self.gather(result)[0]
        return first

    def in_step(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items, of which each process has as many, when all processes have the next one."""
        iterator = iter(items)
        while True:
            with self.together():
                item = next(iterator, None)
            if item is None:
                return
            yield item

    def check_same(self, value: object, what: str) -> None:
        """Raise a UserError, in all processes, if a value is not the same in all of them."""
        values = self.gather(value)
        different = [rank for rank, other in enumerate(values) if other != values[0]]
        if different:
            with self.together():
                raise UserError(
                    f"process {different[0]} has {what} other than process 0; all must see the "
                    "same data, settings, code and runs folder"
                )

    @contextmanager
    def reaching_others(self) -> Iterator[None]:
        """Raise a UserError if the block finds another process gone, or silent for too long."""
        try:
            yield
        except RuntimeError as error:  # torch has no class of its own for Gloo's
            if self.size == 1 or not _LOST.search(str(error)):
                raise
            lost = UserError(
                f"process {self.rank} cannot reach another process, which may report above why it "
                "ended; give the same command, with --resume, to continue from the last checkpoint"
            )
            lost.agreed = True  # there may be nobody left to agree with
            raise lost from error


def join_processes() -> Processes:
    """Return the processes of this run; the first call connects them.

    Raises
    ------
    UserError
        If there are more processes than GPUs on this machine, or srun was not given the number of
        tasks per machine.
    """
    return _join(launched())


@lru_cache
def _join(launch: Launch) -> Processes:
    if launch.size == 1:
        return Processes()
    with _reporting_wait(launch):
        open_fabric("fp32")
    groups = [
        distributed.new_group(backend="gloo", timeout=limit)
        for limit in (STEP_LIMIT, PATIENT_LIMIT)
    ]
    return Processes(launch.rank, launch.size, *groups)


@contextmanager
def _reporting_wait(launch: Launch) -> Iterator[None]:
    """Print for which processes this one waits, if that takes longer than they need to start."""
    source = {
        "srun": "SLURM_STEP_NUM_TASKS: if no srun started this one, unset that variable",
        "torchrun": "WORLD_SIZE: if no torchrun started this one, unset TORCHELASTIC_RUN_ID",
    }[launch.by or "srun"]
    text = (
        f"process {launch.rank} of {launch.size} waits for the others, of which there are "
        f"{launch.size - 1} by {source}"
    )
    to_screen = {"file": sys.stderr, "flush": True}
    timer = threading.Timer(WAITING_REPORTED_AFTER, print, [text], to_screen)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def open_fabric(precision: str) -> Fabric:
    """Return a Fabric for one device: the NVIDIA GPU if there is one, else the CPU.

    Each of several processes has a device of its own, and gradients are averaged over them
    (``DistributedDataParallel``: NCCL between GPUs, Gloo between CPUs).

    Raises
    ------
    UserError
        If the precision is fp16 and there is no GPU (Fabric would silently use bf16 instead), or
        as `join_processes`.
    """
    if precision == "fp16" and not torch.cuda.is_available():
        raise UserError(
            "training.precision fp16 needs a GPU and none is visible; set it to bf16 or fp32"
        )
    for name in ("lightning_fabric", "lightning_utilities"):  # they write into notebooks
        logging.getLogger(name).setLevel(logging.WARNING)
    keep_freed_memory()
    launch = launched()
    _check_gpus(launch)
    fabric = Fabric(
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        devices=launch.local_size,
        num_nodes=launch.size // launch.local_size,
        precision=PRECISIONS[precision],
        plugins=[_environment(launch)],
        strategy="auto" if launch.size == 1 else _ddp(),
    )
    fabric.launch()
    return fabric


def _ddp() -> DDPStrategy:
    """Return the strategy that averages gradients; each trained parameter has one at every step.

    Buffers of the detector never change. If they were sent at every call, a process that scores
    one batch more than the others would wait for ever.
    """
    known = signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options: dict[str, Any] = {name: False}
    return DDPStrategy(timeout=STEP_LIMIT, **options)


def _check_gpus(launch: Launch) -> None:
    gpus = torch.cuda.device_count()
    if 0 < gpus < launch.local_size:
        raise UserError(
            f"{launch.by} started {launch.local_size} processes on a machine where {gpus} GPUs are "
            "visible to each; start one process a GPU, and let every process see all of them"
        )


def _environment(launch: Launch) -> ClusterEnvironment:
    """Return the environment in which Fabric finds the other processes."""
    if launch.by == "torchrun":
        return TorchElasticEnvironment()
    if launch.by == "srun":
        try:
            return SLURMEnvironment(auto_requeue=False)
        except RuntimeError:
            raise UserError(
                "SLURM does not set the number of processes per machine; give --ntasks-per-node "
                "instead of --ntasks"
            ) from None
    # Explicit: Fabric would take a single process in a cluster's job for one of many.
    return LightningEnvironment()
