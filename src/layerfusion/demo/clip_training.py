"""Train `clip-nano`, the demo's OpenCLIP model, on scenes and captions; it never sees a fake.

The contrastive loss is OpenCLIP's. Half of each picture's patches are dropped until the learning
rate falls, which halves the work (Li et al. 2023, "Scaling language-image pre-training via
masking", CVPR); the last steps see all patches, as evaluation does.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.loss import ClipLoss
from open_clip.transformer import PatchDropout
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from layerfusion.demo.pairs import Pair, draw_pairs
from layerfusion.demo.tokenizer import tokenize
from layerfusion.files import in_place_of
from layerfusion.model.weights import model_config
from layerfusion.progress import Reporter

MODEL = "clip-nano"
CROP = 64


@dataclass(frozen=True)
class ClipTraining:
    """Settings of the training; a checkpoint holds them, and goes on only with the same."""

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
    """Train the model, going on from `checkpoint` where it exists.

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


def build_clip() -> open_clip.CLIP:
    """Return an untrained `clip-nano`, both towers, that can drop patches."""
    config = model_config(MODEL)
    vision = config["vision_cfg"] | {"patch_dropout": 0.5}  # the share is set anew before use
    return open_clip.CLIP(
        config["embed_dim"], vision, config["text_cfg"], quick_gelu=config["quick_gelu"]
    )


def set_patch_dropout(model: open_clip.CLIP, share: float) -> None:
    """Make the visual tower drop a share of the patches while it trains."""
    dropout = model.visual.patch_dropout
    assert isinstance(dropout, PatchDropout)
    dropout.prob = share


def save_clip(model: open_clip.CLIP, path: Path) -> None:
    """Write both towers as float16 safetensors; `path` is complete or what it was before."""
    tensors = {name: t.detach().half().contiguous() for name, t in model.state_dict().items()}
    with in_place_of(path) as partial:
        save_file(tensors, partial)


def normalise(images: Tensor) -> Tensor:
    """Return uint8 images (batch, 3, h, w) as float32 with CLIP's mean and deviation removed."""
    shape = (1, 3, 1, 1)
    mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN, device=images.device).view(shape)
    std = torch.tensor(open_clip.OPENAI_DATASET_STD, device=images.device).view(shape)
    return (images.float() / 255 - mean) / std


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
