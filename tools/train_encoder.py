"""Train `clip-nano`, the demo's OpenCLIP model, on scenes and captions; it never sees a fake.

The contrastive loss is OpenCLIP's. Half of each picture's patches are dropped until the learning
rate falls, which halves the work (Li et al. 2023, "Scaling language-image pre-training via
masking", CVPR); the last steps see all patches, as evaluation does.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.loss import ClipLoss
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from clip_evaluation import evaluate_clip
from clip_model import CROP, MODEL, build_clip, load_clip, normalise, save_clip, set_patch_dropout
from clip_pairs import Pair, draw_pairs
from clip_tokens import tokenize
from layerfusion.errors import UserError
from layerfusion.files import in_place_of, write_checksums
from layerfusion.model.weights import embedded_weights
from layerfusion.paths import reference_folder, runs_root, shown
from layerfusion.progress import Reporter


@dataclass(frozen=True)
class ClipTraining:
    """Settings of the training; a checkpoint holds them, and resumes only with the same."""

    seed: int = 0
    pairs: int = 16_000
    batch_size: int = 256
    steps: int = 800
    warmup_steps: int = 60
    decay_steps: int = 160
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.1
    patch_dropout: float = 0.5
    checkpoint_steps: int = 50

    def shortened(self, steps: int) -> "ClipTraining":
        """Return settings of fewer steps, warm-up and decay in proportion, and fewer pairs."""
        part = steps / self.steps
        return replace(
            self,
            steps=steps,
            warmup_steps=max(round(self.warmup_steps * part), 1),
            decay_steps=max(round(self.decay_steps * part), 1),
            pairs=max(round(self.pairs * part), self.batch_size),
        )

    def dropped(self, step: int) -> float:
        """Return the share of patches that a step does without: none once the rate falls."""
        return self.patch_dropout if step < self.steps - self.decay_steps else 0.0

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, from 0: warm-up, constant, linear to zero."""
        up = (step + 1) / self.warmup_steps
        down = (self.steps - step) / self.decay_steps
        return self.learning_rate * min(up, down, 1.0)


def train_clip(
    settings: ClipTraining, *, checkpoint: Path, device: str = "cpu", reporter: Reporter
) -> open_clip.CLIP:
    """Train the model; resume from `checkpoint` where it exists.

    Returns
    -------
    CLIP
        In evaluation mode, on the CPU, every patch seen. The same settings on the same machine
        give the same weights, also after an interruption.
    """
    torch.manual_seed(settings.seed)
    model = build_clip().to(device)
    optimizer = torch.optim.AdamW(_groups(model, settings), lr=0.0, betas=(0.9, 0.98))
    first = _restore(checkpoint, settings, model, optimizer)
    with reporter.bar("drawing pairs", 0):
        pairs = draw_pairs([settings.seed, 1], settings.pairs)
    batches = _batches(pairs, settings, first)
    with reporter.bar("training clip-nano", settings.steps) as bar:
        for step, (images, tokens) in enumerate(batches, start=first):
            torch.manual_seed(settings.seed + 1_000_003 * (step + 1))  # patch dropout's draws
            set_patch_dropout(model, settings.dropped(step))
            for group in optimizer.param_groups:
                group["lr"] = settings.rate(step)
            loss = _take_step(model, optimizer, images.to(device), tokens.to(device))
            bar(step + 1, settings.steps)
            if (step + 1) % settings.checkpoint_steps == 0:
                reporter.say(f"step {step + 1}: loss {loss:.3f}")
                _save_checkpoint(checkpoint, settings, model, optimizer, step + 1)
    set_patch_dropout(model, 0.0)
    return model.cpu().eval()


def _take_step(
    model: open_clip.CLIP, optimizer: torch.optim.Optimizer, images: Tensor, tokens: Tensor
) -> float:
    """Make one update from images, uint8 (batch, 3, h, w), and their captions; return the loss."""
    # The fused attention kernels are slower than plain products for so few tokens.
    with torch.autocast(images.device.type, dtype=torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        features = model(normalise(images), tokens)
    loss: Tensor = ClipLoss()(*(feature.float() for feature in features[:3]))
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    model.logit_scale.data.clamp_(0, math.log(100))
    return float(loss.detach())


def _groups(model: nn.Module, settings: ClipTraining) -> list[dict[str, object]]:
    """Return parameter groups: matrices decay, gains, biases and positions do not."""
    matrices = [p for name, p in model.named_parameters() if p.ndim > 1 and "embedding" not in name]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _batches(
    pairs: list[Pair], settings: ClipTraining, first: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield random crops, uint8 (batch, 3, 64, 64), and tokens; each step has its own seed."""
    for step in range(first, settings.steps):
        rng = np.random.default_rng([settings.seed, 3, step])
        chosen = rng.choice(len(pairs), settings.batch_size, replace=False)
        crops = [_crop(pairs[index].picture, rng) for index in chosen]
        captions = [pairs[index].caption(rng) for index in chosen]
        yield torch.from_numpy(np.stack(crops)), tokenize(captions)


def _crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    top = rng.integers(picture.shape[0] - CROP + 1)
    left = rng.integers(picture.shape[1] - CROP + 1)
    crop = picture[top : top + CROP, left : left + CROP]
    return np.ascontiguousarray((crop[:, ::-1] if rng.random() < 0.5 else crop).transpose(2, 0, 1))


def _save_checkpoint(
    path: Path,
    settings: ClipTraining,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "settings": vars(settings),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
    }
    with in_place_of(path) as partial:
        torch.save(state, partial)


def _restore(
    path: Path, settings: ClipTraining, model: nn.Module, optimizer: torch.optim.Optimizer
) -> int:
    """Load a checkpoint of the same settings and return its step; 0 where there is none."""
    if not path.exists():
        return 0
    saved = torch.load(path, map_location="cpu", weights_only=True)
    if saved["settings"] != vars(settings):
        return 0
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return int(saved["step"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the encoder, or take trained weights, and measure its zero-shot accuracy.

    Raises
    ------
    UserError
        If a trial would replace the package's own weights, or the folder to write in is missing.
    """
    parser = argparse.ArgumentParser(
        description="Train clip-nano on scenes and captions: under an hour on 2 cores. "
        "An interrupted training resumes when called again."
    )
    parser.add_argument("--steps", type=int, help="Number of steps of a trial, with --out.")
    parser.add_argument("--out", type=Path, help="File to write. [default: the package's own]")
    parser.add_argument("--measure", action="store_true", help="Measure the weights; do not train.")
    chosen = parser.parse_args(arguments)
    path = chosen.out or embedded_weights(MODEL)
    if not chosen.measure:
        _train_and_save(chosen.steps, path, trial_allowed=chosen.out is not None)
    table = evaluate_clip(load_clip(path))
    if chosen.out is None:  # the book shows what the package's own weights understand
        reference = reference_folder("demo")
        table.to_csv(reference / "clip-nano.csv", index=False)
        write_checksums(reference)
    print(table.round(4).to_string(index=False))
    print(f"encoder: {shown(path)}")


def _train_and_save(steps: int | None, path: Path, *, trial_allowed: bool) -> None:
    if steps is not None and not trial_allowed:
        raise UserError("a trial would replace the package's own weights; name another with --out")
    if steps is not None and steps < 2:
        raise UserError(f"--steps is {steps}; a training takes at least 2")
    if not path.absolute().parent.is_dir():
        raise UserError(f"the folder of --out {path} does not exist; make it first")
    model = train_clip(
        ClipTraining() if steps is None else ClipTraining().shortened(steps),
        checkpoint=runs_root() / "demo" / "clip-nano.checkpoint",
        device="cuda" if torch.cuda.is_available() else "cpu",
        reporter=Reporter(),
    )
    save_clip(model, path)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
