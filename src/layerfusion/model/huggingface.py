"""CLIP vision towers under the names that Hugging Face's transformers library gives them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args

import torch
from torch import Tensor

from layerfusion.errors import UserError
from layerfusion.files import leads_out, read_text
from layerfusion.settings import Activation, Normalisation

# Every CLIP tower has it, and of the other models of that library none under this name.
CLASS_EMBEDDING = "embeddings.class_embedding"

# What stands in transformers' names for OpenCLIP's. The first layer norm's is misspelt there, and
# some conversions mend it.
_NAMES = {
    CLASS_EMBEDDING: "class_embedding",
    "embeddings.patch_embedding.weight": "conv1.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "pre_layrnorm.": "ln_pre.",
    "pre_layernorm.": "ln_pre.",
    "post_layernorm.": "ln_post.",
    "encoder.layers.": "transformer.resblocks.",
    "layer_norm1.": "ln_1.",
    "layer_norm2.": "ln_2.",
    "self_attn.out_proj.": "attn.out_proj.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
}
_OF_THE_TOWER = ("class_embedding", "conv1.", "positional_embedding", "ln_", "transformer.")
_PROJECTION = "visual_projection.weight"
_ATTENTION_INPUT = re.compile(r"(.+)\.self_attn\.([qkv])_proj\.(weight|bias)")


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
        If the tower has attention inputs of unequal shapes.
    """
    renamed: dict[str, Tensor] = {}
    attention: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        own = name.removeprefix(prefix)
        for theirs, ours in _NAMES.items():
            own = own.replace(theirs, ours)
        if not name.startswith(prefix) or not own.startswith(_OF_THE_TOWER):
            continue
        if part := _ATTENTION_INPUT.fullmatch(own):
            attention.setdefault(f"{part[1]}.attn.in_proj_{part[3]}", {})[part[2]] = tensor
        else:
            renamed[own] = tensor
    for name, parts in attention.items():
        if len({part.shape for part in parts.values()}) > 1 or parts.keys() != {"q", "k", "v"}:
            raise UserError(f"queries, keys and values do not make up one {name}")
        renamed[name] = torch.cat([parts[letter] for letter in "qkv"])
    projection = tensors.get(prefix.removesuffix("vision_model.") + _PROJECTION)
    if projection is not None and projection.ndim == 2:
        renamed["proj"] = projection.T.contiguous()
    return renamed


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
    if named in get_args(Activation):
        return cast(Activation, named)
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


def _beside(path: Path, name: str) -> dict[str, Any]:
    """Return a JSON object beside a weights file, or of the model whose exports lie in ``onnx``."""
    folder = path.absolute().parent
    for place in (folder, folder.parent) if folder.name == "onnx" else (folder,):
        if leads_out(place / name):
            raise UserError(
                f"{place / name} is a link that leads out of the folder of the weights; put the "
                "file itself there if you trust it"
            )
        try:
            values = json.loads(read_text(place / name))
        except (OSError, ValueError, RecursionError):
            continue
        return values if isinstance(values, dict) else {}
    return {}
