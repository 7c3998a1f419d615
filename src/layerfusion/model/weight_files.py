"""Reading a CLIP visual tower from a local file, whoever wrote it; nothing in it is executed."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from layerfusion.errors import UserError
from layerfusion.files import check_regular
from layerfusion.model.huggingface import config_activation, openclip_names, tower_prefix
from layerfusion.model.tensors import read_tensors
from layerfusion.model.torchscript import torchscript_tensors
from layerfusion.settings import Activation

# The name that a matrix gets whose node in an ONNX graph names no module.
_UNNAMED = ".weight"


def read_visual_weights(path: Path) -> dict[str, Tensor]:
    """Read the visual tower's tensors, under OpenCLIP's names, from a local weights file.

    Understood are OpenAI's TorchScript archive (.pt), an OpenCLIP checkpoint (.pt, .bin: read by
    torch's restricted loader, which builds tensors only), safetensors, and, of models of Hugging
    Face's transformers, .safetensors, .bin and ONNX exports (.onnx; float32, float16, or 8 bits
    quantised dynamically). The file may hold the whole model or the visual tower alone.

    Raises
    ------
    UserError
        If the file cannot be read as any of these, or holds another kind of model.
    """
    named = _named_tensors(path)
    if _UNNAMED in named and not any(name.endswith("fc1.weight") for name in named):
        raise UserError(
            f"{path} is an ONNX export that does not say which layers its matrices belong to; give "
            "the model's .safetensors or .bin file, or export it with torch's dynamo=False"
        )
    prefix = tower_prefix(named)
    if prefix is not None:
        try:
            return openclip_names(named, prefix)
        except UserError as error:
            raise UserError(f"{path} does not hold CLIP weights: {error}") from None
    visual = {n.removeprefix("visual."): t for n, t in named.items() if n.startswith("visual.")}
    tower = visual or named
    if not {"class_embedding", "conv1.weight"} <= tower.keys():
        found = f"{len(named)} tensors, such as '{min(named)}'" if named else "no tensors"
        raise UserError(
            f"{path} holds {found}; expected is a CLIP vision transformer under OpenCLIP's, "
            "OpenAI's or Hugging Face's names"
        )
    return tower


def file_activation(path: Path) -> Activation | None:
    """Return the activation that a weights file was trained with; None if it does not tell.

    Of all who publish CLIP weights only OpenAI ships TorchScript archives, and theirs is QuickGELU.
    Of a transformers model it stands in the ``config.json`` beside it, of an ONNX export in the
    graph.

    Raises
    ------
    UserError
        If the file is a damaged ONNX file, or the configuration names another activation.
    """
    if is_torchscript(path):
        return "quick_gelu"
    configured = config_activation(path)
    if configured is None and path.suffix == ".onnx":
        from layerfusion.model.onnx_export import graph_activation, load_onnx

        return graph_activation(load_onnx(path))
    return configured


def is_torchscript(path: Path) -> bool:
    """Say whether a file is a TorchScript archive: a zip that holds code and its constants."""
    try:
        check_regular(path)
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False  # no zip, or its list of names is damaged: reading it raises the error


def _named_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a file by the names that they have in it."""
    if not path.is_file():  # in a pipe nothing may ever come, and a device has no end
        raise UserError(f"{path} is not a file of weights")
    if path.suffix == ".onnx":
        # Not needed for any other file, and it takes a while to import.
        from layerfusion.model.onnx_export import load_onnx, onnx_tensors

        return onnx_tensors(load_onnx(path), path)
    try:
        tensors = _unpacked(path)
    except Exception:  # on damaged files the readers raise whatever they stumble over
        raise UserError(
            f"{path} cannot be read as CLIP weights; expected OpenAI's .pt archive, an OpenCLIP "
            "checkpoint, a .safetensors, a Hugging Face .bin or an .onnx file"
        ) from None
    if isinstance(tensors, dict) and isinstance(tensors.get("state_dict"), dict):
        tensors = tensors["state_dict"]
    if not isinstance(tensors, Mapping):
        raise UserError(f"{path} holds a {type(tensors).__name__} instead of named tensors")
    return {
        str(name).removeprefix("module."): value
        for name, value in tensors.items()
        if isinstance(value, Tensor)
    }


def _unpacked(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return read_tensors(path)[0]
    if is_torchscript(path):
        return torchscript_tensors(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type for entry in archive.infolist()):
                raise ValueError("torch stores its files; what expands is a bomb")
    return torch.load(path, map_location="cpu", weights_only=True)
