"""CLIP vision towers from ONNX exports of transformers' models; the graph is read, never run.

An exporter keeps the names of embeddings, biases and layer norms, but stores the matrix of a linear
layer transposed and under a number. Which layer it belongs to is said by the node that multiplies
with it: ``/vision_model/encoder/layers.0/self_attn/q_proj/MatMul``.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from torch import Tensor

from layerfusion.errors import UserError
from layerfusion.files import check_regular
from layerfusion.settings import Activation

_FLOATS = {
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
    TensorProto.DOUBLE,
}
_INT8 = {TensorProto.INT8, TensorProto.UINT8}

# Names of operators that compute an activation, alone or as its part that no other layer has.
_OPERATORS: dict[str, Activation] = {
    "Sigmoid": "quick_gelu",
    "QuickGelu": "quick_gelu",
    "Erf": "gelu",
    "Gelu": "gelu",
}


def load_onnx(path: Path) -> ModelProto:
    """Read an ONNX file; no file that it may point to is opened.

    Raises
    ------
    UserError
        If it is not one, or is cut off.
    """
    try:
        check_regular(path)
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    return parse_onnx(content, path)


def parse_onnx(content: bytes, path: str | Path) -> ModelProto:
    """Return the model that the bytes of an ONNX file hold; `path` is named in errors.

    Raises
    ------
    UserError
        If they are not one's, or are cut off.
    """
    try:
        return onnx.load_model_from_string(content)
    except Exception:  # an error of protobuf's, which is no dependency of ours by itself
        raise UserError(
            f"{path} cannot be read as CLIP weights; it is not a whole ONNX file"
        ) from None


def graph_activation(model: ModelProto) -> Activation | None:
    """Return the activation that a graph computes, None if its operators do not tell."""
    found = {_OPERATORS[n.op_type] for n in model.graph.node if n.op_type in _OPERATORS}
    return found.pop() if len(found) == 1 else None


def onnx_tensors(model: ModelProto, path: str | Path) -> dict[str, Tensor]:
    """Return a graph's weights by the names of the modules that they were exported from, float32.

    Linear layers come as torch has them, (out, in). Weights in int8 and uint8 are
    (q - zero point) * scale, a scale for the whole tensor or for each output channel.

    Parameters
    ----------
    model
        The export, in float32, float16, or quantised to 8 bits.
    path
        Named in errors.

    Raises
    ------
    UserError
        If weights are damaged, or lie in another file.
    """
    try:
        graph = _Graph(model)
        linear = dict(graph.linear_weights())
        return dict(graph.other_weights()) | linear
    except _ElsewhereError:
        raise UserError(
            f"{path} keeps its weights in another file; export the model into one file"
        ) from None
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} cannot be read as CLIP weights; a tensor in it is damaged ({reason})"
        ) from None


class _ElsewhereError(Exception):
    """A tensor is a pointer to another file."""


class _Graph:
    """The constants of a graph, and which node makes which value."""

    def __init__(self, model: ModelProto) -> None:
        self._nodes = model.graph.node
        self._constants: dict[str, TensorProto] = {t.name: t for t in model.graph.initializer}
        for node in self._nodes:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value":
                    self._constants[node.output[0]] = attribute.t
        self._makers = {name: node for node in self._nodes for name in node.output}
        self._read: set[str] = set()

    def linear_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the weight of every node that multiplies with a constant matrix, (out, in)."""
        for node in self._nodes:
            if node.op_type not in ("MatMul", "Gemm", "MatMulInteger") or len(node.input) < 2:
                continue
            found = self._matrix(node.input[1])
            if found is None:
                continue
            source, matrix = found
            if not _attribute(node, "transB", 0):
                matrix = matrix.T
            named = source.removesuffix("_quantized")
            yield named if named.endswith(".weight") else f"{_module(node)}.weight", _torch(matrix)

    def other_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the constants of modules that `linear_weights` has not read."""
        for name, constant in self._constants.items():
            if name in self._read or name.startswith(("/", "onnx::")):
                continue
            base = name.removesuffix("_quantized")
            if constant.data_type in _FLOATS and not name.endswith("_scale"):
                yield name, _torch(_array(constant))
            elif (
                constant.data_type in _INT8 and base != name and f"{base}_scale" in self._constants
            ):
                yield base, _torch(self._dequantised(base, axis=0))

    def _matrix(self, value: str) -> tuple[str, npt.NDArray[np.float32]] | None:
        """Return the constant matrix behind a value, with its name; None if there is none.

        On the way it may have been transposed, copied, or converted to another type.
        """
        if value in self._constants:
            constant = self._constants[value]
            if len(constant.dims) != 2:
                return None
            self._read.add(value)
            if constant.data_type in _INT8:
                return value, self._dequantised(value.removesuffix("_quantized"), axis=1)
            return value, _array(constant)
        maker = self._makers.get(value)
        if maker is None or not maker.input:
            return None
        if maker.op_type == "DequantizeLinear":
            return self._dequantised_by(maker)
        if maker.op_type not in ("Transpose", "Cast", "Identity"):
            return None
        found = self._matrix(maker.input[0])
        if found is None or maker.op_type != "Transpose":
            return found
        return found[0], found[1].T

    def _dequantised(self, base: str, *, axis: int) -> npt.NDArray[np.float32]:
        zero_point = self._constants.get(f"{base}_zero_point")
        return _dequantise(
            self._constants[f"{base}_quantized"], self._constants[f"{base}_scale"], zero_point, axis
        )

    def _dequantised_by(self, node: NodeProto) -> tuple[str, npt.NDArray[np.float32]] | None:
        parts = [self._constants.get(name) for name in node.input]
        if len(parts) < 2 or parts[0] is None or parts[1] is None or len(parts[0].dims) != 2:
            return None
        self._read.add(node.input[0])
        zero_point = parts[2] if len(parts) > 2 else None
        axis = _attribute(node, "axis", 1)
        return node.input[0], _dequantise(parts[0], parts[1], zero_point, axis)


def _dequantise(
    quantised: TensorProto, scale: TensorProto, zero_point: TensorProto | None, axis: int
) -> npt.NDArray[np.float32]:
    """Return (q - zero point) * scale, of q's shape; one scale, or one for each index of `axis`."""
    q, offset = (
        np.zeros(1, np.int32) if part is None else _content(part, _INT8).astype(np.int32)
        for part in (quantised, zero_point)
    )
    along = [1] * q.ndim
    along[axis] = -1
    scales = _array(scale)
    for part in (scales, offset):
        if part.size not in (1, q.shape[axis]):
            raise ValueError(f"{part.size} scales for {q.shape[axis]} channels")
    # Whole numbers of 9 bits are exact in float32: one rounding, alike on every processor.
    steps = (q - offset.reshape(along)).astype(np.float32)
    return np.multiply(steps, scales.reshape(along), dtype=np.float32)


def _array(constant: TensorProto) -> npt.NDArray[np.float32]:
    return _content(constant, _FLOATS).astype(np.float32)


def _content(constant: TensorProto, kinds: Collection[int]) -> npt.NDArray[np.generic]:
    if constant.data_type not in kinds:
        raise ValueError(f"'{constant.name}' is of type {constant.data_type}")
    if constant.data_location == TensorProto.EXTERNAL:
        raise _ElsewhereError
    return numpy_helper.to_array(constant)


def _torch(array: npt.NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


def _module(node: NodeProto) -> str:
    """Return the module that a node was exported from: ``/a/b.0/c/MatMul`` is of ``a.b.0.c``."""
    return ".".join(node.name.strip("/").split("/")[:-1])


def _attribute(node: NodeProto, name: str, default: int) -> int:
    return next((a.i for a in node.attribute if a.name == name), default)
