"""Digests of what the demo computes, to know whether another processor has the same last bits.

Run as it is, and under an emulator of another processor; equal digests are equal bits::

    python benchmarks/last_bits.py
    qemu-x86_64 -cpu Skylake-Client "$(command -v python)" benchmarks/last_bits.py

Pictures of every camera, generator and platform, the class tokens of the encoder, the logits of a
detector, and its trained tensors after two steps of training. Minutes under an emulator.
"""

import hashlib
import json

import numpy as np
import torch
from numpy.typing import NDArray

from layerfusion.arithmetic import arithmetic, use_arithmetic
from layerfusion.data.loading import TrainingBatch
from layerfusion.demo.pictures import Picture, make, plan
from layerfusion.model.detector import Detector
from layerfusion.parallel.processes import open_fabric
from layerfusion.settings import ComputeSettings, WorldSource, load_profile
from layerfusion.training.loop import build_optimizer, optimization_step

STEPS, BATCH = 2, 16


def digest(*arrays: NDArray[np.generic] | bytes) -> str:
    """Return the first digits of a sha256 over all bytes."""
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(array if isinstance(array, bytes) else np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()[:12]


def pictures() -> str:
    """Return the digest of one picture of each camera, generator and platform."""
    kinds: dict[tuple[str | None, ...], Picture] = {}
    for picture in plan(WorldSource(kind="world", train_per_class=40, evaluation_per_class=40)):
        kinds.setdefault((picture.camera, picture.generator, picture.platform), picture)
    return digest(*(make(picture) for picture in kinds.values()))


def training() -> dict[str, str]:
    """Return the digests of tokens, logits and two training steps on drawn noise."""
    profile, rng = load_profile("demo"), np.random.default_rng(0)
    detector = Detector.build(profile.encoder, profile.head, profile.images, seed=1)
    fabric = open_fabric("fp32")
    model, optimizer = fabric.setup(detector, build_optimizer(detector, profile.training))
    images = torch.from_numpy(rng.integers(0, 256, (BATCH, 3, 64, 64), dtype=np.uint8))
    labels = torch.arange(BATCH).remainder(2).float()
    with torch.no_grad():
        normalised = (images.float() / 255 - detector.mean) / detector.std
        tokens, logits = detector.eval().encoder(normalised), model(images)
    found = {"class_tokens": digest(tokens.numpy()), "logits": digest(logits.numpy())}
    model.train()
    for step in range(STEPS):
        torch.manual_seed(step)
        batch = TrainingBatch(images, labels, 1.0, BATCH)
        optimization_step(fabric, model, optimizer, batch, clip_norm=1.0)
    trained = (tensor.detach().numpy() for tensor in detector.trained_parameters().values())
    return {**found, f"after_{STEPS}_steps": digest(*trained)}


def main() -> None:
    """Print the digests, and what they were computed with, as JSON."""
    use_arithmetic(ComputeSettings(instructions="portable", threads=1))
    found = {**training(), "pictures": pictures(), "arithmetic": arithmetic()}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
