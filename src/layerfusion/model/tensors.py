"""Files of named tensors: one way to read them, one to write them, and their sha256."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from layerfusion.files import check_regular, in_place_of


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
