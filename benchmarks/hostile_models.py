"""Load model files and detector folders that mean harm; count what they bring about.

Each is loaded by the library and by the commands that read such files, in a child without a
network, with little memory and time (`forked`). Beside it lies what it should neither read nor
change: Python's audit hook sees its own opens, and an access time moves for readers in C++ too::

    python benchmarks/hostile_models.py [--only PART-OF-A-NAME]

Each is to be refused in one sentence, before it costs anything. Five minutes on two quiet cores.
"""

import argparse
import hashlib
import json
import os
import pickle
import shutil
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forked
import numpy as np
import torch
from onnx import TensorProto, helper
from PIL import Image
from safetensors.torch import load_file, save_file

RESULTS = Path(__file__).parent / "results"
HEAVY = 2000  # MiB beside those of the process before it loads
SLOW, HANG = 20, 60  # seconds on a shared machine
GB = 1 << 30
MEANT = {"a whole folder", "a whole folder of a hub", "whole weights"}  # and these are accepted
HARMLESS = ("beside", "notice that a terminal obeys")  # these may be

Make = Callable[[Path], object]


class Outside:
    """What lies outside a hostile folder: a secret, whole weights and a detector.

    Attributes
    ----------
    folder
        Nothing of it may be read, and nothing written.
    weights
        Whole ones, that nobody named.
    """

    def __init__(self, folder: Path) -> None:
        from layerfusion.model.weights import embedded_weights

        folder.mkdir()
        self.folder, self.secret = folder, folder / "secret"
        self.weights = folder / "nano.safetensors"
        self.secret.write_text("secret\n" * 1000)
        shutil.copyfile(embedded_weights("clip-nano"), self.weights)
        self.begin()

    def begin(self) -> None:
        """Begin to notice readers: they move an access time that is older than the last change."""
        self._before = self._state()
        for path in self.folder.iterdir():
            os.utime(path, (1, path.stat().st_mtime))

    def touched(self) -> tuple[str, ...]:
        """Return what has been read or written since."""
        read = [f"read {p.name}" for p in self.folder.iterdir() if p.stat().st_atime != 1]
        return (*read, *(["wrote outside"] if self._state() != self._before else []))

    def _state(self) -> str:
        state = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in self.folder.iterdir()]
        return hashlib.sha256(repr(sorted(state)).encode()).hexdigest()


class Running(torch.nn.Module):
    """A TorchScript archive whose code runs when it is loaded.

    Parameters
    ----------
    path
        What its code is to reach.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    @torch.jit.export
    def __getstate__(self) -> str:
        return self.path


class WritesByMapping(Running):
    """Maps a file into memory and writes bytes of its choice."""

    @torch.jit.export
    def __setstate__(self, state: str) -> None:
        mapped = torch.from_file(state, shared=True, size=64, dtype=torch.uint8)
        mapped.fill_(88)
        self.path, self.training = state, bool(mapped[0] == 0)  # used, or it is optimised away


class WritesBySaving(Running):
    """Saves a tensor to a file of its choice."""

    @torch.jit.export
    def __setstate__(self, state: str) -> None:
        self.path, self.training = state, False
        torch.save(torch.zeros(8), state)


class ReadsByMapping(Running):
    """Maps a file to read it, which `print` could send anywhere."""

    @torch.jit.export
    def __setstate__(self, state: str) -> None:
        self.path, self.training = state, False
        print(torch.from_file(state, shared=False, size=64, dtype=torch.uint8))


class NeverEnds(Running):
    """Computes for ever."""

    @torch.jit.export
    def __setstate__(self, state: str) -> None:
        self.path, self.training = state, False
        while len(self.path) > 0:
            self.path = state


class TakesAll(Running):
    """Allocates what no machine has."""

    @torch.jit.export
    def __setstate__(self, state: str) -> None:
        self.path, self.training = state, False
        torch.ones([4096, 1 << 20])


class System:
    """A pickle that starts a program."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


def weight_files(outside: Outside) -> dict[str, tuple[str, Make]]:
    """Return the name of each file and what writes it, by kind."""
    written, tower = outside.folder / "written", load_file(outside.weights)
    first = {"class_embedding": torch.zeros(8), "conv1.weight": torch.zeros(8, 3, 2, 2)}

    def scripted(kind: type[Running], path: Path) -> Make:
        return lambda file: torch.jit.script(kind(path)).save(str(file))

    def pickled(**options: Any) -> Make:
        return lambda file: torch.save({"a": System(written)}, file, **options)

    def saved(tensor: torch.Tensor) -> Make:
        return lambda file: torch.save(first | {"positional_embedding": tensor}, file)

    def packed(*names: str, size: int = 1) -> Make:
        return lambda file: _repacked(first, file, dict.fromkeys(names, size))

    def beside(name: str, make: Make) -> Make:
        def write(file: Path) -> None:
            save_file(tower, file)
            make(file.with_name(name))

        return write

    nested: dict[str, object] = {"state_dict": first}
    for _ in range(100):
        nested = {"state_dict": nested}
    endless = torch.zeros(1).expand(1 << 20, 1 << 20)  # 4 TB, of one number
    one = torch.zeros(1, 1).long()
    huge = torch.sparse_coo_tensor(one, torch.ones(1), (1 << 42,), check_invariants=True)
    return {
        "whole weights": ("w.safetensors", lambda file: save_file(tower, file)),
        "TorchScript, writes by from_file": ("w.pt", scripted(WritesByMapping, written)),
        "TorchScript, writes by torch.save": ("w.pt", scripted(WritesBySaving, written)),
        "TorchScript, reads by from_file": ("w.pt", scripted(ReadsByMapping, outside.secret)),
        "TorchScript, never ends": ("w.pt", scripted(NeverEnds, written)),
        "TorchScript, allocates 16 TB": ("w.pt", scripted(TakesAll, written)),
        "TorchScript named .bin": ("w.bin", scripted(WritesByMapping, written)),
        "TorchScript of constants alone": ("w.pt", packed("archive/constants.pkl")),
        "pickle in a .pt": ("w.pt", pickled()),
        "pickle in a .bin": ("w.bin", pickled()),
        "pickle in an old .pth": ("w.pth", pickled(_use_new_zipfile_serialization=False)),
        "bare pickle": ("w.pt", lambda file: file.write_bytes(pickle.dumps(System(written)))),
        "pickle in a .npz": ("w.npz", lambda file: np.savez(file, a=np.array([System(written)]))),
        "pickle named .safetensors": ("w.safetensors", pickled()),
        "pickle named .onnx": ("w.onnx", pickled()),
        "zip with names that climb": ("w.pt", packed("../../outside/written", "/out/written")),
        "zip with a bomb": ("w.pt", packed("archive/data/9", size=GB)),
        "zip whose pickle is a bomb": (
            "w.pt", lambda file: _repacked(first, file, {"archive/data.pkl": 3 * GB}, {0}),
        ),
        "zip with an entry twice": ("w.pt", packed("archive/data.pkl", "archive/data/0")),
        "tensor of 4 TB without strides": ("w.pt", saved(endless)),
        "sparse tensor of 4 TB": ("w.pt", saved(huge)),
        "tensor on the meta device": ("w.pt", saved(torch.zeros(4, 4, device="meta"))),
        "complex tensor": ("w.pt", saved(torch.zeros(4, 4, dtype=torch.complex64))),
        "state_dict in itself 100 deep": ("w.pt", lambda file: torch.save(nested, file)),
        **{f"safetensors: {kind}": ("w.safetensors", make)
           for kind, make in safetensors_files().items()},
        **{f"ONNX: {kind}": ("w.onnx", make) for kind, make in onnx_files(outside).items()},
        "beside it config.json, a pipe": ("w.safetensors", beside("config.json", os.mkfifo)),
        "beside it config.json, a device": ("w.safetensors", beside("config.json", _device)),
        "beside it config.json, a link out": (
            "w.safetensors", beside("config.json", lambda file: file.symlink_to(outside.secret)),
        ),
        "beside it config.json, nested 10^6": ("w.safetensors", beside("config.json", _nested)),
        "beside it preprocessor_config.json, a pipe": (
            "w.safetensors", beside("preprocessor_config.json", os.mkfifo),
        ),
        "a pipe": ("w.safetensors", os.mkfifo),
        "a device": ("w.pt", _device),
        "a device named .onnx": ("w.onnx", _device),
        "a folder": ("w.pt", Path.mkdir),
    }  # fmt: skip


def safetensors_files() -> dict[str, Make]:
    """Return what writes files that safetensors should not read."""

    def file(header: object, data: bytes = bytes(64), length: int | None = None) -> Make:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        size = struct.pack("<Q", len(text) if length is None else length)
        return lambda path: path.write_bytes(size + text + data)

    def tensor(shape: list[int], begin: int, end: int, kind: str = "F32") -> dict[str, object]:
        return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}

    def sparse(path: Path) -> None:
        file({"conv1.weight": tensor([1 << 38], 0, 1 << 40)}, b"")(path)
        os.truncate(path, path.stat().st_size + (1 << 40))

    def long_header(path: Path) -> None:
        file(b"{", b"", 2 * GB)(path)
        os.truncate(path, 3 * GB)

    return {
        "offsets overlap": file({"a": tensor([8], 0, 32), "b": tensor([8], 16, 48)}),
        "offsets beyond the end": file({"a": tensor([8], 0, 1 << 50)}),
        "negative offsets": file({"a": tensor([8], -32, 0)}),
        "shape that overflows": file({"a": tensor([1 << 32, 1 << 32], 0, 64)}),
        "type that is not known": file({"a": tensor([8], 0, 32, "F32; os.system")}),
        "header of 2 GB": long_header,
        "header longer than the file": file(b"{}", length=(1 << 63) - 1),
        "header nested 10^6": file(b"[" * 10**6),
        "name that a terminal obeys": file({"\x1b]0;owned\x07\x1b[2J": tensor([16], 0, 64)}),
        "tensor of 1 TB, a hole": sparse,
        "empty file": lambda path: path.write_bytes(b""),
    }


def onnx_files(outside: Outside) -> dict[str, Make]:
    """Return what writes files that an ONNX export should not be."""

    def tensor(name: str, dims: list[int], **values: object) -> TensorProto:
        made = TensorProto(name=name, dims=dims, data_type=TensorProto.FLOAT)
        for key, value in values.items():
            setattr(made, key, value)
        return made

    def elsewhere(location: str) -> Make:
        made = tensor("class_embedding", [8], data_location=TensorProto.EXTERNAL)
        made.external_data.add(key="location", value=location)
        return model([], [made])

    def model(nodes: list[Any], tensors: list[Any]) -> Make:
        graph = helper.make_graph(nodes, "g", [], [], tensors)
        return lambda path: path.write_bytes(helper.make_model(graph).SerializeToString())

    def node(kind: str, inputs: list[str], outputs: list[str], **more: Any) -> Any:
        return helper.make_node(kind, inputs, outputs, **more)

    def deep(path: Path) -> None:
        graph = helper.make_graph([], "g", [], [])
        for _ in range(25):  # more protobuf does not write
            graph = helper.make_graph([node("If", ["a"], ["b"], then_branch=graph)], "g", [], [])
        path.write_bytes(helper.make_model(graph).SerializeToString())

    def very_deep(path: Path) -> None:
        """Write 10^5 graphs in each other, byte by byte: protobuf itself would not."""
        data = b""
        for _ in range(20_000):
            for number in (6, 5, 1):  # an attribute's graph, a node's attribute, a graph's node
                data = bytes([number << 3 | 2]) + _varint(len(data)) + data
        path.write_bytes(bytes([7 << 3 | 2]) + _varint(len(data)) + data)

    return {
        "weights in /etc/passwd": elsewhere("/etc/passwd"),
        "weights in ../outside": elsewhere(f"../{outside.folder.name}/secret"),
        "10^6 nodes": model([node("Identity", ["a"], ["b"])] * 10**6, []),
        "graphs in graphs": deep,
        "graphs in graphs, 20,000": very_deep,
        "nodes in a circle": model(
            [node("MatMul", ["x", "a"], ["y"], name="/m/MatMul"),
             node("Identity", ["a"], ["b"]), node("Identity", ["b"], ["a"])], [],
        ),
        "chain of 10^5 nodes": model(
            [node("Identity", [f"v{n}"], [f"v{n + 1}"]) for n in range(10**5)]
            + [node("MatMul", ["x", f"v{10**5}"], ["y"], name="/m/MatMul")], [],
        ),
        "constant without an output": model([node("Constant", [], [], value=tensor("a", [1]))], []),
        "tensor of 4 TB": model([], [tensor("class_embedding", [1 << 20, 1 << 20])]),
        "tensor of negative size": model([], [tensor("class_embedding", [-8], raw_data=bytes(32))]),
        "tensor of no known type": model([], [tensor("class_embedding", [8], data_type=99)]),
        "scales that do not fit": model(
            [node("MatMulInteger", ["x", "m_quantized"], ["y"], name="/m/MatMul")],
            [tensor("m_quantized", [2, 2], data_type=TensorProto.INT8, raw_data=bytes(4)),
             tensor("m_scale", [3], raw_data=bytes(12))],
        ),
        "no graph": lambda path: path.write_bytes(b""),
    }  # fmt: skip


def detector_folders(outside: Outside) -> dict[str, Make]:
    """Return what makes a hostile folder of a copy of the demo's, by kind."""
    config, tensors = "detector.json", "trained.safetensors"

    def described(**changes: object) -> Make:
        return lambda folder: _describe(folder / config, changes)

    def in_place_of(name: str, make: Make) -> Make:
        def change(folder: Path) -> None:
            (folder / name).unlink(missing_ok=True)
            make(folder / name)

        return change

    def linked(name: str, target: Path) -> Make:
        return in_place_of(name, lambda path: path.symlink_to(target))

    def encoder(name: str, **vision: object) -> Make:
        """Describe the encoder by a file of the folder, with one size changed."""

        def change(folder: Path) -> None:
            values = _nano() | {"vision_cfg": _nano()["vision_cfg"] | vision}
            (folder / name).write_text(json.dumps(values))
            _describe(folder / config, {"encoder.model": str(folder / name),
                                        "encoder.weights": "random"})  # fmt: skip

        return change

    def of_hub(change: Make) -> Make:
        def make(folder: Path) -> None:
            change(folder)
            for ours, theirs in {config: "config.json", tensors: "model.safetensors"}.items():
                (folder / ours).rename(folder / theirs)

        return make

    def checksums(text: bytes) -> Make:
        return in_place_of("SHA256SUMS", lambda path: path.write_bytes(text))

    def local_directory(folder: Path) -> None:
        values = {"model_cfg": _nano(), "preprocess_cfg": {}}
        place = folder / "hub"
        place.mkdir()
        (place / "open_clip_config.json").write_text(json.dumps(values))
        _describe(folder / config, {"encoder.model": f"local-dir:{place}"})

    weights = outside.weights
    names = {
        "a path": str(weights), "a path that climbs": f"../{outside.folder.name}/{weights.name}",
        "a home": "~/.bashrc", "/etc/passwd": "/etc/passwd", "a URL": "https://example.org/w.pt",
        "a hub": "hf-hub:me/evil", "nobody's": "nobody",
    }  # fmt: skip
    models = {
        "a hub": "hf-hub:me/evil", "a local-dir": f"local-dir:{outside.folder}",
        "a file outside": str(outside.folder / "tower.json"), "a URL": "https://example.org/m.json",
        "/etc/passwd": "/etc/passwd",
    }  # fmt: skip
    sizes = {
        "layers": 10**6,
        "width": 60_000,
        "image_size": 8192,
        "patch_size": 0,
        "mlp_ratio": 1e6,
    }
    return {
        "a whole folder": lambda folder: None,
        "a whole folder of a hub": of_hub(lambda folder: None),
        "another format": described(format=2),
        "a setting that is not known": described(**{"encoder.code": "import os"}),
        **{f"{where}, encoder.weights {kind}": wrap(described(**{"encoder.weights": name}))
           for kind, name in names.items() for where, wrap in (("folder", _same), ("hub", of_hub))},
        **{f"{where}, encoder.model {kind}": wrap(described(**{"encoder.model": name}))
           for kind, name in models.items()
           for where, wrap in (("folder", _same), ("hub", of_hub))},
        "encoder.weights a known tag, not here": described(
            **{"encoder.model": "ViT-B-32", "encoder.weights": "openai"}
        ),
        "encoder.model a local-dir in it": local_directory,
        **{f"encoder.model a file in it, {name} {size}": encoder("tower.json", **{name: size})
           for name, size in sizes.items()},
        "encoder.model a file in it, with code": encoder(
            "tower.json", timm_model_name="vit", timm_model_pretrained=True
        ),
        "encoder.model the largest known": described(
            **{"encoder.model": "ViT-bigG-14", "encoder.weights": "random", "images.crop": 224,
               "images.min_side": 256}
        ),
        "crop 10^6": described(**{"images.crop": 10**6, "images.min_side": 10**6}),
        "crop 4096": described(**{"images.crop": 4096, "images.min_side": 4096}),
        "projection_width 60000": described(**{"head.projection_width": 60_000}),
        "trained_blocks 10^400": described(**{"encoder.trained_blocks": 10**400}),
        "reads of 10^6 blocks": described(**{"head.reads": list(range(1, 10**6))}),
        "std of 10^-300": described(**{"encoder.std": [1e-300] * 3}),
        "threshold 2": described(threshold=2),
        "threshold not a number": described(threshold=float("nan")),
        "notice that a terminal obeys": described(notice="\x1b]0;owned\x07\x1b[2Jfine\r\nyes"),
        "notice of 50 MB": described(notice="x" * 50_000_000),
        "notice of half a letter": in_place_of(
            config, lambda path: path.write_text('{"notice": "\\ud800"}')
        ),
        **{f"{name} a {kind}": in_place_of(name, make)
           for name in (config, tensors, "SHA256SUMS", "validation.csv")
           for kind, make in {"pipe": os.mkfifo, "device": _device, "folder": Path.mkdir}.items()},
        **{f"{name} a link to a secret": linked(name, outside.secret)
           for name in (config, tensors, "SHA256SUMS", "validation.csv")},
        "detector.json of 1 GB": in_place_of(config, _long),
        "detector.json nested 10^6": in_place_of(config, _nested),
        "detector.json not UTF-8": in_place_of(config, lambda path: path.write_bytes(b"\xff\xfe")),
        "validation.csv of 10^6 columns": in_place_of(
            "validation.csv", lambda path: path.write_text("label,logit" + ",x" * 10**6 + "\n")
        ),
        "checksums that lie": checksums(b"0" * 64 + b"  trained.safetensors\n"),
        "checksums not UTF-8": checksums(b"\xff" * 100),
        "checksums of 1 GB": in_place_of("SHA256SUMS", _long),
        **{f"tensors: {kind}": in_place_of(tensors, make)
           for kind, make in safetensors_files().items()},
        "tensors: a pickle": in_place_of(
            tensors, lambda path: torch.save({"a": System(outside.folder / "written")}, path)
        ),
        "tensors: not a number": lambda folder: _spoil(folder / tensors, float("nan")),
        "tensors: 10^5 more": lambda folder: _spoil(folder / tensors, 0.0, more=10**5),
    }  # fmt: skip


def _same(make: Make) -> Make:
    return make


def _nano() -> dict[str, Any]:
    from layerfusion.model.weights import TOWERS

    values: dict[str, Any] = json.loads((TOWERS / "clip-nano.json").read_text())
    return values


def _describe(path: Path, changes: dict[str, object]) -> None:
    """Replace values of a description, by dotted names."""
    values = json.loads(path.read_text())
    for name, value in changes.items():
        *above, last = name.split(".")
        part = values
        for step in above:
            part = part[step]
        part[last] = value
    path.write_text(json.dumps(values))


def _repacked(
    tensors: dict[str, torch.Tensor], file: Path, added: dict[str, int],
    without: set[int] = frozenset(),
) -> None:  # fmt: skip
    """Save tensors, and pack them again with entries of zeros and without some of their own."""
    whole = file.with_suffix(".whole")
    torch.save(tensors, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(file, "w") as target:
        stem = source.namelist()[0].split("/")[0]
        for number, entry in enumerate(source.namelist()):
            if number not in without:
                target.writestr(f"archive{entry.removeprefix(stem)}", source.read(entry))
        for name, size in added.items():
            target.writestr(name, bytes(size), compress_type=zipfile.ZIP_DEFLATED)
    whole.unlink()


def _spoil(path: Path, value: float, more: int = 0) -> None:
    tensors = load_file(path)
    next(iter(tensors.values())).view(-1)[0] = value
    save_file(tensors | {f"more.{n}": torch.zeros(1) for n in range(more)}, path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _nested(path: Path) -> None:
    path.write_bytes(b'{"a":' * 10**6)


def _long(path: Path) -> None:
    path.write_bytes(b" " * GB)


def _varint(number: int) -> bytes:
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    return bytes([*data, number])


def attempts(place: Path, outside: Outside) -> list[tuple[str, Path, dict[str, Any]]]:
    """Make every file and folder; return its kind, its folder, and how it is loaded, by name."""
    import pandas as pd

    from layerfusion.model.detector import Detector
    from layerfusion.scoring.detectors import DEMO_FOLDER, write_reference

    whole, image = place / "whole", place / "image.png"
    shutil.copytree(DEMO_FOLDER, whole, ignore=shutil.ignore_patterns("SHA256SUMS"))
    logit = np.linspace(-4, 4, 200)
    write_reference(pd.DataFrame({"label": np.arange(200) % 2, "logit": logit}), whole)
    Image.effect_noise((90, 80), 60).convert("RGB").save(image)
    (outside.folder / "tower.json").write_text(json.dumps(_nano()))
    outside.begin()
    found = []
    for number, (kind, (name, make)) in enumerate(weight_files(outside).items()):
        folder = place / f"weights{number}"
        file = folder / name

        def write(make: Make = make, folder: Path = folder, file: Path = file) -> None:
            folder.mkdir()
            make(file)

        score = ("score", image, "--detector", "demo", "--weights", file, "--out", "s.csv")
        found.append((f"weights, {kind}", folder, {
            "make": write, "load": forked.reading(_read, file),
            "score": forked.command_line(*score),
        }))  # fmt: skip
    for number, (kind, change) in enumerate(detector_folders(outside).items()):
        folder = place / f"detector{number}"

        def write(change: Make = change, folder: Path = folder) -> None:
            shutil.copytree(whole, folder)
            change(folder)

        found.append((f"detector, {kind}", folder, {
            "make": write, "load": forked.reading(Detector.load, folder),
            "score": forked.command_line("score", image, "--detector", folder, "--out", "s.csv"),
            "inspect": forked.command_line("inspect", image, "--detector", folder, "--no-map"),
        }))  # fmt: skip
    return found


def _read(file: Path) -> None:
    """Read weights and what else is looked up in them and beside them."""
    from layerfusion.model.weight_files import (
        config_normalisation,
        file_activation,
        read_visual_weights,
    )

    config_normalisation(file)
    file_activation(file)
    read_visual_weights(file)


def meant(kind: str, way: str) -> set[str]:
    """Return what loading should bring about; tensors may be read that then fit no model."""
    source, name = kind.split(", ", 1)
    if name in MEANT:
        return {"accepted"}
    harmless = name.startswith(HARMLESS) or (source == "weights" and way == "load")
    harmless |= name.startswith("validation.csv") and way != "inspect"  # which alone reads it
    return {"refused", "accepted"} if harmless else {"refused"}


def outcome(ended: forked.Ended, work: Path, outside: Outside, idle_mib: float) -> str:
    """Return what loading brought about in a folder, the worst of it first."""
    events = [*ended.events, *outside.touched()]
    if any(event.startswith(("started", "wrote")) for event in events):
        return "executed"
    for kind in ("network", "read"):
        if any(event.startswith(kind) for event in events):
            return kind
    if ended.verdict in ("accepted", "refused"):
        # A table of scores is data, and holds texts as they are.
        pages = [path for path in work.iterdir() if path.suffix != ".csv"]
        written = [path.read_text("utf-8", "replace") for path in pages]
        if forked.control_characters("".join([ended.out, ended.said, *written])):
            return "control characters"
        if ended.peak_mib - idle_mib > HEAVY or ended.seconds > SLOW:
            return f"{ended.verdict}, at a price"
    return ended.verdict


def main() -> None:
    """Load all that is hostile; print what is not refused, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the names of what is loaded")
    chosen = parser.parse_args()
    if shutil.which("unshare") and "LAYERFUSION_ALONE" not in os.environ:
        os.environ["LAYERFUSION_ALONE"] = "1"  # a user and a network of its own: there is none
        os.execvp("unshare", ["unshare", "-rn", sys.executable, *sys.argv])  # noqa: S606, S607
    forked.load_package()
    from layerfusion.provenance import provenance

    place, rows = Path(tempfile.mkdtemp(prefix="hostile-")), []
    variables = {"LAYERFUSION_CACHE": str(place / "cache"), "HOME": str(place / "home")}
    try:
        outside = Outside(place / "outside")
        idle = forked.Child(int, outside.folder).wait(HANG).peak_mib
        for kind, folder, ways in attempts(place, outside):
            if chosen.only not in kind:
                continue
            ways.pop("make")()
            row: dict[str, Any] = {"kind": kind}
            for way, work in ways.items():
                outside.begin()
                work_folder = folder / "work"
                work_folder.mkdir(exist_ok=True)
                looks_at = [folder, place / "image.png", place / "cache", place / "home"]
                child = forked.Child(work, work_folder, variables=variables, looks_at=looks_at)
                ended = child.wait(HANG)
                row[way] = outcome(ended, work_folder, outside, idle)
                said = "; ".join([*ended.events[:2], ended.last_line])
                row["said"] = said.replace(str(place), "")[:300]
                row["mib"] = max(row.get("mib", 0), round(ended.peak_mib - idle))
            rows.append(row)
            row["holds"] = all(row[way] in meant(kind, way) for way in ways)
            print("" if row["holds"] else "FOUND", json.dumps(row), flush=True)
            shutil.rmtree(folder)
    finally:
        shutil.rmtree(place)
    counts = Counter(row[way] for row in rows for way in ("load", "score", "inspect") if way in row)
    result = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "outcomes": dict(counts),
        "hold": sum(row["holds"] for row in rows), "kinds": rows, "provenance": provenance(),
    }  # fmt: skip
    if not chosen.only:
        text = json.dumps(result, indent=2)
        (RESULTS / "hostile_models.json").write_text(f"{text}\n", encoding="utf-8")
    print(dict(counts), f"{result['hold']} of {len(rows)} hold")
    sys.exit(result["hold"] < len(rows))


if __name__ == "__main__":
    main()
