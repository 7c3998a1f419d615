"""What a manifest of the paper's size costs: time and memory of every step before a training.

Run it from the checkout::

    python benchmarks/manifest_scale.py

It makes a manifest of 300,000 rows in the shape of the paper's sets, and a tree of tiny image
files; nothing of it is an image of these sets, and how long decoding takes on real ones is not
measured. Every step runs in a process of its own, so that its peak memory is its own.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

# Nothing of layerfusion is imported here: on Linux a process starts with its parent's peak memory.

PLATFORMS = ("Facebook", "Telegram", "Twitter")
FAMILIES = (
    "StyleGAN1", "StyleGAN2", "StyleGAN3", "StableDiffusion1.5", "StableDiffusion2",
    "StableDiffusion3", "StableDiffusionXL", "FLUX.1",
)  # fmt: skip
ROWS = 300_000
MAXRSS_TO_MIB = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts in bytes


def synthetic_files(rows: int) -> list[tuple[Any, ...]]:
    """Return what sources would say of so many files, in the proportions of the paper's sets."""
    share = rows / ROWS
    coco, social, evaluation = (round(count * share) for count in (80_000, 2_500, 10_000))
    corvi = "latent_diffusion_trainingset/train/latent_diffusion_text2img_set0"
    files: list[tuple[Any, ...]] = []
    for n in range(coco):
        files.append((f"train2017/{n:012d}.jpg", 0, "train", "coco", None, None))
        files.append((f"{corvi}/img{n:06d}.png", 1, "train", "corvi", "latent diffusion", None))
    for platform in PLATFORMS:
        for n in range(8 * social):
            family = FAMILIES[n % 8]
            fake = f"TrueFake/{platform}/Fake/{family}/images/{n:06d}.jpg"
            files.append((fake, 1, "train", "truefake", family, platform))
            real = f"TrueFake/{platform}/Real/FFHQ/{n:06d}.jpg"
            files.append((real, 0, "train", "truefake", None, platform))
    for n in range(evaluation):
        label = n % 2
        files.append((f"ITW-SM/{label}/x_{n:05d}.jpg", label, "val", "itw", None, "X"))
        files.append((f"test/taska_test/{n:032x}.jpg", None, "test", "hidden", None, None))
    return files


def synthetic_manifest(rows: int) -> Any:
    """Return a manifest of such files with random sizes and hashes, 1 % of them copies."""
    import numpy as np
    import pandas as pd

    from layerfusion.data.manifest import COLUMNS, SCANNED_DTYPES, Manifest, file_table

    table = file_table(synthetic_files(rows))
    rng, count = np.random.default_rng(0), len(table)
    content = np.where(rng.random(count) < 0.01, 0, np.arange(count)) + 1
    scanned = {
        "width": rng.integers(256, 1024, count),
        "height": rng.integers(256, 1024, count),
        "format": np.where(table["path"].str.endswith("png"), "PNG", "JPEG"),
        "bytes": rng.integers(20_000, 400_000, count),
        "sha256": [f"{number:064x}" for number in content],
        "phash": [f"{value:016x}" for value in rng.integers(0, 2**63, count)],
    }
    frame = table.join(pd.DataFrame(scanned).astype(SCANNED_DTYPES))
    skipped = pd.DataFrame({"path": [], "reason": []}, dtype="str")
    return Manifest(Path("images"), frame[COLUMNS], skipped)


def tiny_images(root: Path, count: int, pictures: int) -> Any:
    """Write so many files of `pictures` different images; return them as a source would.

    Files are links to the same few images, 60,000 each at most, which is what file systems allow.
    """
    import numpy as np
    from PIL import Image

    from layerfusion.data.manifest import file_table

    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(pictures):
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.jpg")
    names = [f"{number % 100:02d}/{number:06d}.jpg" for number in range(count)]
    for folder in {name[:2] for name in names}:
        (root / folder).mkdir()
    for number, name in enumerate(names):
        os.link(root / f"{number % pictures}.jpg", root / name)
    return file_table((name, 0, "train", "tiny", None, None) for name in names)


# A step prepares what it is about, unmeasured, and returns what is measured. It may return a
# number to be reported.
Step = Callable[[Path, argparse.Namespace], Callable[[], Any]]


def build(folder: Path, options: argparse.Namespace) -> Callable[[], Any]:
    """Make a table of what a source says of its files."""
    from layerfusion.data.manifest import file_table

    files = synthetic_files(options.rows)
    return lambda: len(file_table(files))


def save(folder: Path, options: argparse.Namespace) -> Callable[[], Any]:
    """Check all rows and write them as Parquet."""
    manifest = synthetic_manifest(options.rows)

    def step() -> int:
        manifest.save(folder / "manifest.parquet")
        return (folder / "manifest.parquet").stat().st_size

    return step


def loaded(measured: Callable[[Any], Any]) -> Step:
    """Make a step of something that is done to the loaded manifest."""

    def step(folder: Path, options: argparse.Namespace) -> Callable[[], Any]:
        from layerfusion.data.manifest import Manifest

        manifest = Manifest.load(folder / "manifest.parquet", folder)
        return lambda: measured(manifest)

    return step


def load(folder: Path, options: argparse.Namespace) -> Callable[[], Any]:
    """Read the Parquet file and check all rows."""
    from layerfusion.data.manifest import Manifest

    return lambda: len(Manifest.load(folder / "manifest.parquet", folder).rows)


def duplicates(manifest: Any) -> int:
    """Find equal and nearly equal images in different splits."""
    from layerfusion.data.duplicates import find_duplicates

    return len(find_duplicates(manifest.rows))


def selection(name: str) -> Step:
    """Choose the open run's training images by the quotas of the profile `paper`."""

    def measured(manifest: Any) -> int:
        from layerfusion.data.selection import select_training
        from layerfusion.settings import load_profile

        settings = load_profile("paper", {"data.selection.name": name}).data.selection
        chosen = select_training(manifest.select(split="train").rows, settings, "open")
        chosen.sha256()
        return len(chosen.rows)

    return loaded(measured)


def draws(folder: Path, options: argparse.Namespace) -> Callable[[], Any]:
    """Weigh the training images and draw an epoch."""
    from layerfusion.data.loading import draw_epoch, sampling_weights
    from layerfusion.data.manifest import Manifest

    rows = Manifest.load(folder / "manifest.parquet", folder).select(split="train").rows

    def step() -> int:
        weights = sampling_weights(rows, small_side=512, small_weight=1.25)
        return len(draw_epoch(weights, seed=1337, epoch=0))

    return step


def warnings(manifest: Any) -> int:
    """Compare the files of the classes."""
    from layerfusion.data.metadata import manifest_warnings

    return len(manifest_warnings(manifest))


def scanning(count: str, *, pictures: int, read_all: bool) -> Step:
    """Look at tiny files; the second time only their sizes and times are looked at."""

    def step(folder: Path, options: argparse.Namespace) -> Callable[[], Any]:
        import pandas as pd

        from layerfusion.data.scanning import scan

        root, table = folder / count, folder / f"{count}.parquet"
        if not root.exists():
            tiny_images(root, getattr(options, count), pictures).to_parquet(table)
        files = pd.read_parquet(table)
        asked = {"hash_files": read_all, "decode_files": read_all}
        scanned = partial(scan, root, files, cache=folder / "cache", **asked)
        return lambda: int(scanned()["reason"].isna().sum())

    return step


# In this order: `save` leaves the manifest that the steps after it load, and a first scan the cache
# of the second.
STEPS: dict[str, Step] = {
    "build": build,
    "save": save,
    "load": load,
    "digest": loaded(lambda manifest: manifest.digest()[:10]),
    "summary": loaded(lambda manifest: len(manifest.summary())),
    "warnings": loaded(warnings),
    "duplicates": loaded(duplicates),
    "selection shared": selection("shared"),
    "selection author": selection("author"),
    "draw an epoch": draws,
    "scan files, hashed and decoded": scanning("files", pictures=200, read_all=True),
    "scan them again": scanning("files", pictures=200, read_all=True),
    "scan links, headers and ends": scanning("links", pictures=200, read_all=False),
    "scan these again": scanning("links", pictures=200, read_all=False),
}


def measure(name: str, folder: Path, options: argparse.Namespace) -> None:
    """Run one step and print what it took as JSON: seconds, MiB before and at the peak, result."""
    import resource

    import psutil

    step = STEPS[name](folder, options)
    before = psutil.Process().memory_info().rss / 2**20
    begun = time.perf_counter()
    result = step()
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MAXRSS_TO_MIB
    found = {"seconds": round(seconds, 2), "before_mib": round(before), "peak_mib": round(peak)}
    print(json.dumps(found | {"result": result}))


def run_step(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run a step in a fresh process."""
    command = [sys.executable, __file__, "--step", name, "--folder", str(folder)]
    command += [f"--{count}={getattr(options, count)}" for count in ("rows", "files", "links")]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    memory = f"{measured['before_mib']:8} MiB before{measured['peak_mib']:8} MiB at the peak"
    print(f"{name:32}{measured['seconds']:9.2f} s{memory}", flush=True)
    return measured


def main() -> None:
    """Run all steps and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the synthetic manifest")
    parser.add_argument("--files", type=int, default=20_000, help="files that are decoded")
    parser.add_argument("--links", type=int, default=ROWS, help="files whose headers are read")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        measure(options.step, options.folder, options)
        return
    load_before = os.getloadavg()
    folder = Path(tempfile.mkdtemp(prefix="manifest-scale-"))
    try:
        steps = {name: run_step(name, folder, options) for name in STEPS}
    finally:
        shutil.rmtree(folder)
    from keeping import keep

    load_after = os.getloadavg()
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": options.rows,
        "files": options.files,
        "links": options.links,
        "load_average_minute": [round(load_before[0], 1), round(load_after[0], 1)],
        "machine_was_shared": max(load_before[0], load_after[1]) > 1.5 * (os.cpu_count() or 1),
        "steps": steps,
    }
    keep("manifest_scale", record)


if __name__ == "__main__":
    main()
