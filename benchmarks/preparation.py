"""How many images one core prepares, beside the obvious way to do it, in one run.

Photographs of a folder are brought to three sizes and kept as JPEG of quality 90. What prepares
them is timed in turns, this project and `reference/preparation.py`, so that a ratio is of one
machine in one minute; each in a process of its own, as a loader's worker is set up. Then the steps
of a training image are timed one by one, and what decodes a JPEG. Writes
`results/preparation.json`.

    python benchmarks/preparation.py --images DIR
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from io import BytesIO
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from keeping import circumstances, keep, photographs_parser, spread
from PIL import Image
from reference import preparation as reference

from layerfusion.images import augmentation
from layerfusion.images.degradations import degradation, evaluated
from layerfusion.images.finding import files_below
from layerfusion.images.jpeg import upper_rows
from layerfusion.images.reading import ImageError, read_image, read_picture, read_pixels
from layerfusion.images.transforms import EvaluationTransform, TrainingTransform, image_rng
from layerfusion.parallel.processes import keep_freed_memory
from layerfusion.settings import ImageSettings

SIZES = {(500, 375): 150, (640, 480): 150, (4000, 3000): 8}  # px, and how many images
SETTINGS = ImageSettings()
TRAIN, EVALUATE = TrainingTransform(SETTINGS), EvaluationTransform(SETTINGS)
CONDITIONS = [None if name == "clean" else degradation(name) for name in reference.CONDITIONS]
POSITIONS = count()


def ours_training(path: Path) -> torch.Tensor:
    """Return a random view, as a loader's worker makes it."""
    return TRAIN(read_picture(path), image_rng(0, 0, next(POSITIONS)))


def ours_evaluation(path: Path) -> torch.Tensor:
    """Return the centre."""
    return EVALUATE(read_picture(path))


def ours_suite(path: Path) -> list[torch.Tensor]:
    """Return the centre under every condition, of one decoding."""
    pixels = read_pixels(path)
    return [evaluated(EVALUATE, pixels, degrade) for degrade in CONDITIONS]


WORK: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "training": (ours_training, reference.training),
    "evaluation": (ours_evaluation, reference.evaluation),
    "robustness suite": (ours_suite, reference.suite),
}


def main() -> None:
    """Print a row a measurement, and keep them with date and hardware."""
    chosen = photographs_parser(__doc__).parse_args()
    alone()
    found: dict[str, Any] = circumstances() | {"preparation": []}
    with tempfile.TemporaryDirectory() as name:
        for size, images in SIZES.items():
            paths = photographs(chosen.images, size, images, Path(name))
            for row in compared(size, paths, chosen.rounds):
                found["preparation"].append(row)
                print(row, flush=True)
            check_equal(paths)
        small = photographs(chosen.images, (500, 375), 12, Path(name))
        found["steps_ms"] = steps(small)
        found["decoders_ms"] = {f"{w} x {h}": decoders((w, h), Path(name)) for w, h in SIZES}
    print(found["steps_ms"], found["decoders_ms"], sep="\n")
    keep("preparation", found)


def alone(own: bool = True) -> None:
    """Compute on one core and thread; with memory as the project allocates it, or as it is."""
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if own:
        keep_freed_memory()


def photographs(source: Path, size: tuple[int, int], images: int, folder: Path) -> list[Path]:
    """Return JPEG files of photographs that are cut and brought to a size."""
    paths = []
    for number, image in zip(range(images), _read(source), strict=False):
        path = folder / f"{size[0]}-{number}.jpg"
        fitted(image, size).save(path, "JPEG", quality=90)
        paths.append(path)
    if not paths:
        raise SystemExit(f"{source} holds no photograph whose shorter side has 300 px or more")
    return paths


def fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the largest part of a picture that has the proportions of a size, at that size."""
    width, height = image.size
    scale = min(width / size[0], height / size[1])
    box = (0, 0, int(size[0] * scale), int(size[1] * scale))
    return image.resize(size, Image.Resampling.BICUBIC, box=box)


def _read(source: Path) -> Iterator[Image.Image]:
    for name in sorted(files_below(source).images):
        try:
            image = read_image(source / name)
        except ImageError:
            continue
        if min(image.size) >= 300:
            yield image


def compared(size: tuple[int, int], paths: list[Path], rounds: int) -> Iterator[dict[str, Any]]:
    """Yield a row a kind of work: images a second of both ways, and the ratios of the rounds."""
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                ProcessPoolExecutor(1, get_context("spawn"), initializer=alone, initargs=(own,))
            )
            for own in (True, False)
        ]
        for name in WORK:
            rates: tuple[list[float], list[float]] = ([], [])
            for turn in range(rounds + 1):
                for which, (kept, worker) in enumerate(zip(rates, workers, strict=True)):
                    seconds = worker.submit(timed, name, which, paths).result()
                    if turn:  # the first warms up
                        kept.append(len(paths) / seconds)
            ratios = [one / other for one, other in zip(*rates, strict=True)]
            yield {
                "size": f"{size[0]} x {size[1]}",
                "work": name,
                "images": len(paths),
                "per_second": spread(rates[0], 2),
                "reference_per_second": spread(rates[1], 2),
                "ratio": spread(ratios, 2),
            }


def timed(work: str, which: int, paths: list[Path]) -> float:
    """Return the processor's seconds that this process takes to prepare all images, one way."""
    prepare = WORK[work][which]
    begun = time.process_time()
    for path in paths:
        prepare(path)
    return time.process_time() - begun


def check_equal(paths: list[Path]) -> None:
    """Stop if evaluation pixels differ from the reference's under any condition."""
    mean, std = torch.tensor(reference.MEAN), torch.tensor(reference.STD)
    for path in paths:
        for own, other in zip(ours_suite(path), reference.suite(path), strict=True):
            normalised = (own.float() / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
            if not torch.allclose(normalised, other, atol=1e-6):
                raise SystemExit(f"{path.name}: the evaluation pixels differ from the reference's")


def steps(paths: list[Path]) -> dict[str, float]:
    """Return the milliseconds of each step where it is taken, at 500 x 375 and a 224 px crop."""
    whole = [read_pixels(path) for path in paths]
    crops = [np.array(pixels[50:274, 60:284]) for pixels in whole]
    work: dict[str, tuple[list[Any], Callable[[Any], Any]]] = {
        "decode": (paths, read_pixels),
        "flip": (crops, augmentation.flip),
        "rotate": (crops, lambda crop: augmentation.rotate(crop, 3.0)),
        "jpeg": (crops, lambda crop: augmentation.recompress(crop, 75)),
        "resample": (crops, lambda crop: augmentation.resample(crop, 136)),
        "draw": ([0], lambda _: TRAIN.draw(image_rng(0, 0, 1), (500, 375))),
    }
    for name, adjust in augmentation.ADJUST.items():
        factor = 0.01 if name == "hue" else 1.05
        work[name] = (crops, lambda crop, adjust=adjust, factor=factor: adjust(crop, factor))
    return {name: milliseconds(step, given) for name, (given, step) in work.items()}


def milliseconds(step: Callable[[Any], Any], given: list[Any], *, rounds: int = 7) -> float:
    """Return the least time of a step over its inputs, as a mean."""
    repeats, best = max(1, 60 // len(given)), float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        for _ in range(repeats):
            for one in given:
                step(one)
        best = min(best, (time.process_time() - begun) / repeats / len(given))
    return round(best * 1e3, 3)


def decoders(size: tuple[int, int], folder: Path) -> dict[str, float]:
    """Return the milliseconds that libraries take to decode a JPEG; all that are here."""
    import cv2
    import simplejpeg

    path = folder / f"{size[0]}-0.jpg"
    data = path.read_bytes()
    left, top = (side // 2 - 112 for side in size)
    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    found = {
        "pillow": lambda _: Image.open(BytesIO(data)).load(),
        "simplejpeg": lambda _: simplejpeg.decode_jpeg(data, "RGB"),
        "opencv": lambda _: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB),
        "torchvision": lambda _: torchvision.io.decode_jpeg(encoded),
        "simplejpeg, to the crop's last row": lambda _: upper_rows(data, top + 224),
    }
    try:
        import pyvips
    except ImportError:
        pass
    else:
        found["pyvips, the crop alone"] = lambda _: (
            pyvips.Image.new_from_file(str(path), access="sequential").crop(left, top, 224, 224)
        ).numpy()
    rounds = 3 if size[0] > 1000 else 7
    given = [0] * (8 if size[0] > 1000 else 60)
    return {name: milliseconds(decode, given, rounds=rounds) for name, decode in found.items()}


if __name__ == "__main__":
    main()
