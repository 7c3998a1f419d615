"""Training: interrupted anywhere it ends as if it had not been, and nothing else changes it."""

import errno
import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision.amp import MixedPrecision

from conftest import TINY
from layerfusion.arithmetic import deterministic
from layerfusion.data import loading
from layerfusion.data.loading import TrainingBatch
from layerfusion.data.opening import open_data
from layerfusion.errors import StopRequestedError, UserError
from layerfusion.model.detector import Detector
from layerfusion.parallel import processes
from layerfusion.progress import Reporter
from layerfusion.settings import load_profile
from layerfusion.training import loop, sources
from layerfusion.training.loop import build_optimizer, optimization_step


class Interruption(BaseException):
    """Stands for a lost machine: nothing catches it."""


def run_training(photos, directory, changed=None, *, seed=3, training_rows=None):
    profile = load_profile("demo", TINY | (changed or {}))
    manifest = open_data(profile.data, data_root=photos, cache=directory)
    train_images = manifest.select(split="train")
    if training_rows is not None:
        train_images = type(manifest)(photos, train_images.rows[training_rows], manifest.skipped)
    directory.mkdir(parents=True, exist_ok=True)
    detector = Detector.build(profile.encoder, profile.head, profile.images, seed=seed)
    progress = loop.train(
        detector,
        train_images,
        manifest.select(split="val"),
        profile,
        seed=seed,
        directory=directory,
        reporter=Reporter(),
    )
    with pytest.MonkeyPatch.context() as patch:  # a detector of one's own may name its tower's file
        patch.setenv("LAYERFUSION_RUNS", str(directory))
        return progress, Detector.load(directory / loop.BEST_DETECTOR)


def same_tensors(one, other):
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


@pytest.fixture(scope="module")
def uninterrupted(photos, tmp_path_factory):
    return run_training(photos, tmp_path_factory.mktemp("whole"))


# 56 training images at batch 16 make 4 steps an epoch: inside the first, at its end, at the very
# end of the second, and while validating (a save follows each validation).
@pytest.mark.parametrize("saves_before_the_end", [1, 3, 4, 5, 6, 9])
def test_resumed_training_ends_with_the_same_numbers(
    photos, tmp_path, uninterrupted, monkeypatch, saves_before_the_end
):
    settings = {"training.checkpoint_minutes": 0}
    save, count = loop.save_checkpoint, 0

    def save_then_stop(*arguments):
        nonlocal count
        save(*arguments)
        count += 1
        if count == saves_before_the_end:
            raise Interruption

    monkeypatch.setattr(loop, "save_checkpoint", save_then_stop)
    with pytest.raises(Interruption):
        run_training(photos, tmp_path / "cut", settings)
    monkeypatch.undo()
    monkeypatch.setenv("LAYERFUSION_RUNS", str(tmp_path / "runs"))

    progress, detector = run_training(photos, tmp_path / "cut", settings)
    assert progress.history == uninterrupted[0].history
    assert same_tensors(detector, uninterrupted[1])


def signal_before_batch(monkeypatch, name, number):
    """Have the system ask for a stop while training or validation is at a batch, from 0."""
    module = sources if name == "training_batches" else loading
    batches = getattr(module, name)

    def batches_and_a_signal(*arguments, **named):
        for index, batch in enumerate(batches(*arguments, **named)):
            if index == number:
                job = [psutil.Process(), *psutil.Process().children()]  # all of it, as `timeout`
                subprocess.run(["kill", "-TERM", *(str(process.pid) for process in job)])
            yield batch

    monkeypatch.setattr(module, name, batches_and_a_signal)


@pytest.mark.parametrize(
    ("name", "where"),
    [("training_batches", "epoch 1, after step 3"), ("scoring_batches", "epoch 1, while valid")],
)
def test_a_termination_signal_stops_after_a_saved_step(
    photos, tmp_path, uninterrupted, monkeypatch, name, where
):
    with monkeypatch.context() as patch:
        signal_before_batch(patch, name, 2 if name == "training_batches" else 0)
        with pytest.raises(StopRequestedError, match=where) as caught:
            run_training(photos, tmp_path / "cut")
    assert caught.value.status == 143 and "--resume" in str(caught.value)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    progress, detector = run_training(photos, tmp_path / "cut")
    assert progress.history == uninterrupted[0].history
    assert same_tensors(detector, uninterrupted[1])
    steps = [session["from_step"] for session in progress.sessions]
    assert steps == [0, 3 if name == "training_batches" else 4]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_workers_leave_a_termination_signal_to_the_training(photos, tmp_path, monkeypatch):
    settings = {"training.batch_size": 4, "loader.workers": 2}
    signal_before_batch(monkeypatch, "training_batches", 1)
    with pytest.raises(StopRequestedError, match="epoch 1, after step 2"):
        run_training(photos, tmp_path / "cut", settings)


def test_a_full_disk_leaves_the_former_checkpoint(photos, tmp_path, monkeypatch):
    run_training(photos, tmp_path, {"training.epochs": 1})
    former = (tmp_path / loop.CHECKPOINT).read_bytes()

    def fail(path, content):
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(UserError, match="No space left"):
        run_training(photos, tmp_path)
    assert (tmp_path / loop.CHECKPOINT).read_bytes() == former
    assert not list(tmp_path.glob("*.partial"))


def test_neither_workers_nor_checkpoints_change_a_number(photos, tmp_path, uninterrupted):
    other = {"loader.workers": 2, "training.checkpoint_minutes": 0}
    progress, detector = run_training(photos, tmp_path / "other", other)
    assert progress.history == uninterrupted[0].history
    assert same_tensors(detector, uninterrupted[1])


def test_another_seed_gives_another_training(photos, tmp_path, uninterrupted):
    progress, _ = run_training(photos, tmp_path / "other", seed=4)
    assert progress.history != uninterrupted[0].history


def test_training_learns_what_can_be_learnt(photos, tmp_path):
    progress, detector = run_training(photos, tmp_path, {"training.epochs": 4})
    losses = [entry["training_loss"] for entry in progress.history]
    assert losses[-1] < losses[0]
    best = progress.history[progress.best_epoch - 1]
    assert best["roc_auc"] == max(entry["roc_auc"] for entry in progress.history) > 0.8
    assert best["block_weights"] == pytest.approx(detector.block_weights())
    assert sum(best["block_weights"]) == pytest.approx(1)


def test_training_stops_when_the_auc_stops_rising(photos, tmp_path):
    frozen = {
        "training.epochs": 5,
        "training.patience": 2,
        "training.head_learning_rate": 1e-30,
        "training.backbone_learning_rate": 1e-30,
    }
    progress, _ = run_training(photos, tmp_path, frozen)
    assert (len(progress.history), progress.best_epoch) == (3, 1)


@pytest.mark.parametrize("max_steps", [1, 4, 6])
def test_max_steps_ends_the_training(photos, tmp_path, max_steps):
    progress, _ = run_training(photos, tmp_path, {"training.max_steps": max_steps})
    assert progress.total_steps == max_steps
    assert sum(entry["steps"] for entry in progress.history) == max_steps


def test_bf16_trains_on_a_cpu(photos, tmp_path):
    progress, _ = run_training(photos, tmp_path, {"training.precision": "bf16"})
    assert math.isfinite(progress.history[-1]["training_loss"])


def test_a_frozen_encoder_trains_the_head_alone(photos, tmp_path):
    _, detector = run_training(photos, tmp_path, {"encoder.trained_blocks": 0})
    assert detector.parameter_counts()["trained_blocks"] == 0


def test_a_loss_that_is_no_number_stops_the_training(photos, tmp_path):
    wild = {"training.head_learning_rate": 1e6, "training.weight_decay": 1.0, "training.epochs": 3}
    with pytest.raises(UserError, match="the training loss is"):
        run_training(photos, tmp_path, wild)


def test_one_label_alone_cannot_be_trained_on(photos, tmp_path):
    with pytest.raises(UserError, match="real and synthetic"):
        run_training(photos, tmp_path, training_rows=slice(0, 10))


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens where there is no GPU")
def test_fp16_without_a_gpu_is_refused_not_replaced():
    with pytest.raises(UserError, match="needs a GPU"):
        processes.open_fabric("fp16")


class Small(torch.nn.Module):
    """The two parts that a detector's optimiser asks for, small enough for fp16 on a CPU."""

    def __init__(self):
        super().__init__()
        self.encoder, self.head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 1)

    def forward(self, images):
        return self.head(self.encoder(images)).squeeze(-1)


def test_fp16_clips_gradients_that_a_scaler_scaled():
    # As on a GPU, but for the device: what torch fuses there it fuses here.
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    plugin = MixedPrecision("16-mixed", "cpu", scaler=scaler)
    fabric = Fabric(accelerator="cpu", devices=1, plugins=[plugin])
    detector = Small()
    settings = load_profile("demo", {"training.precision": "fp16"}).training
    model, optimizer = fabric.setup(detector, build_optimizer(detector, settings))
    before, norms = detector.head.weight.detach().clone(), []
    clip = torch.nn.utils.clip_grad_norm_
    batch = TrainingBatch(torch.ones(2, 4), torch.tensor([0.0, 1.0]), 1.0, 2)
    optimizer.register_step_pre_hook(
        lambda *_: norms.append(float(clip(detector.parameters(), float("inf"))))
    )
    loss = optimization_step(fabric, model, optimizer, batch, clip_norm=0.01)
    assert math.isfinite(loss) and not torch.equal(before, detector.head.weight)
    assert norms == [pytest.approx(0.01, rel=1e-3)]  # neither scaled nor left unclipped


def test_a_damaged_checkpoint_is_named(photos, tmp_path):
    (tmp_path / loop.CHECKPOINT).write_bytes(b"\x00" * 20)
    with pytest.raises(UserError, match="cannot be read"):
        run_training(photos, tmp_path)


def test_checkpoints_hold_what_was_trained_and_no_pickle(photos, tmp_path):
    run_training(photos, tmp_path)
    checkpoint = tmp_path / loop.CHECKPOINT
    header_length = int.from_bytes(checkpoint.read_bytes()[:8], "little")
    header = json.loads(checkpoint.read_bytes()[8 : 8 + header_length])
    blocks = {name.split(".")[5] for name in header if name.startswith("model.encoder")}
    assert blocks == {"2", "3"}
    assert not list(tmp_path.rglob("*.pt")) + list(tmp_path.rglob("*.pkl"))


def test_determinism_is_asked_for_while_training_and_given_back():
    before = torch.are_deterministic_algorithms_enabled()
    with deterministic():
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.are_deterministic_algorithms_enabled() == before
