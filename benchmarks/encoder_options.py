"""What the settings of an encoder's forward pass on a CPU gain, and what they do to logits.

The default detector (CLIP ViT-B/16) scores photographs from memory: as it does by default, and in
turn with each option, batch by batch. Ratios are of one round. The logits of every option are held
against those of the default one. Writes `results/encoder_options.json`.

    python benchmarks/encoder_options.py --images DIR
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from keeping import circumstances, keep, matmul_rate, photographs_parser, spread
from torch import Tensor

from layerfusion.data.loading import EvaluationImages, scoring_batches
from layerfusion.images.finding import files_below
from layerfusion.model.detector import Detector
from layerfusion.scoring.detectors import detector_folder
from layerfusion.settings import LoaderSettings

MATRIX = 2048  # side of the square matrices whose product stands for what the processor can do
BATCHES = (1, 4, 16)

Score = Callable[[Tensor], Tensor]


def main() -> None:
    """Print a row a batch and option, and keep them with date and hardware."""
    parser = photographs_parser(__doc__)
    parser.add_argument("--count", type=int, default=32)
    chosen, found = parser.parse_args(), circumstances()
    paths = [chosen.images / name for name in sorted(files_below(chosen.images).images)]
    pixels = prepared(paths[:: max(len(paths) // chosen.count, 1)][: chosen.count])
    rows = [row for batch in BATCHES for row in measured(pixels, batch, chosen.rounds)]
    rates = {str(kind).removeprefix("torch."): matmul_rate(kind, MATRIX) for kind in KINDS}
    found |= {
        "images": len(pixels),
        "rounds": chosen.rounds,
        "measured": rows,
        "matmul_tflops": {kind: rate / 1e12 for kind, rate in rates.items()},
    }
    print(*rows, sep="\n")
    keep("encoder_options", found)


def prepared(paths: list[Path]) -> Tensor:
    """Return images as the detector takes them, uint8, (n, 3, s, s)."""
    detector = Detector.load(detector_folder())
    images = EvaluationImages(paths, detector.image_settings)
    batches = scoring_batches(images, LoaderSettings(workers=0))
    return torch.cat([batch.images for batch in batches if batch.images is not None])


def as_it_is(detector: Detector) -> Score:
    """Return the default: float32, inference mode, a thread a core."""
    return torch.inference_mode()(detector)


def no_grad(detector: Detector) -> Score:
    """Return what many write instead of inference mode."""
    return torch.no_grad()(detector)


def channels_last(detector: Detector) -> Score:
    """Return the default with images and the patch embedding's weights in channels-last memory."""
    detector = detector.to(memory_format=torch.channels_last)
    return torch.inference_mode()(
        lambda images: detector(images.contiguous(memory_format=torch.channels_last))
    )


def one_thread(detector: Detector) -> Score:
    """Return the default on one core."""

    @torch.inference_mode()
    def score(images: Tensor) -> Tensor:
        with threads(1):
            return torch.as_tensor(detector(images))

    return score


def compiled(detector: Detector) -> Score:
    """Return the default, compiled by torch's Inductor."""
    return torch.inference_mode()(torch.compile(detector))


def bfloat16(detector: Detector) -> Score:
    """Return the default with frozen blocks in bfloat16, as `encoder.prefix_precision` has them."""
    settings = detector.encoder_settings.model_copy(update={"prefix_precision": "bfloat16"})
    changed = Detector.build(settings, detector.head_settings, detector.image_settings)
    changed.head.load_state_dict(detector.head.state_dict())
    return torch.inference_mode()(changed.eval())


OPTIONS = {
    "float32, inference mode (default)": as_it_is,
    "no_grad instead of inference mode": no_grad,
    "channels last": channels_last,
    "one thread": one_thread,
    "torch.compile": compiled,
    "bfloat16 weights": bfloat16,
}
KINDS = (torch.float32, torch.bfloat16)


def measured(pixels: Tensor, batch: int, rounds: int) -> list[dict[str, Any]]:
    """Return a row an option: images a second, times the default's, and how far logits move."""
    batches = pixels.split(batch)[: max(1, 8 // batch)]
    folder = detector_folder()
    ways = {name: option(Detector.load(folder).eval()) for name, option in OPTIONS.items()}
    logits = {name: torch.cat([way(one) for one in batches]) for name, way in ways.items()}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.perf_counter()
            for one in batches:
                way(one)
            taken[name].append(time.perf_counter() - begun)
    default = next(iter(ways))
    count = sum(map(len, batches))
    return [
        {
            "batch": batch,
            "option": name,
            "images_per_second": spread([count / one for one in seconds]),
            "times_default": spread([a / b for a, b in zip(taken[default], seconds, strict=True)]),
            "logit_moves_by": float((logits[name] - logits[default]).abs().max()),
        }
        for name, seconds in taken.items()
    ]


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Have torch compute with so many threads while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main()
