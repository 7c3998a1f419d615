"""One small tower in the forms in which people keep CLIP's weights, written without our code."""

import re

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

LINEAR = re.compile(r"(_proj|fc1|fc2|visual_projection)\.weight$")

NAMES = {
    "conv1.weight": "embeddings.patch_embedding.weight",
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_pre": "pre_layrnorm",
    "ln_post": "post_layernorm",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "transformer.resblocks": "encoder.layers",
}


def huggingface(tower):
    """A tower's tensors, {OpenCLIP's name: tensor}, under transformers' names."""
    named = {}
    for name, tensor in tower.items():
        if name == "proj":
            named["visual_projection.weight"] = tensor.T.contiguous()
        elif ".in_proj_" in name:
            block, kind = re.fullmatch(r"transformer\.resblocks\.(\d+)\..*_(\w+)", name).groups()
            for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                place = f"vision_model.encoder.layers.{block}.self_attn.{letter}_proj.{kind}"
                named[place] = part.clone()
        else:
            for ours, theirs in NAMES.items():
                name = name.replace(ours, theirs)
            named[f"vision_model.{name}"] = tensor.contiguous()
    return named


def whole_model(named):
    """The tower beside a text tower and what else such files hold."""
    return named | {
        "vision_model.embeddings.position_ids": torch.arange(145)[None],
        "text_model.encoder.layers.0.self_attn.q_proj.weight": torch.eye(4),
        "text_model.embeddings.position_ids": torch.arange(8)[None],
        "text_projection.weight": torch.zeros(4, 4),
        "logit_scale": torch.tensor(2.6),
    }


def export(named, form, *, activation="Sigmoid"):
    """An ONNX model with the nodes that tell where its matrices belong.

    Forms: float32 and float16 (matrices transposed, under numbers), named (under their own names,
    transposed by a node), int8 (a scale a channel), uint8 (one scale), qdq (dequantised by a node).
    """
    graph = Graph(form)
    for name, tensor in named.items():
        graph.add(name, tensor.numpy())
    graph.nodes.append(helper.make_node(activation, ["x"], ["y"], name="/vision_model/act"))
    made = helper.make_graph(graph.nodes, "tower", [], [], graph.constants)
    return helper.make_model(made)


class Graph:
    def __init__(self, form):
        self.form, self.nodes, self.constants = form, [], []

    def constant(self, name, array):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))

    def node(self, kind, inputs, output, name="", **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))

    def add(self, name, array):
        kind = np.float16 if self.form == "float16" else np.float32
        if not LINEAR.search(name):
            self.constant(name, array.astype(kind))
            return
        module = re.sub(r"layers/(\d+)", r"layers.\1", "/" + name[:-7].replace(".", "/"))
        number = f"onnx::MatMul_{len(self.constants)}"
        if self.form == "named":
            self.constant(name, array)
            self.node("Transpose", [name], f"{number}_t", perm=[1, 0])
            self.node("MatMul", ["x", f"{number}_t"], f"{number}_out", f"{module}/MatMul")
        elif self.form in ("float32", "float16"):
            self.constant(number, array.T.astype(kind))
            self.node("MatMul", ["x", number], f"{number}_out", f"{module}/MatMul")
        else:
            self.quantised(number, module, array.T)

    def quantised(self, number, module, matrix):
        parts = quantise(matrix, self.form)
        names = [f"{number}_{part}" for part in ("quantized", "scale", "zero_point")]
        for name, array in zip(names, parts, strict=True):
            self.constant(name, array)
        if self.form == "qdq":
            self.node("DequantizeLinear", names, f"{number}_d", axis=1)
            self.node("MatMul", ["x", f"{number}_d"], f"{number}_out", f"{module}/MatMul")
        else:
            inputs = ["x", names[0], "x_zero_point", names[2]]
            self.node("MatMulInteger", inputs, f"{number}_out", f"{module}/MatMul_quant")


def quantise(matrix, form):
    """q, scale and zero point of a matrix (in, out); a scale a column, but one for uint8."""
    if form == "uint8":
        scale = np.float32((matrix.max() - matrix.min()) / 255)
        zero = np.uint8(np.round(-matrix.min() / scale))
        q = np.clip(np.round(matrix / scale) + zero, 0, 255).astype(np.uint8)
        return q, np.array(scale, np.float32), np.array(zero)
    scale = (np.abs(matrix).max(axis=0) / 100).astype(np.float32)
    zero = (np.arange(len(scale)) % 5 - 2).astype(np.int8)
    q = np.clip(np.round(matrix / scale) + zero, -128, 127).astype(np.int8)
    return q, scale, zero


def rounded(named, form):
    """The tensors that a quantised export stands for."""
    found = {}
    for name, tensor in named.items():
        if LINEAR.search(name):
            q, scale, zero = quantise(tensor.numpy().T, form)
            matrix = (q.astype(np.int32) - zero.astype(np.int32)).astype(np.float32) * scale
            tensor = torch.from_numpy(matrix.T.copy())
        found[name] = tensor
    return found


def save(model, path):
    onnx.save(model, path)
    return path
