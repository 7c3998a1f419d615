"""Named tensors and CLIP's visual tower in local files, whoever wrote them; nothing is executed."""

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from layerfusion.errors import UserError
from layerfusion.files import check_regular, in_place_of, leads_out, read_text
from layerfusion.model.torchscript import torchscript_tensors
from layerfusion.settings import Activation, Normalisation


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a safetensors file, on the CPU, and its metadata, both by name.

    Raises
    ------
    ValueError
        If it cannot be read; the message is the reason.
    """
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (OSError, MemoryError, SafetensorError) as error:  # a hole may be longer than memory
        raise ValueError(str(error)) from None


def write_tensors(path: Path, tensors: Mapping[str, Tensor], **metadata: str) -> None:
    """Write tensors as safetensors; `path` is complete or what it was before.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    ours = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Not by `save_file`: it writes through a temporary file of its own, which a kill leaves, and
    # which no other user may read.
    content = save(ours, metadata=metadata or None)
    with in_place_of(path) as partial:
        partial.write_bytes(content)


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 of named tensors (names, dtypes, shapes, values), as 64 hex digits."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


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
    named = read_named_tensors(path)
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


def read_named_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a file by the names that they have in it; nothing is executed.

    Raises
    ------
    UserError
        If the file cannot be read as weights.
    """
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
