"""From manifest rows to batches of uint8 images, in worker processes."""

import math
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.filesize import decimal
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from layerfusion.data.manifest import Progress, usable_cores
from layerfusion.errors import UserError
from layerfusion.images.degradations import degradation as degradation_of
from layerfusion.images.degradations import evaluated
from layerfusion.images.reading import ImageError, read_picture, set_pixel_limit
from layerfusion.images.transforms import (
    EvaluationTransform,
    TrainingTransform,
    image_rng,
    view_rng,
)
from layerfusion.parallel.launcher import launched
from layerfusion.parallel.processes import Processes
from layerfusion.progress import one_line, warn_once
from layerfusion.settings import MOST_PROCESSES, ImageSettings, LoaderSettings


class Draw(NamedTuple):
    """One training image to prepare: its row in the manifest, and where in the run it is used."""

    row: int
    epoch: int
    position: int


def sampling_weights(
    rows: pd.DataFrame, *, small_side: int, small_weight: float
) -> NDArray[np.float64]:
    """Return the probability of each row to be drawn, shape (len(rows),), of sum 1.

    An image whose shorter side is below `small_side` px weighs `small_weight`, any other 1; then
    weights are normalised within each label, so that each label is drawn equally often.
    """
    shorter = np.minimum(rows["width"].to_numpy(), rows["height"].to_numpy())
    weight = np.where(shorter < small_side, small_weight, 1.0)
    label = rows["label"].to_numpy(dtype=np.int64)
    present = np.unique(label)
    for value in present:
        weight[label == value] /= weight[label == value].sum() * len(present)
    return weight


def draw_epoch(weights: NDArray[np.float64], *, seed: int, epoch: int) -> list[Draw]:
    """Draw as many images as there are, with replacement: a function of its arguments alone."""
    generator = torch.Generator().manual_seed(stream_seed(seed, epoch))
    rows = torch.multinomial(
        torch.from_numpy(weights), len(weights), replacement=True, generator=generator
    )
    return [Draw(row, epoch, position) for position, row in enumerate(rows.tolist())]


class Share(NamedTuple):
    """What one of several processes prepares of a batch, and how it counts.

    Attributes
    ----------
    draws
        Its images; never empty.
    weight
        Factor of the mean loss over these images. The mean over the processes of what comes out is
        the mean loss over the batch, and so it is with gradients. 1 for a process on its own; 0
        where there was no image left, and the batch's first is computed in vain.
    batch
        Number of images of the whole batch.
    """

    draws: list[Draw]
    weight: float
    batch: int


def share_batch(batch: Sequence[Draw], rank: int, size: int) -> Share:
    """Return the share of process `rank` of `size`; images are dealt one by one, in order."""
    draws = list(batch[rank::size])
    return Share(draws or [batch[0]], len(draws) * size / len(batch), len(batch))


def stream_seed(*parts: int) -> int:
    """Mix non-negative integers (seed, epoch, step...) into one 63-bit seed."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


# A file that cannot be read travels through the loader as its error: raised in a worker it would
# reach the user as that worker's stack trace.
Item = Tensor | ImageError
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108, where Linux keeps what processes share

WORKERS_VARIABLE = "LAYERFUSION_WORKERS"
_LEFT = {signal.SIGINT, signal.SIGTERM}  # signals that a worker leaves to its parent


class TrainingImages(Dataset[tuple[Item, int]]):
    """Augmented images with labels; item `Draw(row, epoch, position)` is always the same image.

    With `views`, an image has so many augmented views, and a draw takes one of them.
    """

    def __init__(
        self,
        root: Path,
        rows: pd.DataFrame,
        settings: ImageSettings,
        *,
        seed: int,
        views: int | None = None,
    ) -> None:
        set_pixel_limit()  # or each worker would say what is wrong with it
        self.root, self.item_bytes = root, 3 * settings.crop**2
        self.paths = rows["path"].tolist()
        self.labels = rows["label"].astype(int).tolist()
        self.transform = TrainingTransform(settings)
        self.seed = seed
        self.views = views

    def __getitem__(self, draw: Draw) -> tuple[Item, int]:
        """Return the uint8 image (3, crop, crop), or the error, and its label."""
        path, label = self.paths[draw.row], self.labels[draw.row]
        if self.views is None:
            rng = image_rng(self.seed, draw.epoch, draw.position)
        else:
            rng = view_rng(path, self.view(draw))
        try:
            return self.transform(read_picture(self.root / path), rng), label
        except ImageError as error:
            return error, label

    def view(self, draw: Draw) -> int:
        """Return which of an image's numbered views a draw takes, from 0."""
        assert self.views is not None
        return int(image_rng(self.seed, draw.epoch, draw.position).integers(self.views))


class EvaluationImages(Dataset[tuple[int, Item]]):
    """Centre crops of image files, each with its index.

    With a degradation, by the name that `layerfusion.images.degradations` knows it by, every image
    is degraded at full size before anything else happens to it.

    Raises
    ------
    UserError
        If there is no such degradation.
    """

    def __init__(
        self, files: Sequence[Path], settings: ImageSettings, *, degradation: str | None = None
    ) -> None:
        set_pixel_limit()
        self.files, self.item_bytes = files, 3 * settings.crop**2
        self.transform = EvaluationTransform(settings)
        self.degrade = None if degradation is None else degradation_of(degradation)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[int, Item]:
        """Return the index, and the uint8 image (3, crop, crop) or the error."""
        try:
            picture = read_picture(self.files[index])
            return index, evaluated(self.transform, picture, self.degrade)
        except ImageError as error:
            return index, error
        except UserError as error:  # what cannot be degraded
            return index, ImageError(self.files[index], str(error))


class TrainingBatch(NamedTuple):
    """One process's share of a batch: uint8 images (n, 3, crop, crop), float labels (n,).

    `weight` is the factor of their mean loss, `size` the number of images of the whole batch
    (see `layerfusion.data.loading.Share`).
    """

    images: Tensor
    labels: Tensor
    weight: float
    size: int


class ScoringBatch(NamedTuple):
    """Files by index: readable ones as one tensor, the others as errors."""

    errors: dict[int, ImageError]
    readable: list[int]
    images: Tensor | None


def training_batches(
    images: TrainingImages,
    draws: Sequence[Draw],
    *,
    batch_size: int,
    loader: LoaderSettings,
    processes: Processes,
) -> Iterator[TrainingBatch]:
    """Yield this process's shares of the batches, in the draws' order.

    Raises
    ------
    ImageError
        If a file cannot be read: the manifest was made without decoding, or the file changed.
    """
    shares = [
        share_batch(draws[i : i + batch_size], processes.rank, processes.size)
        for i in range(0, len(draws), batch_size)
    ]
    loaded = loaded_draws(images, [share.draws for share in shares], loader)
    for share, batch in zip(shares, loaded, strict=True):
        yield TrainingBatch(*batch, share.weight, share.batch)


def loaded_draws(
    images: TrainingImages, batches: Sequence[list[Draw]], loader: LoaderSettings
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of draws: uint8 images (n, 3, crop, crop) and float labels (n,).

    Raises
    ------
    ImageError
        If a file cannot be read.
    """
    loaded: Iterator[tuple[Tensor, Tensor] | ImageError] = _loaded(
        images,
        workers=worker_count(loader),
        room=images.item_bytes * max(map(len, batches), default=0),
        batch_sampler=batches,
        collate_fn=_collate_training,
    )
    for batch in loaded:
        if isinstance(batch, ImageError):
            raise batch
        yield batch


def scoring_batches(images: EvaluationImages, loader: LoaderSettings) -> Iterator[ScoringBatch]:
    """Yield batches in order; a file that cannot be read is named in its batch's errors.

    A batch is prepared by one worker, so there are no more of them than batches; a single batch has
    nothing to be prepared beside, and needs none.
    """
    workers, batches = worker_count(loader), math.ceil(len(images) / loader.evaluation_batch_size)
    yield from _loaded(
        images,
        workers=min(workers, batches) if batches > 1 else 0,
        room=images.item_bytes * loader.evaluation_batch_size,
        batch_size=loader.evaluation_batch_size,
        collate_fn=_collate_scoring,
    )


def evaluation_crops(
    files: Sequence[Path],
    images: ImageSettings,
    loader: LoaderSettings,
    *,
    progress: Progress | None = None,
) -> Iterator[Tensor]:
    """Yield the evaluation crops of all files, in order: uint8 (batch, 3, crop, crop).

    `progress` is told how many are done, and of how many, once a batch has been used.

    Raises
    ------
    UserError
        If there are no files.
    ImageError
        If a file cannot be read.
    """
    if not files:
        raise UserError("there are no images to measure")
    done = 0
    for batch in scoring_batches(EvaluationImages(files, images), loader):
        for error in batch.errors.values():
            raise error
        assert batch.images is not None
        yield batch.images
        done += len(batch.images)
        if progress:
            progress(done, len(files))


def _leave_signals(worker: int) -> None:
    """Have a worker leave signals to the process that it works for, and end when that ends.

    `timeout` and schedulers send SIGTERM to all processes of a job, a terminal Ctrl-C; without its
    workers a training could not come to the end of its step, and each would end in a traceback.
    """
    for number in _LEFT:
        signal.signal(number, signal.SIG_IGN)


def _started(loader: DataLoader[Any]) -> Iterator[Any]:
    """Start a loader's workers, and keep signals waiting until they can ignore them.

    They are born with signals that wait, and ignore them when they come to `_leave_signals`.
    """
    if sys.platform == "win32":
        return iter(loader)
    former = signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT)
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def end_if_imported_by_worker() -> None:
    """End this process if it is a worker that imports, and so runs, the script that started it.

    Where processes are spawned a script without ``if __name__ == "__main__":`` is run by each of
    its workers. That one of them ends is what `_loaded` notices in the script itself.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(1)


def _loaded(dataset: Dataset[Any], *, workers: int, room: int, **how: Any) -> Iterator[Any]:
    """Yield batches that worker processes prepare, or this one where there can be no others.

    `room` is the size of a batch in shared memory, bytes; `how` are arguments of `DataLoader`.
    """
    end_if_imported_by_worker()
    how |= {"pin_memory": torch.cuda.is_available(), "worker_init_fn": _leave_signals}
    obstacle, begun = _no_room(workers * room * 2), False  # each prepares two batches in advance
    random_state = torch.get_rng_state()  # of which a loader draws a seed
    if workers and not obstacle:
        try:
            for batch in _started(DataLoader(dataset, num_workers=workers, **how)):
                begun = True
                yield batch
            return
        except (OSError, EOFError, RuntimeError) as error:
            obstacle = None if begun else _obstacle(error)
            if obstacle is None:
                raise _lost_worker(error) from None
            torch.set_rng_state(random_state)
    if workers:
        warn_once(f"images are prepared in this process alone, which takes longer: {obstacle}")
    yield from DataLoader(dataset, **how)


def _no_room(needed: int) -> str | None:
    """Return what is wrong if memory that processes share has not so many bytes; None if it has."""
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free < needed:
        return f"{SHARED_MEMORY} has no room for {decimal(needed)} (docker run --shm-size 1g)"
    return None


def _obstacle(error: Exception) -> str | None:
    """Return why workers could not begin; None if it is another error."""
    text = str(error)
    if isinstance(error, OSError | EOFError):
        return f"no others could be started ({text or type(error).__name__})"
    if "Bus error" in text or "shared memory" in text or "unable to write to file" in text:
        return f"{SHARED_MEMORY} has no room"
    if "DataLoader worker" in text and multiprocessing.get_start_method() != "fork":
        return "others ended at once, as where a script lacks if __name__ == '__main__':"
    return None


def _lost_worker(error: Exception) -> Exception:
    """Return the sentence for a worker that was lost; another error as it is."""
    if not isinstance(error, RuntimeError) or "DataLoader worker" not in str(error):
        return error  # torch has no class of its own for it
    return UserError(
        "a process that prepares images was ended from outside, most likely for want of "
        f"memory; use fewer of them: {WORKERS_VARIABLE}=0, or --set loader.workers=0"
    )


def _collate_training(items: list[tuple[Item, int]]) -> tuple[Tensor, Tensor] | ImageError:
    images, labels = zip(*items, strict=True)
    for image in images:
        if isinstance(image, ImageError):
            return image
    return torch.stack(images), torch.tensor(labels, dtype=torch.float32)


def _collate_scoring(items: list[tuple[int, Item]]) -> ScoringBatch:
    readable = {index: image for index, image in items if isinstance(image, Tensor)}
    return ScoringBatch(
        errors={index: image for index, image in items if isinstance(image, ImageError)},
        readable=list(readable),
        images=torch.stack(list(readable.values())) if readable else None,
    )


def worker_count(loader: LoaderSettings) -> int:
    """Return the number of worker processes; unless set, one a core and 8 at most.

    Raises
    ------
    UserError
        If ``$LAYERFUSION_WORKERS``, which counts where the setting is not made, is no number or
        above `MOST_PROCESSES`.
    """
    if loader.workers is not None:
        return loader.workers
    chosen = os.environ.get(WORKERS_VARIABLE)
    if not chosen:
        return usable_cores(launched().core_sharers)
    if not chosen.isdecimal() or len(chosen) > 4 or int(chosen) > MOST_PROCESSES:
        raise UserError(
            f"{WORKERS_VARIABLE}={one_line(chosen)[:40]} is not a number of processes; give 0 to "
            f"{MOST_PROCESSES}"
        )
    return int(chosen)
