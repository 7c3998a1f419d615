"""The tensors of a TorchScript archive, read as data: none of the code that lies in it is run.

`torch.jit.load` executes what an archive brings: its ``__setstate__`` can write a file of chosen
bytes before anybody has looked at a tensor. An archive is a zip of a pickle (``data.pkl``: objects,
and of each tensor dtype, shape and strides), one file of bytes a storage (``data/0``, ...) and the
code, which nothing here opens. The pickle's globals come from a closed list.
"""

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_DEEPEST = 50  # modules in one another
_LARGEST_PICKLE = 10_000_000  # bytes; of ViT-L/14 it has about a hundred thousand
_DTYPES = {
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
}
_LISTS = ("int", "double", "bool", "tensor")


class _Module:
    """Stands for an object of any class of the archive: its attributes, and nothing it can do."""

    attributes: Mapping[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.attributes = state


def _itself(value: Any, *_: object) -> Any:
    return value


def _tensor(storage: Tensor, offset: int, shape: Any, strides: Any, *_: object) -> Tensor:
    if math.prod(shape) > storage.numel():  # a stride of 0 makes any amount of one number
        raise pickle.UnpicklingError("a tensor is larger than what is stored of it")
    return storage.as_strided(tuple(shape), tuple(strides), offset)


_GLOBALS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.jit._pickle", "restore_type_tag"): _itself,
    **{("torch.jit._pickle", f"build_{k}list"): _itself for k in _LISTS},
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}


# The C reader takes memory for whatever memo index a file names, this one does not.
class _Unpickler(pickle._Unpickler):
    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        if archive.getinfo(f"{folder}data.pkl").file_size > _LARGEST_PICKLE:
            raise pickle.UnpicklingError("what names its tensors is too large")
        super().__init__(archive.open(f"{folder}data.pkl"))
        self._archive, self._folder = archive, folder
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return _Module
        if (module, name) not in _GLOBALS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _GLOBALS[module, name]

    def persistent_load(self, identity: Any) -> Tensor:
        _, dtype, key, _, _ = identity
        if key not in self._storages:
            entry = self._archive.getinfo(f"{self._folder}data/{key}")
            if entry.compress_type != zipfile.ZIP_STORED:  # torch stores; what expands is a bomb
                raise pickle.UnpicklingError("its tensors are compressed")
            content = bytearray(self._archive.read(entry))
            self._storages[key] = torch.frombuffer(content, dtype=dtype)
        return self._storages[key]


def torchscript_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a TorchScript archive by their dotted names, as its ``state_dict``.

    Raises
    ------
    Exception
        Whatever the readers of zip and pickle stumble over, on a file that is damaged or hostile.
    """
    with zipfile.ZipFile(path) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        return dict(_named(_Unpickler(archive, pickled.removesuffix("data.pkl")).load()))


def _named(module: object, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    if depth > _DEEPEST:
        raise pickle.UnpicklingError("its modules contain one another")
    for name, value in getattr(module, "attributes", {}).items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Module):
            yield from _named(value, f"{prefix}{name}.", depth + 1)
