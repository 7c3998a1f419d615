"""How much room a training needs on the disk, known before it starts."""

import shutil
from pathlib import Path

from layerfusion.errors import UserError
from layerfusion.model.detector import Detector
from layerfusion.progress import Reporter

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
