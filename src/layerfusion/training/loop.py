"""The training loop (paper, section 3; the author's code where the paper is silent)."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from layerfusion.arithmetic import deterministic
from layerfusion.data.loading import (
    Draw,
    TrainingBatch,
    TrainingImages,
    draw_epoch,
    sampling_weights,
    stream_seed,
)
from layerfusion.data.manifest import Manifest
from layerfusion.errors import StopRequestedError, UserError
from layerfusion.metrics.rates import ranking_metrics
from layerfusion.model.detector import Detector
from layerfusion.parallel.processes import join_processes, open_fabric, stop_requests
from layerfusion.progress import Reporter
from layerfusion.provenance import device_name
from layerfusion.scoring.predictions import write_predictions
from layerfusion.settings import Profile, TrainingSettings
from layerfusion.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from layerfusion.training.sources import Source


def build_optimizer(detector: Detector, settings: TrainingSettings) -> torch.optim.AdamW:
    """Return AdamW over what is trained: the head, the last blocks and perhaps a at own rates.

    It is torch's fused one: on a CPU the other takes square roots from MKL, whose digits are not
    those of IEEE and differ between processors' makers. But not with fp16: a fused step undoes the
    scaling of gradients itself, and they have to be clipped before.
    """
    blocks = [p for p in detector.encoder.parameters() if p.requires_grad]
    head, rate = dict(detector.head.named_parameters()), settings.block_weights_learning_rate
    if rate is not None and "block_logits" not in head:
        raise UserError(
            "training.block_weights_learning_rate is that of block weights, and this head learns "
            "none; leave it out"
        )
    weights = [head.pop("block_logits")] if rate is not None else []
    groups: list[dict[str, Any]] = [
        {"params": list(head.values()), "lr": settings.head_learning_rate},
        {"params": blocks, "lr": settings.backbone_learning_rate},
        {"params": weights, "lr": rate},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        weight_decay=settings.weight_decay,
        fused=settings.precision != "fp16",
    )


def optimization_step(
    fabric: Fabric,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: TrainingBatch,
    *,
    clip_norm: float,
) -> Tensor:
    """Take one step; return the mean loss of the process's share times its weight, shape ().

    `model` and `optimizer` are as `fabric.setup` returned them; the loss stays on the device.
    """
    logits = model(fabric.to_device(batch.images))
    loss = binary_cross_entropy_with_logits(logits, fabric.to_device(batch.labels)) * batch.weight
    fabric.backward(loss)
    # Infinite gradients are how fp16's scaler finds its scale: it skips those steps itself.
    fabric.clip_gradients(model, optimizer, max_norm=clip_norm, error_if_nonfinite=False)
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()


Batch = TypeVar("Batch")

TOO_LONG = 0.2  # of an epoch's time


def timed(batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
    """Yield batches in their order, each with the seconds that were spent until it was there."""
    asked = time.perf_counter()
    for batch in batches:
        yield batch, time.perf_counter() - asked
        asked = time.perf_counter()


def report_waiting(share: float, device: torch.device, reporter: Reporter) -> None:
    """Say which share of an epoch the device had no images; aloud, if more processes may help."""
    text = f"{share:.0%} of the epoch went by waiting for images"
    if share > TOO_LONG and device.type != "cpu":
        reporter.say(f"{text}; with more cores, set loader.workers higher")
    else:
        reporter.detail(text)


CHECKPOINT = "checkpoint.safetensors"
BEST_DETECTOR = "detector"
BEST_PREDICTIONS = "predictions.parquet"

# What the processes agree on after a step.
GO_ON, SAVE, STOP = range(3)


def train(
    detector: Detector,
    training: Manifest,
    validation: Manifest,
    profile: Profile,
    *,
    seed: int,
    directory: Path,
    reporter: Reporter,
) -> Progress:
    """Train a detector; resume from the directory's checkpoint, if there is one.

    Every random draw is a function of the seed and of where in the training it is used, so that an
    interrupted training ends with the very numbers of an uninterrupted one on the same machine.
    At the end `directory` holds the best epoch's detector and its predictions of the validation
    images; "best" is by validation ROC AUC, with AP as tie-breaker.

    Of several processes each computes its share of every batch, and the optimiser's step is that of
    the mean loss over the whole batch: images, their order and their augmentations are those of a
    single process, dropout is not. The first process alone writes into `directory`, which all
    others read.

    Raises
    ------
    StopRequestedError
        If SIGTERM asked for it: after the step under way, and once that is saved.
    UserError
        If one label is missing from the training images, the precision does not fit the hardware,
        there are more processes than images in a batch, or the loss is no longer a number.
    """
    if training.rows["label"].nunique() < 2:
        raise UserError("training needs real and synthetic images, and one of the two is missing")
    images = TrainingImages(
        training.root, training.rows, profile.images, seed=seed, views=profile.training.views
    )
    weights = sampling_weights(
        training.rows,
        small_side=profile.training.small_side,
        small_weight=profile.training.small_weight,
    )
    with deterministic(), stop_requests() as asked_to_stop:
        loop = _Loop(detector, images, profile, seed, directory, reporter, asked_to_stop)
        loop.resume()
        while not loop.progress.finished(profile.training):
            loop.train_epoch(draw_epoch(weights, seed=seed, epoch=loop.progress.epoch))
            loop.save()
            loop.validate(validation)
            loop.save()
    return loop.progress


class _Loop:
    def __init__(
        self,
        detector: Detector,
        images: TrainingImages,
        profile: Profile,
        seed: int,
        directory: Path,
        reporter: Reporter,
        asked_to_stop: Callable[[], bool],
    ) -> None:
        self.detector, self.profile, self.settings = detector, profile, profile.training
        self.seed, self.directory, self.reporter = seed, directory, reporter
        self.asked_to_stop = asked_to_stop
        self.processes = join_processes()
        if self.settings.batch_size < self.processes.size:
            raise UserError(
                f"training.batch_size is {self.settings.batch_size}, too few for "
                f"{self.processes.size} processes, which share every batch; start fewer"
            )
        self.fabric = open_fabric(self.settings.precision)
        self.model, self.optimizer = self.fabric.setup(
            detector, build_optimizer(detector, self.settings)
        )
        self.source = Source(images, profile, self.fabric, self.processes, detector)
        self.cache = detector.prefix_cache
        self.progress = Progress()
        self.pending: list[Tensor] = []  # losses still on the device: reading one waits for it
        self.last_save = time.perf_counter()

    def resume(self) -> None:
        path = self.directory / CHECKPOINT
        if path.exists():
            self.progress = load_checkpoint(path, self.detector, self.optimizer.optimizer)
            self.fabric.strategy.precision.load_state_dict(self.progress.scaler)
            self.reporter.say(
                f"resuming after epoch {self.progress.epoch}, step {self.progress.step}"
            )
        self.processes.check_same(self.progress, "a checkpoint")
        self.progress.sessions.append(
            {
                "from_step": self.progress.total_steps,
                "processes": self.processes.size,
                "devices": self.processes.gather(device_name(self.fabric.device)),
            }
        )

    def train_epoch(self, draws: Sequence[Draw]) -> None:
        progress, batch_size = self.progress, self.settings.batch_size
        if self.settings.max_steps is not None:
            steps_left = self.settings.max_steps - progress.total_steps + progress.step
            draws = draws[: steps_left * batch_size]
        self.model.train()
        # Without numbered views none comes again, and to keep what it gives would be in vain.
        self.detector.prefix_cache = None if self.settings.views is None else self.cache
        done = progress.step * batch_size
        title = f"epoch {progress.epoch + 1} of {self.settings.epochs}"
        begun, waited = time.perf_counter(), 0.0
        with self.reporter.bar(title, len(draws), done=done) as bar:
            batches = timed(self.source.training_batches(draws[done:]))
            for batch, seconds in self.processes.in_step(batches):
                waited += seconds
                self.train_step(batch)
                done += batch.size
                bar(done, len(draws))
                self.after_step()
        self.detector.prefix_cache = self.cache
        self.settle_losses()  # reads losses off the device, and so waits until it is done
        if not self.source.keeps_views:
            share = waited / (time.perf_counter() - begun)
            report_waiting(share, self.fabric.device, self.reporter)

    def train_step(self, batch: TrainingBatch) -> None:
        progress = self.progress
        # Dropout draws from torch's own stream; set anew at every step it needs no saving.
        torch.manual_seed(
            stream_seed(self.seed, progress.epoch, progress.step, self.processes.rank)
        )
        with self.processes.reaching_others():
            loss = optimization_step(
                self.fabric, self.model, self.optimizer, batch, clip_norm=self.settings.clip_norm
            )
        self.pending.append(loss)
        progress.step += 1
        progress.total_steps += 1

    def after_step(self) -> None:
        """Save and stop if that is due in any of the processes, whose clocks and signals differ."""
        due = time.perf_counter() - self.last_save >= 60 * self.settings.checkpoint_minutes
        order = STOP if self.asked_to_stop() else SAVE if due else GO_ON
        order = self.processes.highest(order)
        if order != GO_ON:
            self.save()
        elif len(self.pending) == 100:
            self.settle_losses()
        if order == STOP:
            with self.processes.together():
                raise self.stopped(f"after step {self.progress.step}")

    def stopped(self, where: str) -> StopRequestedError:
        return StopRequestedError(
            f"asked to stop (SIGTERM) in epoch {self.progress.epoch + 1}, {where}; all steps are "
            "saved: give the same command, with --resume"
        )

    def validate(self, validation: Manifest) -> None:
        progress = self.progress
        with self.reporter.bar("validation", len(validation.rows)) as bar:

            def report_progress(done: int, total: int) -> None:
                if self.asked_to_stop():
                    raise self.stopped("while validating")
                bar(done, total)

            predictions = self.source.predict(self.model, validation, report_progress)
        entry = self.processes.only_first(lambda: self.judge(predictions))
        if self.is_best(entry):
            progress.best_epoch = entry["epoch"]
        progress.history.append(entry)
        progress.epoch, progress.step, progress.loss_sum = progress.epoch + 1, 0, 0.0
        self.reporter.say(
            f"epoch {progress.epoch}: training loss {entry['training_loss']:.4f}, "
            f"validation AUC {entry['roc_auc']:.4f}, AP {entry['average_precision']:.4f}"
        )

    def judge(self, predictions: pd.DataFrame) -> dict[str, Any]:
        """Return the epoch's entry of the history; keep detector and predictions if it is best."""
        entry = {
            "epoch": self.progress.epoch + 1,
            "steps": self.progress.step,
            "training_loss": self.progress.loss_sum / self.progress.step,
            **ranking_metrics(predictions["label"], predictions["logit"]),
            "block_weights": self.detector.block_weights(),
        }
        if self.is_best(entry):
            self.detector.save(self.directory / BEST_DETECTOR)
            write_predictions(predictions, self.directory / BEST_PREDICTIONS)
        return entry

    def is_best(self, entry: dict[str, Any]) -> bool:
        history = self.progress.history
        return not history or _rank(entry) > _rank(history[self.progress.best_epoch - 1])

    def save(self) -> None:
        self.settle_losses()
        now = time.perf_counter()
        self.progress.seconds += now - self.last_save
        self.last_save = now
        self.progress.scaler = self.fabric.strategy.precision.state_dict()
        self.processes.only_first(
            lambda: save_checkpoint(
                self.directory / CHECKPOINT,
                self.detector,
                self.optimizer.optimizer,
                self.progress,
            )
        )
        self.reporter.detail(
            f"checkpoint after epoch {self.progress.epoch}, step {self.progress.step}"
        )

    def settle_losses(self) -> None:
        # One by one, so that the sum does not depend on how many were pending.
        if not self.pending:
            return
        losses = self.processes.mean(torch.stack(self.pending)).tolist()
        self.pending.clear()
        for value in losses:
            if not math.isfinite(value):
                with self.processes.together():
                    raise UserError(
                        f"the training loss is {value} in epoch {self.progress.epoch + 1}; lower "
                        "training.head_learning_rate or use training.precision fp32 or bf16"
                    )
            self.progress.loss_sum += value


def _rank(entry: dict[str, Any]) -> tuple[float, float]:
    return entry["roc_auc"], entry["average_precision"]
