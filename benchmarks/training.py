"""What a forward pass and training take beside the obvious way to write them, and what images cost.

CLIP ViT-B/16 with two trained blocks on photographs, this project and `reference/` in turns: the
forward pass and a training step on images from memory, and training from files by a loader's
workers. The share of its time that images take is what the last two differ by: waiting for them,
the start of the workers and, on a processor, the cores that these have from the training. Stops if
the logits of both differ. Writes `results/training-<device>.json`.

    python benchmarks/training.py --images DIR
"""

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import open_clip
import pandas as pd
import torch
from keeping import circumstances, keep, of_device, photographs_parser, spread
from reference import encoder as reference
from reference import preparation
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from layerfusion.data.loading import (
    Draw,
    TrainingBatch,
    TrainingImages,
    training_batches,
    worker_count,
)
from layerfusion.images.finding import files_below
from layerfusion.model.detector import Detector
from layerfusion.model.weights import set_activation
from layerfusion.parallel.processes import join_processes, open_fabric
from layerfusion.provenance import device_name
from layerfusion.settings import Profile, load_profile
from layerfusion.training.loop import build_optimizer, optimization_step

SAME = 1e-4  # of logits: sums of another order
OVERRIDES = {
    "encoder.trained_blocks": 2,
    "encoder.prefix_precision": "float32",
    "training.views": None,
}


def main() -> None:
    """Print a row a kind of work, and keep them with date and hardware."""
    parser = photographs_parser(__doc__)
    parser.add_argument("--steps", type=int, default=4, help="of a round")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    chosen = parser.parse_args()
    profile = load_profile("photographs", OVERRIDES | {"training.precision": chosen.precision})
    names = sorted(files_below(chosen.images).images)
    wanted = chosen.steps * profile.training.batch_size
    if len(names) < wanted:
        raise SystemExit(f"{chosen.images} holds {len(names)} images, and {wanted} are needed")
    found, own = circumstances(), Ours(profile)
    both = own, Obvious(profile, own.detector)
    files = [chosen.images / name for name in names[:: len(names) // wanted][:wanted]]
    moved = difference(*both, files[: profile.training.batch_size])
    rows = list(compared(both, files, chosen.rounds))
    found |= {
        "device": device_name(own.fabric.device),
        "precision": chosen.precision,
        "batch": profile.training.batch_size,
        "steps": chosen.steps,
        "workers": worker_count(profile.loader),
        "logits_differ_by": moved,
        "measured": rows,
    }
    print(*rows, sep="\n")
    keep(of_device("training", own.fabric.device), found)


class Ours:
    """The project's detector, its loader and its step."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.fabric = open_fabric(profile.training.precision)
        self.detector = Detector.build(profile.encoder, profile.head, profile.images)
        self.model, self.adam = self.fabric.setup(
            self.detector, build_optimizer(self.detector, profile.training)
        )

    def batches(self, files: list[Path]) -> Iterator[TrainingBatch]:
        """Yield batches of augmented images."""
        rows = pd.DataFrame({"path": [str(file) for file in files], "label": 0})
        images = TrainingImages(Path(), rows, self.profile.images, seed=0)
        return training_batches(
            images,
            [Draw(row, 0, row) for row in range(len(files))],
            batch_size=self.profile.training.batch_size,
            loader=self.profile.loader,
            processes=join_processes(),
        )

    def step(self, batch: TrainingBatch) -> None:
        """Train."""
        norm = self.profile.training.clip_norm
        optimization_step(self.fabric, self.model, self.adam, batch, clip_norm=norm)

    def forward(self, batch: TrainingBatch) -> Tensor:
        """Return logits, shape (n,)."""
        with torch.inference_mode():
            return torch.as_tensor(self.model(self.fabric.to_device(batch.images)))


class Obvious:
    """Hooks on the whole of CLIP, torchvision's transforms, a plain loop; the same weights."""

    def __init__(self, profile: Profile, detector: Detector) -> None:
        self.profile = profile
        self.fabric = open_fabric(profile.training.precision)
        clip = open_clip.create_model(profile.encoder.model)
        clip.visual.load_state_dict(detector.encoder.visual.state_dict())
        set_activation(clip.visual, detector.activation)
        model = reference.HookedDetector(
            clip, copy.deepcopy(detector.head), profile.encoder.trained_blocks
        )
        rates = profile.training.head_learning_rate, profile.training.backbone_learning_rate
        self.model, self.adam = self.fabric.setup(model, reference.optimizer(model, *rates))

    def batches(self, files: list[Path]) -> Iterator[TrainingBatch]:
        """Yield batches of augmented images, normalised."""
        loader = DataLoader(
            _Prepared(files),
            batch_size=self.profile.training.batch_size,
            num_workers=worker_count(self.profile.loader),
            pin_memory=torch.cuda.is_available(),
        )
        for images in loader:
            yield TrainingBatch(images, torch.zeros(len(images)), 1.0, len(images))

    def step(self, batch: TrainingBatch) -> None:
        """Train."""
        images, labels = (self.fabric.to_device(each) for each in batch[:2])
        reference.step(self.model, self.adam, images, labels)

    def forward(self, batch: TrainingBatch) -> Tensor:
        """Return logits, shape (n,)."""
        with torch.no_grad():
            return torch.as_tensor(self.model(self.fabric.to_device(batch.images)))


class _Prepared(Dataset[Tensor]):
    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        return preparation.training(self.files[index])


def compared(
    both: tuple[Ours, Obvious], files: list[Path], rounds: int
) -> Iterator[dict[str, Any]]:
    """Yield images a second of both and the ratios of the rounds, then what images took."""
    given = [list(one.batches(files)) for one in both]
    works: dict[str, Callable[[int], float]] = {
        "forward pass": lambda n: _timed(both[n], both[n].forward, given[n]),
        "training step": lambda n: _timed(both[n], both[n].step, given[n]),
        "training from files": lambda n: _timed(both[n], both[n].step, both[n].batches(files)),
    }
    taken: dict[str, list[list[float]]] = {name: [[], []] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            # In turns who is first: what was done before may slow what comes next.
            for which in (0, 1) if turn % 2 else (1, 0):
                both[which].model.train(name != "forward pass")
                seconds = work(which)
                if turn:  # the first warms up
                    taken[name][which].append(seconds)
    for name, (own, other) in taken.items():
        yield {
            "work": name,
            "per_second": spread([len(files) / seconds for seconds in own]),
            "reference_per_second": spread([len(files) / seconds for seconds in other]),
            "ratio": spread([b / a for a, b in zip(own, other, strict=True)]),
        }
    for name, memory, files_too in zip(
        ("ours", "reference"), taken["training step"], taken["training from files"], strict=True
    ):
        shares = [1 - step / whole for step, whole in zip(memory, files_too, strict=True)]
        what = f"share of training from files that images take, {name}"
        yield {"work": what, "share": spread(shares)}


def difference(own: Ours, other: Obvious, files: list[Path]) -> float:
    """Return the largest difference of logits on the same pixels, before anything is trained.

    Raises
    ------
    SystemExit
        If it is more than sums of another order come to.
    """
    own.model.eval(), other.model.eval()
    (batch,) = own.batches(files)
    mean, std = (
        torch.tensor(values).view(3, 1, 1) for values in (preparation.MEAN, preparation.STD)
    )
    normalised = batch._replace(images=(batch.images.cpu() / 255 - mean) / std)
    moved = float((own.forward(batch) - other.forward(normalised)).abs().max())
    if moved > SAME and own.profile.training.precision == "fp32":
        raise SystemExit(f"the logits of both ways differ by {moved}")
    return moved


def _timed(
    one: Ours | Obvious,
    work: Callable[[TrainingBatch], Any],
    batches: Iterable[TrainingBatch],
) -> float:
    """Return the seconds of some work on all batches, until the device has done it."""
    begun = time.perf_counter()
    for batch in batches:
        work(batch)
    if one.fabric.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
