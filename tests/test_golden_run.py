"""A tiny run and eight of the demo's pictures keep their numbers for as long as the recipe does.

`python tests/test_golden_run.py` records them again, in `golden_run.json`: after
`layerfusion.recipe.RECIPE` was raised because a change is meant to move numbers, and for no other
reason. Moving code moves no number and needs no other recipe.
"""

import json
import sys
from io import BytesIO
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image

from conftest import TINY
from layerfusion.demo.pictures import make, plan
from layerfusion.recipe import RECIPE
from layerfusion.runs.conditions import Condition, obtain_predictions
from layerfusion.runs.experiment import Experiment
from layerfusion.settings import WorldSource

GOLDEN = Path(__file__).with_name("golden_run.json")
# Of logits and losses. Between AVX-512, AVX2 and SSE, one thread and two, the largest distance that
# was measured is 7e-7.
TOLERANCE = 1e-5
LEVELS = 0.01  # of a picture's mean; instruction sets move single pixels by one level
DEGRADATIONS = (None, "jpeg-85", "launder")


def draw(root):
    """Write 40 pictures whose pixels are integers from a generator that is the same everywhere."""
    rng = np.random.default_rng(20)
    for folder, count in {"train/constrained": 12, "val": 8}.items():
        for label in ("real", "synthetic"):
            directory = root / folder / label
            directory.mkdir(parents=True)
            for index in range(count):
                low = 90 if label == "real" else 60
                blocks = rng.integers(low, low + 120, (18, 18, 3), dtype=np.uint8)
                pixels = blocks.repeat(4, axis=0).repeat(4, axis=1)
                Image.fromarray(pixels).save(directory / f"{index}.png")


def numbers(root):
    """Train a tiny run on those pictures; return what must not move."""
    draw(root)
    experiment = Experiment.open("constrained", data_root=root, overrides=TINY, seed=3)
    run = experiment.obtain()
    logits = {}
    for degradation in DEGRADATIONS:
        table = obtain_predictions(experiment, run, Condition(degradation=degradation))
        logits[degradation or "clean"] = table["logit"].astype(float).tolist()
    losses = [epoch["training_loss"] for epoch in run.record.history]
    return {"logits": logits, "losses": losses, "block_weights": run.record.block_weights}


def pictures():
    """Return the mean level of each colour of the first of the demo's pictures, by path."""
    world = WorldSource(kind="world", seed=0, train_per_class=2, evaluation_per_class=1)
    opened = {one.path: Image.open(BytesIO(make(one))) for one in islice(plan(world), 8)}
    return {path: np.asarray(one).mean(axis=(0, 1)).tolist() for path, one in opened.items()}


def flat(found):
    parts = [found["losses"], found["block_weights"], *found["logits"].values()]
    return np.concatenate([np.asarray(part, float) for part in parts])


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_numbers_move_only_with_the_recipe(golden, tmp_path):
    assert golden["recipe"] == RECIPE, f"record again: python {Path(__file__).name}"
    found = numbers(tmp_path)
    assert found["logits"].keys() == golden["run"]["logits"].keys()
    apart = np.abs(flat(found) - flat(golden["run"])).max()
    assert apart <= TOLERANCE, (
        f"numbers moved by {apart:.2g} and layerfusion.recipe.RECIPE is still {RECIPE}: if that is "
        "meant, raise it and record this run again"
    )


def test_the_demos_pictures_move_only_with_the_recipe(golden):
    found = pictures()
    assert found.keys() == golden["pictures"].keys()
    for path, levels in found.items():
        np.testing.assert_allclose(levels, golden["pictures"][path], rtol=0, atol=LEVELS)


@pytest.mark.parametrize(
    "change",
    [{"training.head_learning_rate": 3.1e-3}, {"images.augmentation.flip_probability": 0.4}],
)
def test_the_golden_run_sees_a_small_change_of_method(golden, tmp_path, monkeypatch, change):
    monkeypatch.setitem(globals(), "TINY", TINY | change)
    assert np.abs(flat(numbers(tmp_path)) - flat(golden["run"])).max() > 10 * TOLERANCE


def record():
    with TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFUSION_RUNS", str(Path(root) / "runs"))
        found = {"recipe": RECIPE, "run": numbers(Path(root) / "images"), "pictures": pictures()}
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(record())
