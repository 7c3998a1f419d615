"""Time and memory of the paper's model at full size, on whatever device this machine has.

ViT-L/14 at 224 px with random weights (time and memory do not depend on their values), batch 16, as
`layerfusion train --profile paper` would compute: both activations, every precision that the device
has, each measured in a process of its own. Writes `results/full_size-<device>.json` beside this
file.

    python benchmarks/full_size.py [--steps 20]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from keeping import circumstances, keep, matmul_rate, of_device
from PIL import Image

from layerfusion.arithmetic import deterministic
from layerfusion.data.loading import (
    Draw,
    TrainingBatch,
    TrainingImages,
    training_batches,
    worker_count,
)
from layerfusion.model.detector import Detector
from layerfusion.parallel.processes import Processes, open_fabric
from layerfusion.provenance import device_name, peak_memory_mib
from layerfusion.settings import Profile, load_profile
from layerfusion.training.loop import build_optimizer, optimization_step

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16} | (
    {"fp16": torch.float16} if CUDA else {}
)
ACTIVATIONS = ("quick_gelu", "gelu")

# The paper, section 3: images, epochs, validation images.
RUNS = {"constrained": 150_000, "open": 270_000}
VALIDATION_IMAGES = 10_000

# Side of the square matrices whose product stands for what the device can do at most.
MATRIX = 8192 if CUDA else 2048
# Images that the loader reads for its own measurement: as large as most of COCO's.
LOADER_IMAGES, LOADER_SIZE = (2048 if CUDA else 256), (640, 480)


def main() -> None:
    """Measure every configuration in a process of its own and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20 if CUDA else 2, help="timed ones")
    parser.add_argument("--measure", nargs=2, metavar=("ACTIVATION", "PRECISION"))
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(*given.measure, steps=given.steps)))
        return
    loader = measure_loader(load_profile("paper"))
    measured: list[dict[str, Any]] = []
    found = circumstances() | {
        "device": device_name(DEVICE), "kind": DEVICE.type, "loader": loader,
        "model": "ViT-L-14, 224 px, weights random", "measured": measured,
    }  # fmt: skip
    for activation in ACTIVATIONS:
        for precision in PRECISIONS:
            print(f"measuring {activation}, {precision} on {device_name(DEVICE)}", file=sys.stderr)
            command = [sys.executable, __file__, "--measure", activation, precision]
            command += ["--steps", str(given.steps)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            result = json.loads(done.stdout.splitlines()[-1])
            measured.append(result | {"projection": project(result, loader)})
            # Anew after each: what was measured is kept if a later one fails or takes too long.
            keep(of_device("full_size", DEVICE), found)


def measure(activation: str, precision: str, *, steps: int) -> dict[str, Any]:
    """Measure training and scoring in this process; all times are those of one device."""
    overrides = {
        "encoder.weights": "random",
        "encoder.activation": activation,
        "training.precision": precision,
    }
    profile = load_profile("paper", overrides)
    fabric = open_fabric(precision)
    detector = Detector.build(profile.encoder, profile.head, profile.images)
    optimizer = build_optimizer(detector, profile.training)
    model, optimizer = fabric.setup(detector, optimizer)
    # A CPU needs little warming, and is no faster with a larger batch to score.
    batch, few = (random_batch(size, profile) for size in (profile.training.batch_size, 2))
    images = random_batch(profile.loader.evaluation_batch_size if CUDA else 8, profile).images

    def step(batch: TrainingBatch) -> None:
        norm = profile.training.clip_norm
        optimization_step(fabric, model, optimizer, batch, clip_norm=norm)

    with deterministic():
        model.train()
        training = timed(lambda: step(batch), steps, warm_up=lambda: step(batch if CUDA else few))
        memory = peak_memory_mib()
        if CUDA:
            torch.cuda.reset_peak_memory_stats()
        model.eval()
        with torch.inference_mode():
            scoring = timed(
                lambda: model(fabric.to_device(images)),
                steps,
                warm_up=lambda: model(fabric.to_device(images if CUDA else few.images)),
            )
    flops = {
        "training": training_flops(detector) * len(batch.images),
        "scoring": scoring_flops(detector) * len(images),
    }
    peak = matmul_rate(PRECISIONS[precision], MATRIX, DEVICE)
    bf16 = matmul_rate(torch.bfloat16, MATRIX, DEVICE)
    return {
        "activation": detector.activation,
        "precision": precision,
        "parameters": detector.parameter_counts(),
        "training": report(training, len(batch.images), flops["training"], peak, bf16),
        "scoring": report(scoring, len(images), flops["scoring"], peak, bf16),
        "peak_memory_mib": memory,
        "peak_memory_scoring_gpu_mib": peak_memory_mib()["gpu"],
        "matmul_tflops": {"this precision": peak / 1e12, "bf16": bf16 / 1e12},
        "load_average": os.getloadavg(),
    }


def random_batch(size: int, profile: Profile) -> TrainingBatch:
    """Return a batch of noise, on the CPU, as the loader gives it."""
    crop = profile.images.crop
    images = torch.randint(0, 256, (size, 3, crop, crop), dtype=torch.uint8)
    labels = torch.arange(size).remainder(2).float()
    return TrainingBatch(images.pin_memory() if CUDA else images, labels, 1.0, size)


def timed(
    work: Callable[[], Any], repeats: int, *, warm_up: Callable[[], Any]
) -> list[tuple[float, float]]:
    """Return (wall seconds, CPU seconds of this process) of every repeat, after a warm-up."""
    for _ in range(5 if CUDA else 1):
        warm_up()
    times = []
    for _ in range(repeats):
        synchronize()
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        synchronize()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return times


def synchronize() -> None:
    """Wait until the GPU has done what it was given."""
    if CUDA:
        torch.cuda.synchronize()


def report(
    times: list[tuple[float, float]], images: int, flops: float, peak: float, bf16: float
) -> dict[str, Any]:
    """Summarise repeats of work on so many images."""
    wall = statistics.median(wall for wall, _ in times)
    return {
        "repeats": len(times),
        "batch": images,
        "seconds": wall,
        "seconds_all": [wall for wall, _ in times],
        "cpu_seconds": statistics.median(cpu for _, cpu in times),
        "images_per_second": images / wall,
        "tflops": flops / wall / 1e12,
        "share_of_matmul_peak": flops / wall / peak,
        "share_of_bf16_matmul_peak": flops / wall / bf16,
    }


def scoring_flops(detector: Detector) -> float:
    """Return the floating-point operations of one image's forward pass, matrix products alone."""
    visual = detector.encoder.visual
    patches = visual.positional_embedding.shape[0] - 1
    embedding = 2 * patches * visual.conv1.weight.numel()
    return embedding + detector.encoder.depth * block_flops(detector)


def training_flops(detector: Detector) -> float:
    """Return those of one image's training: the trained blocks' backward pass costs them twice."""
    return scoring_flops(detector) + 2 * detector.encoder.trained_blocks * block_flops(detector)


def block_flops(detector: Detector) -> float:
    """Return those of one block: 12 d^2 weights a token, and two products of n x n x d."""
    n, d = detector.encoder.visual.positional_embedding.shape
    return 2 * n * 12 * d**2 + 4 * n**2 * d


def measure_loader(profile: Profile) -> dict[str, Any]:
    """Measure how many training images a second the loader reads, augments and hands over."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for index in range(16):
            small = Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
            large = small.resize(LOADER_SIZE, Image.Resampling.BICUBIC)
            large.save(Path(folder) / f"{index}.jpg", quality=90)
        rows = pd.DataFrame({"path": [f"{i}.jpg" for i in range(16)], "label": [0, 1] * 8})
        images = TrainingImages(Path(folder), rows, profile.images, seed=0)
        draws = [Draw(index % 16, 0, index) for index in range(LOADER_IMAGES)]
        begun = time.perf_counter()
        for _ in training_batches(
            images,
            draws,
            batch_size=profile.training.batch_size,
            loader=profile.loader,
            processes=Processes(),
        ):
            pass
        seconds = time.perf_counter() - begun
    return {
        "workers": worker_count(profile.loader),
        "images": LOADER_IMAGES,
        "size": LOADER_SIZE,
        "images_per_second": LOADER_IMAGES / seconds,
        "note": "JPEGs of smoothed noise from a warm disk cache; start of the workers included",
    }


def project(result: dict[str, Any], loader: dict[str, Any]) -> dict[str, Any]:
    """Project the paper's runs: computed from what was measured here, never run."""
    epochs = load_profile("paper").training.epochs
    rates = {
        name: min(result[name]["images_per_second"], loader["images_per_second"])
        for name in ("training", "scoring")
    }
    hours = {
        run: epochs * (images / rates["training"] + VALIDATION_IMAGES / rates["scoring"]) / 3600
        for run, images in RUNS.items()
    }
    return {
        "hours": hours,
        "bound_by": "loader" if rates["training"] == loader["images_per_second"] else "device",
        "note": f"a projection, not a run: {epochs} epochs and validations at the measured rates, "
        "of the device or of the loader, whichever is slower",
    }


if __name__ == "__main__":
    main()
