"""What README and pages tell a reader to type, executed: each line once, on tiny images.

A line is executed as it is written, in a folder that has what it names. Only settings that make a
run small are added. A line that takes too long is executed in the test that it is listed with.
"""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import trees
from conftest import TINY, describe_images, draw_classes
from documents import ROOT, code_blocks, command_of, command_tree, shell_lines
from layerfusion.apps.evidence import serving
from layerfusion.experiments import processors
from layerfusion.model import known_weights
from layerfusion.model.weights import build_tower
from layerfusion.paths import reference_folder, runs_root
from layerfusion.scoring import detectors

PAGES = ("README.md", "book/own_images.md", "book/reproducing.md")

# Lines that are executed where their results are tested.
PAPERMILL = "tests/pages/chapters/test_chapters.py::test_papermill_runs_a_chapter"
ELSEWHERE = {
    "jupyter-book build book": "tests/book/test_site.py::jupyter_book",
    "papermill book/03_open_run.py out.ipynb -p seed 1337":
        "tests/pages/chapters/test_chapters.py::test_the_demo_calls_no_network",
    "papermill book/03_open_run.py out.ipynb -p seed 7": PAPERMILL,
    "papermill book/03_open_run.py out.ipynb -p profile folder -p data_root DIR": PAPERMILL,
    "papermill book/03_open_run.py out.ipynb -p profile paper -p data_root DIR":
        "tests/pages/chapters/test_paper_profile.py::executed",
    "layerfusion book --profile paper --data-root data":
        "tests/pages/chapters/test_execution.py::test_the_commands_execute_chapters_and_build_a_book",
    "torchrun --nproc-per-node 4 -m -- layerfusion train --run open --profile paper --data-root "
    "data": "tests/parallel/test_parallel.py::train_with_torchrun",
    "layerfusion study claims --profile photographs --data-root photos --seeds 10":
        "tests/experiments/test_study.py::test_the_command_prints_and_publishes",
    "python tools/recompute_claims.py runs/reference/photographs":
        "tests/tools/test_recompute_claims.py::"
        "test_published_claims_recompute_without_the_package",
}  # fmt: skip

# Commands that these pages do not show.
FURTHER = (
    "layerfusion data manifest --profile folder --data-root photos",
    "layerfusion data card --data-root described --out card --name photos",
    "layerfusion serve --port 0",
    "layerfusion study processors",
)
COMMANDS_ELSEWHERE = {
    "chapters run": ELSEWHERE["layerfusion book --profile paper --data-root data"],
    "study corruptions": "tests/experiments/test_given.py::"
    "test_the_command_needs_nothing_but_a_folder",
    "study content": "tests/experiments/test_content.py::"
    "test_the_command_draws_a_sheet_and_counts",
}  # fmt: skip

# What makes a run of a profile small. The sizes replace those of a line, all else yields to it.
SIZES = ("encoder.model", "images.")
FROZEN = TINY | {"encoder.trained_blocks": 0, "encoder.activation": "quick_gelu",
                 "encoder.prefix_precision": "float32", "training.epochs": 1}  # fmt: skip
SMALL = {
    "paper": trees.SMALL,
    "photographs": FROZEN | {"head.projection_width": 16, "head.hidden_width": 16},
    "folder": TINY | {"training.epochs": 1},
}
# Of a study the trainings are printed, one of which test_study executes.
PRINTED = re.compile(r"study (weights|blocks|trained|augmentations|activation|data|curve) ")
VARIED = {"study activation": "encoder.activation", "study trained": "encoder.trained_blocks"}
SHORTER = {"study layers": ["--seeds", "2", "--only", "linear-svm"]}


def all_lines():
    return [line for page in PAGES for line in shell_lines(page)]


def executed_lines():
    """The lines that are executed here, without what is no command of this project."""
    lines = [*all_lines(), *FURTHER]
    return [line for line in lines if line not in ELSEWHERE and not line.startswith("make ")]


def test_every_line_is_executed_here_or_elsewhere():
    strange = [
        line
        for line in executed_lines()
        if not re.match(r"mkdir \w+$", line)
        and command_of(line.removeprefix("layerfusion ")) is None
    ]
    assert strange == []
    assert ELSEWHERE.keys() <= set(all_lines())


@pytest.mark.parametrize("where", sorted({*ELSEWHERE.values(), *COMMANDS_ELSEWHERE.values()}))
def test_a_test_that_is_named_is_there(where):
    path, _, name = where.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text("utf-8"), flags=re.MULTILINE)


def test_every_command_is_executed():
    lines = [*ELSEWHERE, *executed_lines()]
    shown = {command_of(line.partition("layerfusion ")[2]) for line in lines} - {None}
    assert shown | COMMANDS_ELSEWHERE.keys() == command_tree().keys()


@pytest.mark.parametrize(
    ("target", "does"), [("book", "layerfusion book"), ("test", "pytest --nbval")]
)
def test_make_does_what_the_readme_says(target, does):
    assert f"make {target}" in all_lines()
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert does in done.stdout


def words_of(line):
    """The words of a line, with the settings that make a run of its profile small."""
    words = shlex.split(line)[1:]
    command = command_of(" ".join(words[:2]))
    profile = words[words.index("--profile") + 1] if "--profile" in words else None
    given = {word.partition("=")[0] for word in words}
    for name, value in SMALL.get(profile, {}).items():
        if name.startswith(SIZES) or name not in given | {VARIED.get(command)}:
            words += ["--set", f"{name}={value}"]
    return words + SHORTER.get(command, []) + ["--commands"] * bool(PRINTED.match(f"{command} "))


def with_key(word):
    """A path in which KEY stands for the key of a study."""
    if "-KEY" not in word:
        return word
    (found,) = runs_root().glob(word.removeprefix("runs/").replace("KEY", "*[0-9a-f]"))
    return found


@pytest.fixture
def workplace(photos, finished, tiny_profile, monkeypatch):
    """A folder with all that the lines name; the detector of a tiny run is the default."""
    here, detector = runs_root() / "here", finished.directory / "detector"
    here.mkdir()
    monkeypatch.chdir(here)
    trees.plant(Path("data"), images=2)
    rng = np.random.default_rng(1)
    draw_classes(Path("photos"), {"train/constrained": 6, "train/social": 4, "val": 6}, rng)
    draw_classes(Path("mine"), {"train/flickr": 6, "val": 6}, rng)
    draw_classes(Path("labelled"), {"a": 13, "b": 12}, rng)
    shutil.copytree(photos / "test", "photos/test")
    shutil.copy(photos / "test" / "0.jpg", "holiday.jpg")
    shutil.copytree(photos / "val", "described/val")
    describe_images(Path("described"))
    Path("plan.md").write_text("ROC AUC, over sources.")
    labels = {f"test/{number}.jpg": number % 2 for number in range(6)}
    pd.Series(labels, name="label").rename_axis("image_id").to_csv("labels.csv")
    torch.save(build_tower(tiny_profile.encoder).state_dict(), "ViT-L-14.pt")
    monkeypatch.setattr(detectors, "DEFAULT_FOLDER", detector)
    for name in detectors.SHIPPED:
        monkeypatch.setitem(detectors.SHIPPED, name, detector)


def test_the_lines_succeed(run, workplace, monkeypatch):
    monkeypatch.setattr(known_weights, "fetch", lambda *_, **__: "weights.safetensors")
    monkeypatch.setattr(serving.Server, "run", lambda self: None)
    measured = pd.read_csv(reference_folder("demo") / processors.SPREAD)  # it takes an hour
    monkeypatch.setattr(processors, "measure_processors", lambda *_: measured)
    for line in dict.fromkeys(executed_lines()):
        if line.startswith("mkdir "):
            Path(line.split()[1]).mkdir()
            continue
        status, _, err = run(*map(with_key, words_of(line)))
        assert status == 0, f"{line}: {err}"
        assert all(Path(made).exists() for made in re.findall(r"--(?:out|report) (\S+)", line)), (
            line
        )


def test_the_code_of_the_readme_runs(photos, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").symlink_to(photos)
    paths = sorted((photos / "val").rglob("*.png"))
    labels = [path.parent.name == "synthetic" for path in paths]
    names = {"paths": paths, "labels": labels, "TINY": TINY}
    tiny = 'profile="demo", data_root="photos", overrides=TINY'
    mine = f'"{runs_root() / "my-detector"}"'  # where it may name the file of its tiny tower
    for code in code_blocks("README.md", "python"):
        exec(code.replace('profile="demo"', tiny).replace('"my-detector"', mine), names)
    assert names["probabilities"].shape == (len(paths), 2)
    assert names["run"].directory == finished.directory
