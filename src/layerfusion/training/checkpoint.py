"""An interrupted training's state in one safetensors file: no pickle, replaced atomically."""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from layerfusion.errors import UserError
from layerfusion.model.detector import Detector
from layerfusion.model.weight_files import read_tensors, write_tensors
from layerfusion.progress import Reporter
from layerfusion.settings import TrainingSettings

# Of the tables in a run's folder, from above: their paths are most of it.
BYTES_PER_IMAGE = 500


def disk_needed(detector: Detector, images: int) -> int:
    """Return, in bytes, the most that a training has on the disk at one time.

    That is the checkpoint (trained tensors and AdamW's two moments of each) and the best detector,
    both twice, for each is complete before it replaces the former one; and tables of the run's
    images, validation images among them.
    """
    trained = sum(p.numel() * p.element_size() for p in detector.trained_parameters().values())
    return 2 * (3 + 1) * trained + BYTES_PER_IMAGE * images


def check_disk(directory: Path, needed: int, reporter: Reporter) -> None:
    """Say how much of the disk a training in `directory` needs and how much is free.

    What an interrupted training has left there counts as free.

    Raises
    ------
    UserError
        If it does not fit.
    """
    there = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    free = shutil.disk_usage(directory).free + there
    if needed > free:
        raise UserError(
            f"training needs {megabytes(needed)} in {directory}, where {megabytes(free)} are free; "
            "make room, or set LAYERFUSION_RUNS to a folder on another disk"
        )
    reporter.say(f"training needs {megabytes(needed)} on the disk; {megabytes(free)} are free")


def megabytes(size: int) -> str:
    """Return a number of bytes as text in MB (10^6), rounded up."""
    return f"{-(-size // 10**6):,} MB"


@dataclass
class Progress:
    """How far a training has come; all of it is in every checkpoint."""

    epoch: int = 0  # finished epochs
    step: int = 0  # finished steps of the epoch under way
    loss_sum: float = 0.0  # over those steps
    total_steps: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)  # one entry a finished epoch
    best_epoch: int = 0  # counted from 1
    seconds: float = 0.0  # spent training, in all sessions together
    scaler: dict[str, Any] = field(default_factory=dict)  # of fp16's gradients
    sessions: list[dict[str, Any]] = field(default_factory=list)  # from which step, on what

    def finished(self, settings: TrainingSettings) -> bool:
        """Say whether the epochs or steps are done, or the validation AUC has stopped rising."""
        return (
            self.epoch >= settings.epochs
            or (settings.max_steps is not None and self.total_steps >= settings.max_steps)
            or self.epoch - self.best_epoch >= settings.patience
        )


def save_checkpoint(
    path: Path, detector: Detector, optimizer: Optimizer, progress: Progress
) -> None:
    """Write trained tensors, optimiser state and progress.

    The file is complete or it is the former one: it is written beside `path`, then renamed.

    Raises
    ------
    UserError
        If it cannot be written; the former one is still there.
    """
    tensors = {f"model.{n}": p for n, p in detector.trained_parameters().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items()}
    try:
        write_tensors(path, tensors, progress=json.dumps(asdict(progress)))
    except OSError as error:
        raise UserError(
            f"the checkpoint {path} cannot be written ({error}); make room, then resume"
        ) from None


def load_checkpoint(path: Path, detector: Detector, optimizer: Optimizer) -> Progress:
    """Put a checkpoint's tensors into detector and optimiser; return its progress.

    Raises
    ------
    UserError
        If the file is damaged or belongs to a detector of other settings.
    """
    try:
        tensors, metadata = read_tensors(path)
        progress = Progress(**json.loads(metadata["progress"]))
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"the checkpoint {path} cannot be read ({error}); delete its folder and train again"
        ) from None
    detector.restore(
        {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    )
    _restore_optimizer(optimizer, tensors)
    return progress


def _restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, _, key = rest.partition(".")
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
