"""The README's commands and code, each executed once, on tiny images with tiny settings."""

import re
import shlex
import shutil

import pytest

from conftest import TINY, TINY_OPTIONS, describe_images
from layerfusion.apps.evidence import serving
from layerfusion.model import known_weights
from layerfusion.paths import runs_root
from test_project import ROOT, readme_commands

# Settings under which a run can be exported: a frozen encoder that is named.
RUN = "-p folder -d {photos} --set encoder.trained_blocks=0 --set encoder.activation=quick_gelu"
# In this order, for some need what others made.
COMMANDS = {
    "data check": RUN,
    "data manifest": RUN,
    "data card": "-d {card} --out {out}/card --name photos",
    "weights list": "",
    "weights get": "clip-vit-b-16-int8",
    "train": RUN + " --run open",
    "score": "{photos}/test --detector demo --out {out}/scores.csv",
    "calibrate": "{own} --out {out}/calibrated --detector demo --report {out}/calibrated.html",
    "inspect": "{photos}/test/0.jpg --detector {out}/calibrated --report {out}/report.html",
    "serve": "--port 0 --detector {out}/calibrated",
    "submit": RUN + " --run open --images {photos}/test --team ours --out {out}",
    "submission check": "{out}/ours_open.csv --images {photos}/test",
    "export": RUN + " --run open --out {out}/exported --predictions {out}/scores.parquet",
}

# Executed where their results are tested, for each takes a minute.
ELSEWHERE = {
    "seal": "tests/experiments/test_sealing.py",
    "unseal": "tests/experiments/test_sealing.py",
    "chapters run": "tests/pages/chapters/test_execution.py",
    "study claims": "tests/experiments/test_study.py",
    "study weights": "tests/experiments/test_study.py",
    "study baselines": "tests/experiments/test_baseline_studies.py",
    "study detectors": "tests/experiments/test_given.py",
    "study corruptions": "tests/experiments/test_given.py",
    "study content": "tests/experiments/test_content.py",
    "study processors": "tests/analysis/test_recorded.py",
}


def code_blocks(language):
    text = (ROOT / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def words_of_command(line):
    """The first words of a line after `layerfusion`, which name the command."""
    groups = {"data", "weights", "submission", "chapters", "study"}
    return " ".join(line.split()[: 2 if line.split()[0] in groups else 1])


def test_every_command_of_the_readme_is_executed():
    named = {words_of_command(line) for line in readme_commands("layerfusion")}
    assert named == COMMANDS.keys() | ELSEWHERE.keys()
    assert all((ROOT / path).is_file() for path in ELSEWHERE.values())


@pytest.fixture
def places(photos, tmp_path):
    """Folders for the commands: photos, enough of them to calibrate on, and described ones."""
    own, card, out = tmp_path / "own", tmp_path / "described", tmp_path / "out"
    out.mkdir()
    for split in ("constrained", "social"):
        for label in ("real", "synthetic"):
            shutil.copytree(photos / "train" / split / label, own / label / split)
    shutil.copytree(photos / "val", card / "val")
    describe_images(card)
    return {"photos": photos, "own": own, "card": card, "out": out}


def test_the_commands_of_the_readme_succeed(run, places, monkeypatch):
    monkeypatch.setattr(known_weights, "fetch", lambda *_, **__: "weights.safetensors")
    monkeypatch.setattr(serving.Server, "run", lambda self: None)
    for command, words in COMMANDS.items():
        options = TINY_OPTIONS if "-p folder" in words else []
        given = shlex.split(words.format(**places))
        status, _, err = run(*command.split(), *options, *given)
        assert status == 0, f"{command}: {err}"
    assert len(list(places["out"].iterdir())) == 8


def test_the_code_of_the_readme_runs(photos, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").symlink_to(photos)
    paths = sorted((photos / "val").rglob("*.png"))
    labels = [path.parent.name == "synthetic" for path in paths]
    names = {"paths": paths, "labels": labels, "TINY": TINY}
    tiny = 'profile="demo", data_root="photos", overrides=TINY'
    mine = f'"{runs_root() / "my-detector"}"'  # where it may name the file of its tiny tower
    for code in code_blocks("python"):
        exec(code.replace('profile="demo"', tiny).replace('"my-detector"', mine), names)
    assert names["probabilities"].shape == (len(paths), 2)
    assert names["run"].directory == finished.directory
