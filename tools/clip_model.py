"""The demo's OpenCLIP model `clip-nano`, with both towers: built, saved, loaded."""

from pathlib import Path

import open_clip
import torch
from open_clip.transformer import PatchDropout
from safetensors.torch import load_file, save_file
from torch import Tensor

from layerfusion.files import in_place_of
from layerfusion.model.weights import embedded_weights, model_config

MODEL = "clip-nano"
CROP = 64  # px


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


def load_clip(path: Path | None = None) -> open_clip.CLIP:
    """Return `clip-nano` with both towers, in float32 and evaluation mode.

    `path` is a safetensors file of its weights; None for those that come with the package.
    """
    model = build_clip()
    tensors = load_file(path or embedded_weights(MODEL))
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return model.eval()


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
