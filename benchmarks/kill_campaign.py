"""Kill commands at random moments, give them again, and hold what they leave against the rules.

After every kill each file must be whole, as it was before or as it is to be; at the end results
must be those of a command that nobody killed::

    python benchmarks/kill_campaign.py --kills 50

Training (resumed from its checkpoints), the manifest, and scoring with the prefix cache, on drawn
images and a small encoder. SIGKILL leaves a process no time for anything, as a lost machine or the
kernel's out-of-memory killer does. Some minutes.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from safetensors import safe_open

RESULTS = Path(__file__).parent / "results"
TOWER = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1},
}
SETTINGS = [
    "encoder.weights=random", "encoder.trained_blocks=1", "images.crop=32", "images.min_side=40",
    "training.epochs=3", "training.precision=fp32", "training.batch_size=4", "loader.workers=0",
    "loader.prefix_cache=true", "training.checkpoint_minutes=0.0001", "head.projection_width=8",
    "head.hidden_width=8", "runs.open.train_sources=[folder]",
    "runs.constrained.train_sources=[folder]",
]  # fmt: skip

# What may be found half-written: names that no reader takes for a result.
UNFINISHED = (".partial", ".lock", ".tmp")


@dataclass(frozen=True)
class Command:
    """A command line, and the digest of what it leaves behind.

    Attributes
    ----------
    name
        For the table.
    words
        After ``layerfusion``.
    result
        Given the folder in which it ran: a digest of its result.
    """

    name: str
    words: list[str]
    result: Callable[[Path], str]


@dataclass
class Outcome:
    """What became of one command.

    Attributes
    ----------
    kills
        SIGKILLs that met it alive.
    damaged
        Files that could not be read after a kill, each named once.
    equal
        Whether its result is that of a command that was left alone.
    seconds
        All of it.
    """

    command: str
    kills: int
    damaged: list[str]
    equal: bool
    seconds: float


def commands(images: Path, tower: Path) -> list[Command]:
    """Return what is killed: a training, a manifest, a scoring."""
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    profile = ["-p", "folder", "-d", str(images), "--set", f"encoder.model={tower}", *settings]
    scored = ["score", str(images), "--detector", "demo", "--prefix-cache", "--out", "scores.csv"]
    return [
        Command("training", ["train", "--run", "open", *profile], _training_result),
        Command(
            "manifest", ["data", "manifest", "--out", "manifest.parquet", *profile], _table_result
        ),
        Command("scoring", scored, _table_result),
    ]


def campaign(command: Command, kills: int, folder: Path, *, seed: int = 0) -> Outcome:
    """Run a command alone, then killed again and again, and compare."""
    begun, moments = time.perf_counter(), random.Random(seed)
    alone, killed = folder / "alone", folder / "killed"
    for place in (alone, killed):
        place.mkdir(parents=True)
    started = time.perf_counter()
    subprocess.run(_argv(command), cwd=alone, env=_env(alone), check=True, capture_output=True)
    lasts = time.perf_counter() - started
    damaged: dict[str, None] = {}
    met = attempts = 0
    while met < kills and attempts < 3 * kills:
        attempts += 1
        _forget(killed)  # what came to its end begins anew
        started = time.perf_counter()
        process = subprocess.Popen(
            _argv(command), cwd=killed, env=_env(killed),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            process.wait(moments.uniform(0.2, 1.0) * lasts)
            lasts = min(lasts, time.perf_counter() - started)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            met += 1
        damaged |= dict.fromkeys(damaged_files(killed))
    again = [*_argv(command), *(["--resume"] if command.words[0] == "train" else [])]
    subprocess.run(again, cwd=killed, env=_env(killed), check=True, capture_output=True)
    equal = command.result(alone) == command.result(killed)
    seconds = round(time.perf_counter() - begun, 1)
    return Outcome(command.name, met, list(damaged), equal, seconds)


def damaged_files(folder: Path) -> list[str]:
    """Return the files below a folder that their readers cannot read, but for unfinished ones."""
    readers: dict[str, Callable[[Path], object]] = {
        ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
        ".parquet": pd.read_parquet,
        ".csv": pd.read_csv,
        ".safetensors": lambda path: safe_open(path, "pt").keys(),
    }
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix not in readers or path.name.endswith(UNFINISHED):
            continue
        try:
            readers[path.suffix](path)
        except Exception as error:
            found.append(f"{path.relative_to(folder).as_posix()}: {type(error).__name__}")
    return found


def draw_images(folder: Path, each: int = 12) -> Path:
    """Save photographs of noise and of a gradient, by split and label."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for label, low in (("real", 0), ("synthetic", 90)):
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(each):
                pixels = rng.integers(low, 256, (60, 70, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def _argv(command: Command) -> list[str]:
    return [sys.executable, "-m", "layerfusion", *command.words]


def _env(folder: Path) -> dict[str, str]:
    own = {"LAYERFUSION_RUNS": str(folder / "runs"), "LAYERFUSION_CACHE": str(folder / "cache")}
    return os.environ | own


def _forget(folder: Path) -> None:
    """Remove results, so that a command has work again; what it keeps to go on stays."""
    for path in (
        *folder.glob("*.csv"),
        *folder.glob("*.parquet"),
        *folder.glob("runs/*/*/record.json"),
    ):
        path.unlink()


def _training_result(folder: Path) -> str:
    record = next(folder.glob("runs/*/*/record.json"))
    values = json.loads(record.read_text(encoding="utf-8"))
    kept = {name: values[name] for name in ("key", "threshold", "metrics", "history")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _table_result(folder: Path) -> str:
    (table,) = (*folder.glob("*.csv"), *folder.glob("*.parquet"))
    return hashlib.sha256(table.read_bytes()).hexdigest()


def main() -> None:
    """Print a row a command, and keep them with date and hardware."""
    from layerfusion.provenance import provenance

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of all commands together")
    chosen = parser.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, tower = draw_images(folder / "images"), folder / "tower.json"
        tower.write_text(json.dumps(TOWER))
        todo = commands(images, tower)
        for number, command in enumerate(todo):
            share = (chosen.kills - 1 - number) // len(todo) + 1
            outcomes.append(campaign(command, share, folder / command.name))
            print(outcomes[-1], flush=True)
    kept = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "outcomes": [asdict(outcome) for outcome in outcomes],
        "provenance": provenance(),
    }
    path = RESULTS / "kill_campaign.json"
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(path.name)
    sys.exit(any(outcome.damaged or not outcome.equal for outcome in outcomes))


if __name__ == "__main__":
    main()
