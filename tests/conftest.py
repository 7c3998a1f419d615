"""Small worlds for the tests: every image is made here, in a temporary folder."""

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image

from browsing import chromium
from layerfusion.analysis.comparison import Comparison
from layerfusion.cli.main import main
from layerfusion.data.manifest import COLUMNS, Manifest
from layerfusion.metrics.probability import probability
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.metrics.uncertainty import resample_images
from layerfusion.model.detector import Detector
from layerfusion.paths import runs_root
from layerfusion.runs.experiment import RECORDED, Experiment
from layerfusion.scoring.detectors import DEMO_FOLDER, write_reference
from layerfusion.settings import load_profile

# How a line of a log begins: time, level, text.
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (DEBUG|INFO|WARNING|ERROR) (?=\S)")

# A tower smaller than the demo's, known to OpenCLIP as `demo-tiny`; used with random weights.
TOWERS = Path(__file__).parent / "towers"
open_clip.add_model_config(TOWERS)

# Small enough that a whole run takes about two seconds, and still the demo's code path.
TINY = {
    "encoder.model": str(TOWERS / "demo-tiny.json"),
    "encoder.weights": "random",
    "images.crop": 48,
    "images.min_side": 64,
    "images.augmentation.resample_size": [40, 48],
    "encoder.trained_blocks": 2,
    "data.sources": [{"kind": "folder"}],
    "training.epochs": 2,
    "loader.workers": 0,
}
TINY_OPTIONS = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]


def pytest_configure():
    """Have chapters that are executed again read the committed demo runs instead of training."""
    os.environ.setdefault(RECORDED, "1")


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's
def pytest_xdist_make_scheduler(config, log):
    """Deal tests to workers by file; chapters share runs, so one worker has all of them."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return "chapters" if nodeid.startswith("runs/") else super()._split_scope(nodeid)

    return ByFile(config, log)


def pytest_collection_modifyitems(config, items):
    """Put chapters first where workers share the tests, for they take longest."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.path.suffix != ".ipynb")


@pytest.fixture(autouse=True)
def own_runs_folder(tmp_path, monkeypatch):
    """Keep every test out of the checkout's runs and the user's cache."""
    monkeypatch.setenv("LAYERFUSION_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LAYERFUSION_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def run(monkeypatch, capfd):
    """Run the command line; returns (exit status, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["layerfusion", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return (stopped.value.code or 0, *capfd.readouterr())

    return run


@pytest.fixture
def tiny_profile():
    """The demo profile, reading a folder and finishing in seconds."""
    return load_profile("demo", TINY)


def open_tiny(photos, run="open", **named):
    """Open the tiny experiment on the photos; further settings and arguments replace its own."""
    named["overrides"] = TINY | named.get("overrides", {})
    return Experiment.open(run, **{"profile": "demo", "data_root": photos} | named)


@pytest.fixture(scope="session")
def trained(photos, tmp_path_factory):
    """A runs folder with the finished tiny open run: to be read; a test that writes takes a copy.

    Where a test needs a finished run and not its training, this is the one.
    """
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFUSION_RUNS", str(folder))
        open_tiny(photos).obtain()
    return folder


@pytest.fixture
def finished(trained, photos):
    """The finished tiny run, in a runs folder of this test's own."""
    shutil.copytree(trained, runs_root(), dirs_exist_ok=True)
    return open_tiny(photos).obtain()


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder in the default layout whose two classes can be told apart: bright and dark."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(5)
    draw_classes(root, {"train/constrained": 16, "train/social": 12, "val": 12}, rng)
    (root / "test").mkdir()
    for index in range(6):
        draw_image(rng, dark=index % 2 == 1).save(root / "test" / f"{index}.jpg", quality=95)
    return root


def draw_classes(root, counts, rng, *, odd=None, other=(72, 70)):
    """Draw so many images of each class in folders below `root`, synthetic ones dark.

    If an `odd` number is given, every image of a multiple of it looks like the other class. Images
    of even numbers have the `other` size.
    """
    for folder, count in counts.items():
        for label in ("real", "synthetic"):
            directory = root / folder / label
            directory.mkdir(parents=True)
            for index in range(count):
                dark = (label == "synthetic") != (odd is not None and index % odd == 0)
                image = draw_image(rng, dark=dark, size=(72, 70) if index % 2 else other)
                image.save(directory / f"{index:02d}.png")


def draw_image(rng, *, dark, size=(72, 70)):
    """Draw a noisy colour gradient, dark or bright."""
    width, height = size
    slope = rng.uniform(20, 80, 3) * np.linspace(0, 1, width)[None, :, None]
    pixels = slope + rng.normal(20 if dark else 150, 12, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def scored(tmp_path_factory):
    """Both runs on images whose scores are drawn here: the open run tells the classes apart better.

    Nothing is trained. Of the local images half are small and half were shared; the official ones
    have no labels.
    """
    root, rng, images = tmp_path_factory.mktemp("scored"), np.random.default_rng(11), 240
    label = np.arange(images) % 2
    rows = pd.DataFrame(
        {
            "path": [f"val/{number:03d}.png" for number in range(images)],
            "label": pd.array(label, dtype="Int8"),
            "split": "val",
            "source": "wild",
            "generator": np.where(label == 1, np.where(np.arange(images) % 4 == 1, "A", "B"), None),
            "platform": np.where(np.arange(images) % 3 == 0, "Facebook", None),
            "width": np.where(np.arange(images) < images // 2, 60, 200),
            "height": 100,
            "format": "PNG",
            "bytes": rng.integers(1000, 9000, images),
        }
    )
    manifest = Manifest(root, rows, pd.DataFrame(columns=["path", "reason"]))
    experiment = SimpleNamespace(
        profile=SimpleNamespace(training=SimpleNamespace(small_side=100)), manifest=manifest
    )
    counts = resample_images(label, resamples=200, seed=1)
    runs, local = {}, {}
    for run, strength in (("constrained", 0.8), ("open", 1.8)):
        logit = rng.normal(strength * (2 * label - 1), 1.5) - 4
        table = rows.drop(columns=["bytes"]).rename(columns={"path": "image_id"})
        table = table.assign(logit=logit)
        threshold = best_f1_threshold(label, probability(logit))
        runs[run] = SimpleNamespace(record=SimpleNamespace(threshold=threshold))
        local[run] = ScoredImages(table, logit[None], counts, np.array([threshold]))
    small = {run: own.subset(np.arange(images) < images // 2) for run, own in local.items()}
    return Comparison(dict.fromkeys(runs, experiment), runs, {"local": local, "small": small})


def describe_images(root):
    """Write the manifest.csv that a data card needs, of a tree in the default layout."""
    paths = sorted(root.rglob("*.png"))
    rows = pd.DataFrame({"path": [path.relative_to(root).as_posix() for path in paths]})
    rows["sha256"] = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    rows.assign(
        label=rows["path"].str.contains("synthetic").astype(int),
        split=rows["path"].str.split("/").str[0], source="mine", generator="", platform="",
        style="photo", width=72, height=70, origin="", licence="CC0-1.0",
    ).to_csv(root / "manifest.csv", index=False)  # fmt: skip


def manifest_rows(*rows):
    """Rows of a manifest, of dicts; what they do not say is filled in."""
    usual = {
        "label": 0,
        "split": "train",
        "source": "coco",
        "generator": None,
        "platform": None,
        "width": 640,
        "height": 480,
        "format": "JPEG",
        "bytes": 1000,
        "sha256": None,
        "phash": None,
    }
    named = [{"path": f"{number:04d}.jpg"} | usual | row for number, row in enumerate(rows)]
    numbers = {"label": "Int8", "width": "Int32", "height": "Int32", "bytes": "Int64"}
    return pd.DataFrame(named, columns=COLUMNS).astype(
        {column: numbers.get(column, "str") for column in COLUMNS}
    )


def photo(width, height, seed=0):
    """Noise on a coloured ramp: neither flat nor unlike itself when mirrored or turned."""
    y, x = np.mgrid[:height, :width]
    ramp = np.stack([x * 255 / width, y * 255 / height, (x + y) * 127 / (width + height)], axis=-1)
    noise = np.random.default_rng(seed).normal(0, 20, ramp.shape)
    return Image.fromarray(np.clip(ramp + noise, 0, 255).astype(np.uint8))


def tiny_detector(seed=1, **overrides):
    """A detector of the tiny tower in evaluation mode, its head drawn from the seed."""
    profile = load_profile("demo", TINY | overrides)
    return Detector.build(profile.encoder, profile.head, profile.images, seed=seed).eval()


def tiny_images(count, seed=0):
    """Noise as the tiny tower takes it: uint8, shape (count, 3, 48, 48)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 48, 48), dtype=torch.uint8, generator=generator)


def demo_detector():
    """The toy that comes with the package."""
    return Detector.load(DEMO_FOLDER)


@pytest.fixture(scope="session")
def detector(tmp_path_factory):
    """The toy's folder, with reference scores: `layerfusion inspect` can read it."""
    folder = tmp_path_factory.mktemp("inspect") / "detector"
    shutil.copytree(DEMO_FOLDER, folder)
    label = np.arange(200) % 2
    logit = np.random.default_rng(0).normal(label * 2.0)
    write_reference(pd.DataFrame({"label": label, "logit": logit}), folder)
    return folder


@pytest.fixture(scope="session")
def inspector(detector):
    from layerfusion.apps.evidence.inspection import Inspector

    return Inspector.load(detector)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    yield from chromium(tmp_path_factory.mktemp("chromium"))
