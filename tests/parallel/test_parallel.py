"""Two processes on a CPU: one training, one table of predictions, one voice."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import TINY, open_tiny
from layerfusion.data.loading import Draw, share_batch
from layerfusion.errors import UserError
from layerfusion.parallel import processes
from layerfusion.parallel.launcher import Launch, launched
from layerfusion.scoring.predictions import score_files
from layerfusion.settings import ImageSettings, LoaderSettings
from layerfusion.training import loop

PROGRAM = Path(__file__).parents[1] / "processes.py"

# Processes draw their dropout masks from streams of their own: without dropout two compute what one
# does, but for the order in which float32 numbers are added. On tiny runs that moved logits by
# 1e-6; a lost image, or a wrong weight of one, moves them by 1e-2 and more.
TOLERANCE = 1e-4

# 56 training images at batch 11: no share of a batch is as large as the other, and the last batch,
# of one image, leaves nothing to the second process. 23 validation images in five batches.
SHARED = {
    "head.dropout": 0.0,
    "training.batch_size": 11,
    "training.head_learning_rate": 3e-4,
    "loader.evaluation_batch_size": 5,
    "data.decode_files": False,  # so that a damaged image is met in training
}
LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID")


@pytest.fixture(scope="module")
def odd_photos(photos, tmp_path_factory):
    root = tmp_path_factory.mktemp("odd") / "photos"
    shutil.copytree(photos, root)
    (root / "val" / "real" / "00.png").unlink()
    return root


@pytest.fixture(scope="module")
def alone(odd_photos):
    """The run of one process; beside its runs folder, that of an interruption of it."""
    runs = odd_photos.parent / "alone"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFUSION_RUNS", str(runs))
        experiment = open_tiny(odd_photos, overrides=SHARED)
        save = loop.save_checkpoint
        patch.setattr(loop, "save_checkpoint", lambda *given: (save(*given), 1 / 0))
        with pytest.raises(ZeroDivisionError):  # at the end of the first epoch
            experiment.obtain()
        shutil.copytree(runs, odd_photos.parent / "interrupted")
        patch.setattr(loop, "save_checkpoint", save)
        return experiment.obtain()


def environment(runs, **named):
    kept = {name: value for name, value in os.environ.items() if name not in LAUNCHERS}
    return kept | {"LAYERFUSION_RUNS": str(runs), "OMP_NUM_THREADS": "1"} | named


def train_with_torchrun(root, runs):
    given = [word for name, value in (TINY | SHARED).items()
             for word in ("--set", f"{name}={json.dumps(value)}")]  # fmt: skip
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "--", "layerfusion", "train", "--run", "open", "--data-root", str(root)]
    return subprocess.run(
        [*command, *given],
        env=environment(runs),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run_as_srun_does(arguments, runs):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    job = {
        "SLURM_JOB_ID": "1", "SLURM_NODELIST": "127.0.0.1", "SLURM_NNODES": "1",
        "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NUM_NODES": "1", "SLURM_NODEID": "0", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }  # fmt: skip
    started = [
        subprocess.Popen(
            [sys.executable, PROGRAM, *arguments],
            env=environment(runs, **job, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    return [(*process.communicate(timeout=300), process.returncode) for process in started]


def assert_same_training(history, expected):
    assert len(history) == len(expected)
    for ours, theirs in zip(history, expected, strict=True):
        assert ours["steps"] == theirs["steps"]
        for name in ("training_loss", "roc_auc", "average_precision", "block_weights"):
            assert ours[name] == pytest.approx(theirs[name], abs=TOLERANCE), name


def test_torchrun_trains_what_one_process_does(odd_photos, alone, tmp_path):
    done = train_with_torchrun(odd_photos, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("AUC") == 1 and done.stderr.count("training in") == 1
    (folder,) = (tmp_path / "two" / "demo").glob("open-*[!.lock]")
    assert folder.name == alone.directory.name  # the same run: either can go on with the other's
    record = json.loads((folder / "record.json").read_text())
    assert_same_training(record["history"], alone.record.history)
    (session,) = record["provenance"]["training_sessions"]
    assert (session["processes"], len(session["devices"])) == (2, 2)

    predictions, expected = pd.read_parquet(folder / "predictions.parquet"), alone.predictions()
    assert len(predictions) == 23 and list(predictions["image_id"]) == list(expected["image_id"])
    np.testing.assert_allclose(predictions["logit"], expected["logit"], atol=TOLERANCE)


def test_processes_of_srun_agree(odd_photos, alone, tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    shutil.copytree(odd_photos, broken)
    for path in (broken / "val").rglob("*.png"):  # in the middle, where only decoding finds it
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(data)
    runs = odd_photos.parent / "interrupted"
    arguments = [str(odd_photos), str(broken), json.dumps(TINY | SHARED)]
    (first, words, status), (second, others_words, other_status) = run_as_srun_does(arguments, runs)
    assert (status, other_status) == (0, -signal.SIGKILL), words + others_words
    first, after_the_loss = map(json.loads, first.splitlines())
    second = json.loads(second)
    assert "training in" in words and "training in" not in others_words
    text = (runs / "demo" / alone.directory.name / "log.txt").read_text(encoding="utf-8")
    assert text.count("INFO epoch 2: ") == text.count("INFO resuming after epoch") == 1

    history = first["go_on_with_what_one_process_began"]
    assert_same_training(history, alone.record.history)
    assert second["go_on_with_what_one_process_began"] == history
    assert first["score_as_alone"] is second["score_as_alone"] is True

    kind, sentence = first["read_an_image_that_is_damaged"]
    assert kind == "ImageError" and "val" in sentence
    assert second["read_an_image_that_is_damaged"][0] == "ReportedElsewhereError"

    kind, sentence = first["be_asked_to_stop_in_one_process"]
    assert kind == "StopRequestedError" and "epoch 1, after step 3" in sentence
    assert "process 1 has a number other than process 0" in first["disagree"][1]
    assert "cannot reach another process" in after_the_loss[1]

    # One process goes on where two were stopped.
    monkeypatch.setenv("LAYERFUSION_RUNS", str(runs))
    experiment = open_tiny(odd_photos, overrides=SHARED, seed=7)
    sessions = experiment.obtain().record.provenance["training_sessions"]
    assert [(s["from_step"], s["processes"]) for s in sessions] == [(0, 2), (3, 1)]


@given(st.integers(1, 40), st.integers(1, 8))
def test_shares_make_up_the_batch(count, size):
    batch = [Draw(row, 0, row) for row in range(count)]
    shares = [share_batch(batch, rank, size) for rank in range(size)]
    dealt = [draw for share in shares if share.weight for draw in share.draws]
    assert sorted(dealt) == batch
    losses = np.arange(count) ** 2.0
    means = [share.weight * np.mean([losses[d.row] for d in share.draws]) for share in shares]
    assert np.mean(means) == pytest.approx(losses.mean())
    assert {share.batch for share in shares} == {count}


def test_processes_that_score_other_images_are_refused(monkeypatch):
    monkeypatch.setattr(
        processes.Processes, "gather", lambda self, value, **_: [value, ["other.jpg"]]
    )
    with pytest.raises(UserError, match="process 1 has images to score other than process 0"):
        two = processes.Processes(0, 2)
        score_files(None, [Path("a.jpg")], ImageSettings(), LoaderSettings(), processes=two)


TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "x", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4",
}  # fmt: skip
SRUN = {"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "5"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Launch()),
        (TORCHRUN, Launch(5, 8, 4, "torchrun")),
        (TORCHRUN | {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}, Launch()),
        (SRUN, Launch(5, 8, 4, "srun")),
        (SRUN | TORCHRUN, Launch(5, 8, 4, "torchrun")),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, Launch()),  # the batch script itself
    ],
)
def test_launchers_are_told_apart(monkeypatch, variables, expected):
    set_only(monkeypatch, variables)
    assert launched() == expected


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (SRUN | {"SLURM_PROCID": "zero"}, "SLURM_PROCID is 'zero', no whole number from 0"),
        (SRUN | {"SLURM_STEP_NUM_TASKS": "-1"}, "SLURM_STEP_NUM_TASKS is '-1'"),
        (SRUN | {"SLURM_PROCID": "8"}, "process 8 of 8, counted from 0; start it with srun"),
        (TORCHRUN | {"RANK": "8"}, "process 8 of 8, counted from 0; start it with torchrun"),
        ({"TORCHELASTIC_RUN_ID": "x", "RANK": "0"}, "WORLD_SIZE is not set"),
    ],
)
def test_what_no_launcher_sets_is_refused(monkeypatch, variables, words):
    set_only(monkeypatch, variables)
    with pytest.raises(UserError, match=words):
        launched()


def set_only(monkeypatch, variables):
    for name in (*LAUNCHERS, *SRUN):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(processes, "launched", lambda: Launch(0, 4, 4, "torchrun"))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(UserError, match="4 processes on a machine where 2 GPUs"):
        processes.open_fabric("fp32")


def test_processes_without_an_image_of_a_full_batch_are_refused(photos, monkeypatch):
    monkeypatch.setattr(loop, "join_processes", lambda: processes.Processes(0, 4))
    experiment = open_tiny(photos, overrides={"training.batch_size": 3})
    with pytest.raises(UserError, match="too few for 4 processes"):
        experiment.obtain()


def test_a_process_says_for_whom_it_waits(monkeypatch, capfd):
    monkeypatch.setattr(processes, "WAITING_REPORTED_AFTER", 0.01)
    monkeypatch.setattr(processes, "open_fabric", lambda precision: time.sleep(0.5))
    monkeypatch.setattr(processes.distributed, "new_group", lambda **options: None)
    processes._join.__wrapped__(Launch(1, 4, 4, "srun"))
    said = capfd.readouterr().err
    assert "process 1 of 4 waits for the others, of which there are 3" in said
    assert "unset that variable" in said


def test_other_commands_are_not_run_several_times(monkeypatch, capsys):
    from layerfusion.cli import main

    monkeypatch.setattr(main, "launched", lambda: Launch(0, 2, 2, "torchrun"))
    monkeypatch.setattr(sys, "argv", ["layerfusion", "book"])
    monkeypatch.setattr(main, "_together", lambda: __import__("contextlib").nullcontext())
    with pytest.raises(SystemExit) as stopped:
        main.main()
    assert stopped.value.code == 2
    assert "can share train and score only" in capsys.readouterr().err
