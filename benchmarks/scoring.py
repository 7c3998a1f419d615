"""What scoring a folder takes beside the encoder's forward pass alone, and until it begins.

The default detector scores images of a folder, read from their files, and then the same pixels from
memory, in turns. Memory is that of the process and its workers after a quarter of the images and at
the end. Writes `results/scoring.json`.

    python benchmarks/scoring.py --images DIR
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from keeping import circumstances, keep, photographs_parser, spread

from layerfusion.data.loading import EvaluationImages, scoring_batches
from layerfusion.images.finding import files_below
from layerfusion.model.detector import Detector
from layerfusion.parallel.processes import open_fabric
from layerfusion.scoring.detectors import detector_folder
from layerfusion.scoring.predictions import score_files
from layerfusion.settings import LoaderSettings

BATCH = 16


def main() -> None:
    """Print a row a measurement, and keep them with date and hardware."""
    parser = photographs_parser(__doc__)
    parser.add_argument("--count", type=int, default=160)
    chosen = parser.parse_args()
    paths = [chosen.images / name for name in sorted(files_below(chosen.images).images)]
    paths, found = paths[: chosen.count], circumstances()
    starts = [started(given) for given in (["--version"], ["--help"], ["score", str(paths[0])])]
    rows = starts + scored(paths, chosen.rounds)
    print(*rows, sep="\n")
    keep("scoring", found | {"images": len(paths), "measured": rows})


def started(given: list[str], *, times: int = 3) -> dict[str, Any]:
    """Return the seconds of a whole command."""
    command = [sys.executable, "-m", "layerfusion", *given]
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - begun)
    what = "layerfusion " + " ".join("IMAGE" if Path(word).is_file() else word for word in given)
    return {"what": what} | spread(seconds, 4)


def scored(paths: list[Path], rounds: int) -> list[dict[str, Any]]:
    """Return the seconds an image of both ways, and the memory of the first."""
    detector = Detector.load(detector_folder()).to(open_fabric("fp32").device)
    settings, loader = detector.image_settings, LoaderSettings(evaluation_batch_size=BATCH)
    images = EvaluationImages(paths, settings)
    batches = [batch.images for batch in scoring_batches(images, loader)]
    memory: list[float] = []

    def from_files() -> None:
        seen: list[float] = []
        score_files(detector, paths, settings, loader, progress=lambda *_: seen.append(_resident()))
        memory[:] = [seen[len(seen) // 4], seen[-1]]

    def from_memory() -> None:
        with torch.inference_mode():
            for batch in batches:
                if batch is not None:
                    detector(batch)

    taken: dict[str, list[float]] = {"score, from files": [], "forward pass alone": []}
    for turn in range(rounds + 1):
        for name, work in zip(taken, (from_files, from_memory), strict=True):
            seconds = _timed(work) / len(paths)
            if turn:
                taken[name].append(seconds)
    rows = [{"what": f"{name}, an image"} | spread(seconds, 4) for name, seconds in taken.items()]
    ratios = [one / other for one, other in zip(*taken.values(), strict=True)]
    rows.append({"what": "files beside memory, times"} | spread(ratios, 4))
    rows.append({"what": "memory at a quarter and at the end, MiB"} | spread(memory, 4))
    return rows


def _timed(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _resident() -> float:
    """Return the memory of this process and of those it started, MiB; what they share counts once.

    Where the system does not say what is shared, it counts for each.
    """
    own = psutil.Process()
    known = [one.memory_full_info() for one in (own, *own.children(recursive=True))]
    return float(sum(getattr(one, "pss", one.rss) for one in known)) / 2**20


if __name__ == "__main__":
    main()
