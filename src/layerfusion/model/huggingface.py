"""CLIP vision towers under the names that Hugging Face's transformers library gives them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from layerfusion.errors import UserError
from layerfusion.files import leads_out, read_text
from layerfusion.settings import Activation, Normalisation

# Every CLIP tower has it, and of the other models of that library none under this name.
CLASS_EMBEDDING = "embeddings.class_embedding"

# The first layer norm's name is misspelt in transformers, and some conversions mend it.
_OUTSIDE_BLOCKS = {
    CLASS_EMBEDDING: "class_embedding",
    "embeddings.patch_embedding.weight": "conv1.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "pre_layrnorm.weight": "ln_pre.weight",
    "pre_layrnorm.bias": "ln_pre.bias",
    "pre_layernorm.weight": "ln_pre.weight",
    "pre_layernorm.bias": "ln_pre.bias",
    "post_layernorm.weight": "ln_post.weight",
    "post_layernorm.bias": "ln_post.bias",
}
_IN_BLOCKS = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_PROJECTION = "visual_projection.weight"
_POSITION_IDS = "embeddings.position_ids"  # 0, 1, 2, ...: older versions saved them too
_BLOCK = re.compile(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_ATTENTION_INPUT = re.compile(r"self_attn\.([qkv])_proj")


def tower_prefix(names: Mapping[str, object]) -> str | None:
    """Return what the names of a CLIP vision tower begin with; None if there is no such tower.

    Usually ``vision_model.``; empty in files of the tower alone as newer versions save it.
    """
    for name in names:
        if name == CLASS_EMBEDDING or name.endswith(f".{CLASS_EMBEDDING}"):
            return name.removesuffix(CLASS_EMBEDDING)
    return None


def openclip_names(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return a vision tower's tensors under OpenCLIP's names and in its shapes.

    Queries, keys and values, three matrices here, are one in OpenCLIP: rows in that order. The
    output projection is transposed. Whatever lies outside the tower, as the text tower, is left
    out. Shapes are not checked against a model.

    Parameters
    ----------
    tensors
        By transformers' names.
    prefix
        As `tower_prefix` found it.

    Raises
    ------
    UserError
        If the tower has a tensor that CLIP's has not, or attention inputs of unequal shapes.
    """
    renamed: dict[str, Tensor] = {}
    attention: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        inside = name.removeprefix(prefix)
        if not name.startswith(prefix) or not _of_the_tower(inside, prefix):
            continue
        if target := _OUTSIDE_BLOCKS.get(inside):
            renamed[target] = tensor
            continue
        block, layer, kind = _place(inside, name)
        if part := _ATTENTION_INPUT.fullmatch(layer):
            attention.setdefault(f"{block}.attn.in_proj_{kind}", {})[part[1]] = tensor
        elif layer in _IN_BLOCKS:
            renamed[f"{block}.{_IN_BLOCKS[layer]}.{kind}"] = tensor
        else:
            raise UserError(f"the vision tower has '{name}', which CLIP's has not")
    projection = tensors.get(prefix.removesuffix("vision_model.") + _PROJECTION)
    if projection is not None and projection.ndim == 2:
        renamed["proj"] = projection.T.contiguous()
    return renamed | {name: _joined(name, parts) for name, parts in attention.items()}


def config_activation(path: Path) -> Activation | None:
    """Return the activation that a model's ``config.json`` beside its weights file names.

    None if there is none, or it is not a CLIP model's. Where a CLIP model's leaves it out it is
    QuickGELU, the default of transformers, which does not write defaults.

    Raises
    ------
    UserError
        If it names an activation that CLIP's towers are not built with.
    """
    config = _beside(path, "config.json")
    vision = config.get("vision_config")
    vision = vision if isinstance(vision, dict) else {}
    if not {config.get("model_type"), vision.get("model_type")} & {"clip", "clip_vision_model"}:
        return None
    named = vision.get("hidden_act", config.get("hidden_act", "quick_gelu"))
    if named == "quick_gelu":
        return "quick_gelu"
    if named == "gelu":
        return "gelu"
    raise UserError(
        f"the config.json of {path} names the activation '{named}'; a CLIP tower computes with "
        "quick_gelu or gelu"
    )


def config_normalisation(path: Path) -> Normalisation | None:
    """Return mean and standard deviation that ``preprocessor_config.json`` beside a file names.

    None if there is no such file, or it does not name three numbers each.
    """
    config = _beside(path, "preprocessor_config.json")
    try:
        mean, std = tuple(map(float, config["image_mean"])), tuple(map(float, config["image_std"]))
    except (KeyError, TypeError, ValueError):
        return None
    return (mean, std) if len(mean) == len(std) == 3 and min(std) > 0 else None


def _of_the_tower(inside: str, prefix: str) -> bool:
    """Say whether a name lies in the tower; where it has no prefix, others stand beside it."""
    if inside == _POSITION_IDS:
        return False
    return bool(prefix) or inside.startswith(("embeddings.", "encoder.", "pre_", "post_"))


def _place(inside: str, name: str) -> tuple[str, str, str]:
    """Split a name into block (as OpenCLIP calls it), layer (as here), and weight or bias."""
    found = _BLOCK.fullmatch(inside)
    if found is None:
        raise UserError(f"the vision tower has '{name}', which CLIP's has not")
    return f"transformer.resblocks.{int(found[1])}", found[2], found[3]


def _joined(name: str, parts: Mapping[str, Tensor]) -> Tensor:
    if len({part.shape for part in parts.values()}) > 1 or parts.keys() != {"q", "k", "v"}:
        raise UserError(f"queries, keys and values do not make up one {name}")
    return torch.cat([parts["q"], parts["k"], parts["v"]])


def _beside(path: Path, name: str) -> dict[str, Any]:
    """Return a JSON object beside a weights file, or of the model whose exports lie in ``onnx``."""
    folders = [path.parent]
    if path.absolute().parent.name == "onnx":
        folders.append(path.absolute().parent.parent)
    for folder in folders:
        if leads_out(folder / name):
            raise UserError(
                f"{folder / name} is a link that leads out of the folder of the weights; put the "
                "file itself there if you trust it"
            )
        try:
            values = json.loads(read_text(folder / name))
        except (OSError, ValueError, RecursionError):
            continue
        return values if isinstance(values, dict) else {}
    return {}
