"""Runs that luck dealt badly: planted as finished ones, with scores drawn here; nothing trains."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from conftest import TINY, draw_image
from layerfusion.metrics.probability import probability
from layerfusion.metrics.rates import report
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.runs import conditions
from layerfusion.runs.experiment import Experiment
from layerfusion.runs.record import RECORD, Run, RunRecord
from layerfusion.scoring.predictions import CARRIED, write_predictions

SETTINGS = TINY | {"training.small_side": 60}
SIDES = {"small": 50, "middle": 80, "large": 130}


def apart(label, rng):
    """Every synthetic image above every real one."""
    return 6.0 * label - 5 + rng.uniform(-1, 1, len(label))


def one_missed(label, rng):
    """The first synthetic image below all others: a miss, and no false alarm."""
    return np.where(np.arange(len(label)) == np.argmax(label), -9.0, apart(label, rng))


def one_alarm(label, rng):
    """The first real image above all others: a false alarm, and no miss."""
    return np.where(np.arange(len(label)) == np.argmin(label), 9.0, apart(label, rng))


def mixed(label, rng):
    """Errors of both kinds."""
    return rng.normal(2.0 * label - 4, 1.5)


def equal(label, rng):
    return np.full(len(label), 0.3)


def turned(label, rng):
    """Every synthetic image below every real one."""
    return -apart(label, rng)


def at(logit):
    """Every image the same, whatever it is."""
    return lambda label, rng: np.full(len(label), logit)


def saturated(right):
    """Probabilities of 0 and 1 exactly, or nearly; the wrong way round unless `right`."""
    return lambda label, rng: np.where((label == 1) == right, 60.0, -800.0)


EIGHT = (
    *[("Facebook", "A", "small")] * 3,
    *[("Facebook", "B", "middle")] * 2,
    *[("", "A", "middle")] * 2,
    ("", "B", "large"),
)


@dataclass(frozen=True)
class World:
    """What the images are, a place (platform, generator, size) each, and how they are scored.

    Attributes
    ----------
    scores
        Logits of the validation images as they are, of labels and a source of chance.
    others
        Logits of all other images; the same where None.
    threshold
        The runs' own where None.
    """

    scores: Callable
    others: Callable | None = None
    threshold: float | None = None
    real: tuple = EIGHT
    synthetic: tuple = EIGHT
    test: tuple[str, ...] = ("real", "synthetic")
    held_out: tuple[str, ...] = ("real", "synthetic")


SMALL = tuple(place for place in EIGHT if place[2] == "small")
LARGER = tuple(place for place in EIGHT if place[2] != "small")

WORLDS = {
    "no false alarm": World(one_missed),
    "no miss": World(one_alarm),
    "no error": World(apart),
    "scores turned over": World(turned),
    "equal scores": World(equal),
    "all called synthetic": World(mixed, threshold=1e-9),
    "all called real": World(mixed, threshold=1 - 1e-9),
    "others all called synthetic": World(mixed, at(30.0)),
    "others all called real": World(mixed, at(-30.0)),
    "saturated": World(saturated(right=True)),
    "saturated, turned over": World(saturated(right=False)),
    "all at probability 1": World(at(60.0)),
    "all at probability 0": World(at(-800.0)),
    "no small image": World(mixed, real=LARGER, synthetic=LARGER),
    "small images all real": World(mixed, synthetic=LARGER),
    "small images all synthetic": World(mixed, real=LARGER),
    "one small image of each class": World(
        apart, real=(*LARGER, SMALL[0]), synthetic=(*LARGER, SMALL[0])
    ),
    "one image of a platform": World(mixed, real=(*EIGHT[5:], ("Telegram", "", "large"))),
    "one image of a generator": World(mixed, synthetic=(*EIGHT, ("", "C", "large"))),
    "two images": World(apart, real=EIGHT[:1], synthetic=EIGHT[-1:]),
    "three images": World(mixed, real=EIGHT[:1], synthetic=EIGHT[-2:]),
    "test images all real": World(mixed, test=("real",), held_out=("real",)),
    "test images all synthetic": World(mixed, test=("synthetic",), held_out=("synthetic",)),
    "test images without labels": World(mixed, test=("",), held_out=()),
    "no test images": World(mixed, test=(), held_out=()),
}


def plant_images(root, world):
    """Draw the images of a world as a folder in the default layout."""
    rng = np.random.default_rng(4)

    def draw(folder, name, side, *, dark):
        (root / folder).mkdir(parents=True, exist_ok=True)
        draw_image(rng, dark=dark, size=(side, side + 4)).save(root / folder / f"{name}.png")

    for label in ("real", "synthetic"):
        dark = label == "synthetic"
        for number in range(2):
            for source in ("constrained", "social"):
                draw(f"train/{source}/{label}", number, 80, dark=dark)
        for number, (platform, generator, size) in enumerate(getattr(world, label)):
            made = generator if dark else ""
            draw(f"val/{platform}/{label}/{made}", number, SIDES[size], dark=dark)
        for number in range(4 if label in world.held_out else 0):
            draw(f"heldout/elsewhere/{label}", number, 80, dark=dark)
    for label in world.test:
        for number in range(4):
            draw(f"test/{label}", f"{label}{number}", 80, dark=number % 2)


def score_as(world, manifest, run, *, clean):
    """Return predictions of a manifest's images; an unlabelled one is scored as a real one."""
    label = manifest.rows["label"].fillna(0).to_numpy(dtype=np.int64)
    rng = np.random.default_rng([run == "open", clean])
    logit = (world.scores if clean else world.others or world.scores)(label, rng)
    table = manifest.rows[CARRIED].assign(logit=logit)
    return table.assign(image_id=manifest.rows["path"])


class Stand(torch.nn.Module):
    """Stands in for a run's detector: a logit of 0 for whichever image it is asked for."""

    def __init__(self, run, images):
        super().__init__()
        self.weight, self.run = torch.nn.Parameter(torch.zeros(1)), run
        self.image_settings = images

    prefix_identity = None  # the same for all stands: they share their frozen blocks

    def forward(self, images):
        return torch.zeros(len(images))


def plant_run(world, experiment):
    """Leave a finished run where an experiment will find it."""
    predictions = score_as(world, experiment.validation, experiment.run, clean=True)
    chosen = best_f1_threshold(predictions["label"], probability(predictions["logit"]))
    threshold = chosen if world.threshold is None else world.threshold
    metrics = report(predictions["label"], predictions["logit"], threshold)
    entry = {"epoch": 1, "steps": 1, "training_loss": 0.7, **metrics["ranking"]}
    record = RunRecord(
        profile=experiment.profile.name,
        run=experiment.run,
        seed=experiment.seed,
        key=experiment.place.key,
        settings=experiment.profile.model_dump(mode="json"),
        activation="gelu",
        parameters={"frozen": 0, "trained_blocks": 0, "head": 1},
        data={"training_images": len(experiment.training.rows)},
        threshold=threshold,
        metrics=metrics,
        history=[entry],
        best_epoch=1,
        block_weights=[0.5, 0.5],
        provenance={},
    )
    folder = experiment.place.finished
    (folder / "detector").mkdir(parents=True)
    (folder / "detector" / "trained.safetensors").touch()
    (folder / RECORD).write_text(record.model_dump_json())
    write_predictions(predictions, folder / "predictions.parquet")


def plant(world, root, patch: pytest.MonkeyPatch):
    """Plant a world's images and both runs; return the open run's experiment.

    What would be scored with a trained detector gets the world's scores, until `patch` ends.
    """
    plant_images(root, world)
    for run in ("constrained", "open"):
        experiment = Experiment.open(run, data_root=root, overrides=SETTINGS)
        plant_run(world, experiment)
    patch.setattr(Run, "detector", lambda run: Stand(run.record.run, experiment.profile.images))
    patch.setattr(
        conditions, "score_condition",
        lambda stands, manifest, *_: [
            score_as(world, manifest, stand.run, clean=False) for stand in stands
        ],
    )  # fmt: skip
    return experiment
