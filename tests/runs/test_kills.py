"""A training that is killed and given again: whole files, and the numbers of one left alone."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "kill_campaign.py"


@pytest.fixture(scope="module")
def kills():
    spec = importlib.util.spec_from_file_location("kill_campaign", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_killed_training_loses_nothing(kills, tmp_path):
    images, tower = kills.draw_images(tmp_path / "images"), tmp_path / "tower.json"
    tower.write_text(json.dumps(kills.TOWER))
    training = kills.commands(images, tower)[0]
    outcome = kills.campaign(training, 2, tmp_path / "runs")
    assert outcome.damaged == [] and outcome.equal


def test_a_damaged_file_is_noticed(kills, tmp_path):
    (tmp_path / "record.json").write_text('{"half": ')
    (tmp_path / "scores.csv").write_text("")
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1")
    (tmp_path / ".manifest.parquet.partial").write_bytes(b"PAR1")
    (tmp_path / ".getting").mkdir()
    (tmp_path / ".getting" / "weights.safetensors").write_bytes(b"half")
    named = [line.partition(":")[0] for line in kills.damaged_files(tmp_path)]
    assert named == ["manifest.parquet", "record.json", "scores.csv"]
    assert kills.unfinished_bytes(tmp_path) == 8


def test_the_page_says_what_the_campaign_found(kills):
    """Its sentence holds for every command that it names, and these are all."""
    found = json.loads((kills.RESULTS / "kill_campaign.json").read_text(encoding="utf-8"))
    outcomes = found["outcomes"]
    assert not found["provenance"]["git_dirty"]
    assert sum(outcome["kills"] for outcome in outcomes) >= 50
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
