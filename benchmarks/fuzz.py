"""Feed readers with damaged files until the time is up; count what happens, keep what should not.

Every reader of a stranger's file may give a result or one sentence (`UserError`), and nothing else:
no other exception, no crash of the process, no hang::

    python benchmarks/fuzz.py --minutes 60

Whole files of each kind are made here, then bytes are turned, cut out, doubled, put in and spliced,
one to eight times over. A child process reads, so that a decoder that crashes ends the child alone;
the input in hand is on disk before it is read. Findings stay in ``--keep``.
"""

import argparse
import io
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from PIL.PngImagePlugin import PngInfo

RESULTS = Path(__file__).parent / "results"
HANG = 60  # seconds with one input
WORDS = (
    b"null", b"NaN", b"-Infinity", b"1e999", b"9" * 40, b"[" * 200, b'{"a":' * 60, b"../" * 8,
    b"\x00" * 16, b"\xff" * 16, b"\xef\xbb\xbf", b"\r", b"!!python/object:os.system", b"&a [*a]",
    b"true", b'""', b"-1", b"0", b"\xc3\x28",
)  # fmt: skip


class Target:
    """A reader, and whole files for it.

    Parameters
    ----------
    read
        Reads the file, or the folder in which it lies.
    name
        Under which the damaged file is written.
    seeds
        Contents of whole files.
    """

    def __init__(self, read: Callable[[Path], object], name: str, seeds: list[bytes]) -> None:
        self.read, self.name, self.seeds = read, name, seeds


def images() -> dict[str, bytes]:
    """Return an image of every format that is read, with what metadata it can carry."""
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 255, (8, 9, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    image, text, exif = Image.fromarray(pixels), PngInfo(), Image.Exif()
    text.add_text("parameters", "a cat, steps: 20")
    text.add_itxt("prompt", '{"1": {"class_type": "KSampler"}}', zip=True)
    exif[0x0112], exif[0x010F], exif[0x0131] = 6, "Maker", "Program"
    kinds = {
        "JPEG": {"exif": exif}, "PNG": {"pnginfo": text, "exif": exif}, "WEBP": {"exif": exif},
        "TIFF": {"compression": "tiff_lzw"}, "GIF": {}, "BMP": {}, "AVIF": {},
    }  # fmt: skip
    files = {}
    for kind, options in kinds.items():
        file = io.BytesIO()
        image.save(file, kind, **options)
        files[kind] = file.getvalue()
    grey = io.BytesIO()
    Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)).save(grey, "PNG")
    return files | {"grey16": grey.getvalue()}


def file_of(write: Callable[[Path], object], name: str) -> bytes:
    """Return the bytes that a function writes to a path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


def targets(place: Path) -> dict[str, Target]:
    """Return the readers by name; `place` is where some keep whole files beside the damaged one."""
    import shutil

    import torch
    from safetensors.torch import save

    from layerfusion.apps.evidence.metadata import credentials, marks
    from layerfusion.apps.task.check import check_submission
    from layerfusion.data.labels import label_test_images
    from layerfusion.data.manifest import Manifest
    from layerfusion.data.sources.folder import find_folder_images
    from layerfusion.experiments.tables import read_predictions
    from layerfusion.files import CHECKSUMS, file_sha256
    from layerfusion.images.reading import probe_image, read_picture, read_pixels
    from layerfusion.model.detector import Detector
    from layerfusion.model.folder import DESCRIPTION, TRAINED
    from layerfusion.model.weight_files import (
        config_normalisation,
        file_activation,
        read_visual_weights,
    )
    from layerfusion.model.weights import embedded_weights
    from layerfusion.paths import project_root
    from layerfusion.runs.record import read_record
    from layerfusion.scoring.detectors import DEMO_FOLDER, REFERENCE, read_reference
    from layerfusion.settings import PROFILES, load_profile

    pictures = list(images().values())
    tree = place / "tree"
    for folder in ("a/b", "c"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
        (tree / folder / "0.jpg").write_bytes(pictures[0])
    rows = pd.DataFrame({"image": ["a.jpg", "b.jpg"], "prob": [0.25, 0.75], "label": [0, 1]})
    table = rows.to_csv(index=False).encode()
    # The small tensors of a tower are enough to be read, and a damaged byte meets a header.
    tower = read_visual_weights(embedded_weights("clip-nano"))
    tensors = {
        f"visual.{name}": one
        for name, one in tower.items()
        if one.numel() < 1000 or name == "conv1.weight"
    }
    reference = project_root() / "runs" / "reference"
    detector = place / "detector"
    shutil.copytree(DEMO_FOLDER, detector, dirs_exist_ok=True)
    (detector / "SHA256SUMS").unlink(missing_ok=True)

    def in_detector(
        name: str, reader: Callable[[Path], object] = Detector.load
    ) -> Callable[[Path], object]:
        def read(path: Path) -> object:
            shutil.copyfile(DEMO_FOLDER / DESCRIPTION, detector / DESCRIPTION)
            shutil.copyfile(DEMO_FOLDER / TRAINED, detector / TRAINED)
            shutil.copyfile(path, detector / name)
            return reader(detector)

        return read

    def configured(path: Path) -> object:
        beside = path.with_name("weights.safetensors")
        shutil.copyfile(path, path.with_name("preprocessor_config.json"))
        return file_activation(beside), config_normalisation(beside)

    manifest = file_of(saved_manifest, "manifest.parquet")
    tests = pd.DataFrame({"path": ["t/a.jpg", "t/b.jpg"], "split": "test"})
    tests["label"] = pd.array([None, None], dtype="Int8")
    labels = b"image_id,label\na.jpg,real\nb.jpg,1\n"
    scores = pd.read_parquet(reference / "photographs/studies/claims/predictions.parquet").head(40)
    return {
        "image": Target(read_pixels, "image", pictures),
        "upper rows": Target(lambda path: read_picture(path).upper(8), "image", pictures),
        "image header": Target(probe_image, "image", pictures),
        "metadata": Target(marks, "image.png", pictures),
        "credentials": Target(credentials, "image.jpg", pictures[:2]),
        "manifest": Target(
            lambda path: Manifest.load(path, path.parent), "manifest.parquet", [manifest]
        ),
        "layout": Target(
            lambda path: find_folder_images(tree, path), "layout.yaml",
            [b"folders:\n- {path: a/*, label: real, split: train}\n"
             b"- {path: '**/c', label: synthetic, split: val, source: x, generator: g}\n"],
        ),
        "labels": Target(lambda path: label_test_images(tests, path), "labels.csv", [labels]),
        "configuration": Target(lambda path: load_profile(str(path)), "profile.yaml",
                                [(PROFILES / "photographs.yaml").read_bytes()]),
        "submission": Target(
            lambda path: check_submission(path, ["a.jpg", "b.jpg"]), "team_open.csv", [table]
        ),
        "weights": Target(read_visual_weights, "weights.safetensors", [save(tensors)]),
        "pickled weights": Target(
            read_visual_weights, "weights.pt",
            [file_of(lambda path: torch.save(tensors, path), "w.pt")],
        ),
        "ONNX weights": Target(read_visual_weights, "weights.onnx", onnx_exports()),
        "weights' configuration": Target(
            configured, "config.json",
            [b'{"model_type": "clip", "vision_config": {"hidden_act": "quick_gelu"}, '
             b'"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'],
        ),
        "detector's description": Target(in_detector(DESCRIPTION), "description",
                                         [(DEMO_FOLDER / DESCRIPTION).read_bytes()]),
        "detector's tensors": Target(in_detector(TRAINED), "tensors",
                                     [(DEMO_FOLDER / TRAINED).read_bytes()]),
        "reference scores": Target(
            in_detector(REFERENCE, read_reference), "validation.csv",
            [b"label,logit\n0,-1.25\n1,0.5\n1,3\n"],
        ),
        "checksums": Target(
            in_detector(CHECKSUMS), "sums",
            [f"{file_sha256(DEMO_FOLDER / TRAINED)}  {TRAINED}\n".encode()],
        ),
        "record": Target(read_record, "record.json",
                         [(reference / "demo" / "open-seed1337" / "record.json").read_bytes()]),
        "predictions": Target(
            lambda path: read_predictions(path.parent), "predictions.parquet",
            [file_of(scores.to_parquet, "predictions.parquet")],
        ),
    }  # fmt: skip


def onnx_exports() -> list[bytes]:
    """Return two graphs of a small tower's start: in float32, and quantised by a node."""
    from onnx import helper, numpy_helper

    embedding = "vision_model.embeddings.class_embedding"
    patches = "vision_model.embeddings.patch_embedding.weight"
    matrix = np.arange(-8, 8, dtype=np.int8).reshape(4, 4)
    arrays = {embedding: np.ones(4, np.float32), patches: np.ones((4, 3, 2, 2), np.float32)}
    layer = "/vision_model/encoder/layers.0/mlp/fc1"
    product = helper.make_node("MatMul", ["x", "m"], ["y"], name=f"{layer}/MatMul")
    scaled = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["m"], axis=1)
    quantised = {"q": matrix, "s": np.ones(4, np.float32), "z": np.zeros(4, np.int8)}
    made = []
    for nodes, own in (
        ([product], {"m": matrix.astype(np.float32)}),
        ([scaled, product], quantised),
    ):
        tensors = [numpy_helper.from_array(array, name) for name, array in (arrays | own).items()]
        graph = helper.make_graph(nodes, "tower", [], [], tensors)
        made.append(helper.make_model(graph).SerializeToString())
    return made


def saved_manifest(path: Path) -> None:
    """Write the manifest of two images and of a file that was left out."""
    from layerfusion.data.manifest import COLUMNS, FILE_DTYPES, SCANNED_DTYPES, Manifest

    rows = pd.DataFrame(
        {
            "path": ["val/a.jpg", "val/b.jpg"], "label": pd.array([0, 1], dtype="Int8"),
            "split": "val", "source": "folder", "generator": [None, "A"], "platform": None,
            "width": 90, "height": 80, "format": "JPEG", "bytes": 4000, "sha256": "0" * 64,
            "phash": "0" * 16,
        }
    )  # fmt: skip
    skipped = pd.DataFrame({"path": ["val/c.jpg"], "reason": ["truncated file"]})
    Manifest(path.parent, rows[COLUMNS].astype(FILE_DTYPES | SCANNED_DTYPES), skipped).save(path)


def damaged(seeds: list[bytes], rng: random.Random) -> bytes:
    """Return one of the contents after one to eight injuries."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(data) + 1)
        length = min(len(data) - at, 1 << rng.randrange(10))
        match rng.randrange(7):
            case 0:  # bits
                if at < len(data):
                    data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + length] = rng.randbytes(length)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length]
            case 4:
                data[at:at] = rng.choice(WORDS)
            case 5:  # the end is missing
                del data[max(at, 1) :]
            case 6:
                other = rng.choice(seeds)
                start = rng.randrange(len(other))
                data[at : at + length] = other[start : start + length]
    return bytes(data)


def child(name: str, seed: int, minutes: float, place: Path) -> None:
    """Read damaged files of one kind until the time is up; say what happened, a line a finding."""
    from layerfusion.errors import UserError

    warnings.simplefilter("ignore")
    target, rng, counts = targets(place)[name], random.Random(seed), Counter()
    for whole in target.seeds:
        (place / target.name).write_bytes(whole)
        target.read(place / target.name)  # a reader that refuses whole files tests nothing
    path, end = place / target.name, time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        path.write_bytes(damaged(target.seeds, rng))
        try:
            target.read(path)
            counts["read"] += 1
        except UserError:
            counts["refused"] += 1
        except Exception as error:
            counts["findings"] += 1
            where = traceback.extract_tb(error.__traceback__)
            ours = [frame for frame in where if "layerfusion" in frame.filename] or where
            spot = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
            print(json.dumps({"kind": f"{type(error).__name__} at {spot}", "said": str(error)[:200],
                              "input": path.read_bytes().hex()[:200_000]}), flush=True)  # fmt: skip
        if sum(counts.values()) % 100 == 0:
            (place / "counts.json").write_text(json.dumps(counts))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (place / "counts.json").write_text(json.dumps(counts | {"peak_mib": peak}))


def campaign(name: str, minutes: float, keep: Path) -> dict[str, object]:
    """Run children of one kind until the time is up, a new one where one crashed or hung."""
    began, counts, kinds, seed = time.monotonic(), Counter(), Counter(), 0
    peak = 0.0
    while (left := minutes - (time.monotonic() - began) / 60) > 0.02:
        seed += 1
        with tempfile.TemporaryDirectory() as folder:
            place, log = Path(folder), Path(folder) / "log"
            command = [sys.executable, __file__, "--child", name, "--seed", str(seed)]
            command += ["--minutes", str(left), "--place", folder]
            with log.open("w") as out:
                running = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
                code = watched(running, place)
            said = json.loads((place / "counts.json").read_text()) if (
                place / "counts.json").is_file() else {}  # fmt: skip
            peak = max(peak, said.pop("peak_mib", 0.0))
            counts += Counter(said)
            for line in log.read_text().splitlines():
                found = json.loads(line)
                kinds[found["kind"]] += 1
                keep_one(keep, name, found["kind"], bytes.fromhex(found["input"]), found["said"])
            if code != 0:
                kind = "hang" if code is None else f"ended with {code}"
                kinds[kind] += 1
                inputs = [path for path in place.iterdir() if path.is_file()]
                latest = max(inputs, key=lambda path: path.stat().st_mtime)
                keep_one(keep, name, kind, latest.read_bytes(), "")
    minutes_spent = (time.monotonic() - began) / 60
    return {
        "reader": name, "minutes": round(minutes_spent, 2), "inputs": sum(counts.values()),
        "read": counts["read"], "refused": counts["refused"], "findings": dict(kinds),
        "peak_mib": round(peak),
    }  # fmt: skip


def watched(running: "subprocess.Popen[bytes]", place: Path) -> int | None:
    """Wait for a child; None if it stayed with one input for `HANG` seconds, and was killed."""
    while running.poll() is None:
        time.sleep(1)
        files = [path.stat().st_mtime for path in place.iterdir() if path.is_file()]
        if files and time.time() - max(files) > HANG:
            running.kill()
            running.wait()
            return None
    return running.returncode


def keep_one(keep: Path, name: str, kind: str, data: bytes, said: str) -> None:
    """Keep the first input of each kind of finding."""
    stem = "".join(c if c.isalnum() else "-" for c in f"{name}-{kind}")
    keep.mkdir(parents=True, exist_ok=True)
    if not (keep / stem).exists():
        (keep / stem).write_bytes(data)
        print(f"finding: {name}: {kind}: {said}", flush=True)


def main() -> None:
    """Read the command line; fuzz every reader in turn; write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60, help="in all")
    parser.add_argument("--readers", help="names, with commas between [default: all]")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child, asked.seed, asked.minutes, asked.place)
        return
    from layerfusion.provenance import provenance

    with tempfile.TemporaryDirectory() as folder:
        names = asked.readers.split(",") if asked.readers else list(targets(Path(folder)))
    rows = []
    for name in names:
        rows.append(campaign(name, asked.minutes / len(names), asked.keep))
        print(json.dumps(rows[-1]), flush=True)
        result = {"date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "readers": rows,
                  "load_average": os.getloadavg()[0], "provenance": provenance()}  # fmt: skip
        (RESULTS / "fuzz.json").write_text(json.dumps(result, indent=2) + "\n")
    print(pd.DataFrame(rows).to_string())


if __name__ == "__main__":
    main()
