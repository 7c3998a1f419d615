"""A training on bad days: whole files, and the numbers of one that was left alone."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "bad_days.py"


@pytest.fixture(scope="module")
def days():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PROGRAM.parent))
        spec = importlib.util.spec_from_file_location("bad_days", PROGRAM)
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "bad_days", module)  # dataclasses look there
        spec.loader.exec_module(module)
        yield module


def test_a_training_loses_nothing_to_kills_and_a_full_disk(tmp_path):
    kinds = "kill,disk" if shutil.which("cc") and sys.platform == "linux" else "kill"
    words = ["--commands", "training", "--days", kinds, "--tries", "2"]
    out = tmp_path / "out.json"
    subprocess.run([sys.executable, PROGRAM, *words, "--out", out], capture_output=True)
    for outcome in json.loads(out.read_text())["outcomes"]:
        assert outcome["tries"] and outcome["equal"], outcome
        assert not (outcome["damaged"] or outcome["left"]), outcome


def test_a_damaged_file_is_noticed(days, tmp_path):
    (tmp_path / "record.json").write_text('{"half": ')
    (tmp_path / "scores.csv").write_text("")
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1")
    (tmp_path / ".manifest.parquet.partial").write_bytes(b"PAR1")
    (tmp_path / ".getting").mkdir()
    (tmp_path / ".getting" / "weights.safetensors").write_bytes(b"half")
    named = [line.partition(":")[0] for line in days.damaged_files(tmp_path)]
    assert named == ["manifest.parquet", "record.json", "scores.csv"]
    unfinished = [".getting/weights.safetensors", ".manifest.parquet.partial"]
    assert days.unfinished_files(tmp_path) == unfinished


def test_the_page_says_what_the_campaign_found(days):
    """Its sentence holds for every command that it names, and these are all."""
    found = json.loads((days.RESULTS / "bad_days.json").read_text(encoding="utf-8"))
    outcomes = found["outcomes"]
    assert not found["provenance"]["git_dirty"]
    for day in ("kill", "signal", "disk", "two"):
        assert sum(outcome["tries"] for outcome in outcomes if outcome["day"] == day) >= 30
    for outcome in outcomes:
        assert outcome["equal"] and not outcome["damaged"] and not outcome["left"], outcome
    page = (PROGRAM.parents[1] / "book" / "reproducing.md").read_text(encoding="utf-8")
    ((names, _),) = re.findall(r"gives them again:\s+(.*?)\.\s(No file was ever)", page, re.DOTALL)
    named = {"getting of weights": "weights"}
    told = {
        named.get(name, name)
        for name in re.split(r",\s+|\s+and\s+", re.sub(r"\b(?:an?|the)\s+", "", names))
    }
    assert told == {outcome["command"] for outcome in outcomes}
