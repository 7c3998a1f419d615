"""`benchmarks/ray/score.py`: the table of `score`, on two workers of which one is killed."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from PIL import Image

from layerfusion.paths import project_root
from layerfusion.scoring.files import score

pytest.importorskip("ray.data")  # not among the locked packages: pip install "ray[data]"

SCRIPT = project_root() / "benchmarks" / "ray" / "score.py"


@pytest.fixture
def folder(tmp_path):
    """150 images, three batches, and a file that is none."""
    place = tmp_path / "images"
    place.mkdir()
    for number in range(150):
        Image.new("RGB", (70, 60 + number % 9), (number, 90, 200 - number)).save(
            place / f"{number}.png"
        )
    (place / "broken.jpg").write_text("nothing")
    return place


def started(folder, tmp_path):
    command = [sys.executable, str(SCRIPT), str(folder), "--detector", "demo"]
    command += ["--out", str(tmp_path / "out.csv"), "--parts", str(tmp_path / "parts")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def workers(of):
    """Return the processes below a running script that hold a scorer."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True)
    table = [line.split(None, 2) for line in listed.stdout.splitlines()]
    parents = {int(pid): int(parent) for pid, parent, _ in table}

    def below(pid):
        return pid == of.pid or (pid in parents and below(parents[pid]))

    return [int(pid) for pid, _, name in table if "ray::MapWorker" in name and below(int(pid))]


def test_a_killed_worker_loses_no_image_and_another_call_finds_all(folder, tmp_path):
    running = started(folder, tmp_path)
    while not (found := workers(running)) and running.poll() is None:
        time.sleep(0.05)
    os.kill(found[0], signal.SIGKILL)
    said = running.communicate()[0]
    assert running.returncode == 0, said
    own = pd.read_csv(tmp_path / "out.csv", dtype={"predicted": "Int8"})
    plain = score(folder, "demo").reset_index(drop=True)
    plain.to_csv(tmp_path / "plain.csv", index=False, lineterminator="\n")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
    assert len(own) == 151 and own["error"].notna().sum() == 1

    next((tmp_path / "parts").glob("00000001-*")).unlink()
    again = started(folder, tmp_path)
    said = again.communicate()[0]
    assert "151 images in 3 batches, 1 of them to be scored" in said and again.returncode == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
