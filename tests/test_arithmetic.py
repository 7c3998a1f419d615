"""What a process computes with is what its profile says, and is on record."""

import json
import os
import platform
import subprocess
import sys

import pytest
import torch

from layerfusion.arithmetic import PORTABLE, arithmetic, recording, use_arithmetic
from layerfusion.provenance import processor
from layerfusion.settings import ComputeSettings, load_profile

FRESH = """
import json, os
from layerfusion.runs.experiment import Experiment
from layerfusion.arithmetic import arithmetic, use_arithmetic
from layerfusion.settings import ComputeSettings
use_arithmetic(ComputeSettings(instructions="portable", threads=1))
print(json.dumps(arithmetic()))
"""


@pytest.mark.parametrize(
    ("instructions", "before", "after"),
    [
        ("portable", {}, PORTABLE),
        ("portable", {"MKL_CBWR": "AVX2"}, PORTABLE | {"MKL_CBWR": "AVX2"}),  # a user's stays
        ("native", {}, {}),
    ],
)
def test_portable_arithmetic_sets_what_a_user_has_not(instructions, before, after, monkeypatch):
    monkeypatch.setattr("os.environ", environ := dict(before))
    use_arithmetic(ComputeSettings(instructions=instructions))
    assert environ == after


def test_threads_are_set_and_told():
    before = torch.get_num_threads()
    try:
        use_arithmetic(ComputeSettings(threads=1))
        assert arithmetic()["threads"] == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("profile", ["demo", "paper", "photographs", "folder"])
def test_a_users_own_run_uses_the_whole_machine(profile):
    assert load_profile(profile).compute == ComputeSettings()


def test_what_is_recorded_is_computed_portably_in_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # what a user has set stays
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with recording():
        assert {name: os.environ[name] for name in PORTABLE}.keys() == PORTABLE.keys()
        assert os.environ["OMP_NUM_THREADS"] == "3" and os.environ["MKL_NUM_THREADS"] == "1"
    assert dict(os.environ) == before


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="needs an x86-64")
def test_a_fresh_process_computes_with_avx2_at_most():
    done = subprocess.run(
        [sys.executable, "-c", FRESH], capture_output=True, text=True, check=True, env={"PATH": ""}
    )
    found = json.loads(done.stdout)
    assert found["instructions"] in ("AVX2", "DEFAULT", "NO AVX")
    assert found["threads"] == 1 and found["variables"] == PORTABLE


def test_a_processor_is_known_by_more_than_its_name():
    told = processor()
    assert told["name"] and told.keys() == {"name", "vendor", "family", "model", "flags"}
    if platform.system() == "Linux" and platform.machine() == "x86_64":
        assert isinstance(told["family"], int) and "sse4_2" in told["flags"]
