"""What `clip-nano` understands: zero-shot classification and retrieval of held-out scenes."""

from collections.abc import Sequence

import numpy as np
import open_clip
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from clip_model import CROP, normalise
from clip_pairs import Pair, draw_pairs
from clip_tokens import tokenize
from layerfusion.demo.scenes import MATERIALS, SHAPES
from layerfusion.demo.surfaces import BACKDROPS, COLOURS, GROUNDS, LIGHTS

# Every draw of a held-out pair differs from the training's ([seed, 1]) by its second number.
HELD_OUT = (0, 2)


def evaluate_clip(model: open_clip.CLIP, *, pairs: int = 1000) -> pd.DataFrame:
    """Measure top-1 accuracy on held-out scenes, from their central 64 px.

    Zero-shot (Radford et al. 2021, "Learning transferable visual models from natural language
    supervision", section 3.1): an image's class is that of the nearest prompt, a class's feature
    the mean over its prompts. Only scenes with one group of things count. Retrieval asks for the
    image's own complete caption among those of all held-out images.

    Returns
    -------
    DataFrame
        A row a task: ``task``, ``classes``, ``images``, ``top1`` and ``chance`` (the share of the
        commonest class), both in [0, 1].
    """
    held_out = draw_pairs(HELD_OUT, pairs)
    images = _encode_images(model, held_out)
    single = [index for index, pair in enumerate(held_out) if len(pair.scene.groups) == 1]
    rows = [
        _zero_shot(model, task, classes, images[single], [held_out[index] for index in single])
        for task, classes in TASKS.items()
    ]
    captions = _encode_captions(model, [pair.caption() for pair in held_out])
    found = (images @ captions.T).argmax(dim=1) == torch.arange(pairs)
    rows.append(("caption", pairs, pairs, float(found.float().mean()), 1 / pairs))
    return pd.DataFrame(rows, columns=["task", "classes", "images", "top1", "chance"])


TASKS: dict[str, Sequence[str]] = {
    "shape": SHAPES,
    "colour": tuple(COLOURS),
    "material": MATERIALS,
    "ground": tuple(GROUNDS),
    "backdrop": tuple(BACKDROPS),
    "light": tuple(LIGHTS),
}


def _prompts(task: str, name: str) -> list[str]:
    """Return a class's prompts: the word where captions have it, with every shape or colour."""
    if task == "shape":
        singles = [f"photo of a {colour} {name}" for colour in COLOURS]
        return singles + [f"photo of two {colour} {name}s" for colour in COLOURS]
    template = {
        "colour": "photo of a {name} {shape}",
        "material": "photo of a {name} {shape}",
        "ground": "photo of a {shape} on {name}",
        "backdrop": "photo of a {shape} before {name}",
        "light": "photo of a {shape} in {name}",
    }[task]
    return [template.format(name=name, shape=shape) for shape in SHAPES]


def _label(pair: Pair, task: str) -> str:
    owner = pair.scene.groups[0][0] if task in ("shape", "colour", "material") else pair.scene
    return str(getattr(owner, task))


def _zero_shot(
    model: open_clip.CLIP, task: str, classes: Sequence[str], images: Tensor, pairs: list[Pair]
) -> tuple[str, int, int, float, float]:
    prompts = [_encode_captions(model, _prompts(task, name)).mean(dim=0) for name in classes]
    nearest = (images @ F.normalize(torch.stack(prompts), dim=1).T).argmax(dim=1)
    labels = np.array([classes.index(_label(pair, task)) for pair in pairs])
    chance = np.bincount(labels).max() / len(labels)
    return task, len(classes), len(pairs), float((nearest.numpy() == labels).mean()), float(chance)


def _encode_images(model: open_clip.CLIP, pairs: list[Pair]) -> Tensor:
    crops = np.stack([_centre(pair.picture).transpose(2, 0, 1) for pair in pairs])
    features = []
    with torch.inference_mode():
        for start in range(0, len(crops), 256):
            batch = torch.from_numpy(crops[start : start + 256])
            features.append(model.encode_image(normalise(batch), normalize=True))
    return torch.cat(features)


def _encode_captions(model: open_clip.CLIP, captions: list[str]) -> Tensor:
    with torch.inference_mode():
        features: Tensor = model.encode_text(tokenize(captions), normalize=True)
    return features


def _centre(picture: np.ndarray) -> np.ndarray:
    top, left = ((side - CROP) // 2 for side in picture.shape[:2])
    return picture[top : top + CROP, left : left + CROP]
