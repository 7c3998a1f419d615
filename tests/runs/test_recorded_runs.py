"""The committed demo runs: what their record says follows from what lies beside it.

Chapters are tested on these runs, without training. What a changed method would do to them is seen
by scoring again, and by the golden run, which is trained.
"""

import shutil
from itertools import islice

import pandas as pd
import pytest

from conftest import open_tiny
from layerfusion.analysis.measures import RUNS
from layerfusion.demo.pictures import make, plan
from layerfusion.metrics.probability import probability
from layerfusion.metrics.rates import best_f1_threshold, report
from layerfusion.paths import runs_root
from layerfusion.recipe import RECIPE
from layerfusion.runs import conditions, record
from layerfusion.runs.condition import CONDITIONS
from layerfusion.runs.conditions import obtain_predictions
from layerfusion.runs.experiment import RECORDED
from layerfusion.runs.record import recorded_run
from layerfusion.scoring.files import score
from layerfusion.settings import load_profile

IMAGES = 24
# Of logits. Pictures that another processor draws differ by single levels: among 60 of them the
# logits moved by 5e-7 in the median and .11 at most (AVX-512 beside the recorded AVX2).
MEDIAN, LARGEST = 1e-3, 0.5


@pytest.fixture(scope="module", params=RUNS)
def run(request):
    found = recorded_run(load_profile("demo"), request.param, 1337)
    assert found is not None, "no committed run has the settings and the recipe of the demo"
    return found


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """The first validation images of the demo, drawn here."""
    root = tmp_path_factory.mktemp("world")
    (world,) = load_profile("demo").data.sources
    chosen = islice((one for one in plan(world) if one.split == "val"), IMAGES)
    for one in chosen:
        path = root / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make(one))
    return root


def test_its_numbers_are_those_of_its_predictions(run):
    predictions, said = run.predictions(), run.record
    assert said.provenance["recipe"] == RECIPE and not said.provenance["git_dirty"]
    threshold = best_f1_threshold(predictions["label"], probability(predictions["logit"]))
    assert threshold == said.threshold
    found = pd.json_normalize(report(predictions["label"], predictions["logit"], threshold))
    pd.testing.assert_frame_equal(found, pd.json_normalize(said.metrics), rtol=1e-12)


def test_it_has_learned(run):
    ranking = run.record.metrics["ranking"]
    assert ranking["roc_auc"] > 0.65 and ranking["average_precision"] > 0.65
    losses = [epoch["training_loss"] for epoch in run.record.history]
    assert losses == sorted(losses, reverse=True)


def test_its_detector_gives_its_predictions(run, pictures):
    found = score(pictures, detector=run.directory / "detector").set_index("image_id")["logit"]
    there = run.predictions().set_index("image_id")["logit"]
    assert len(found) == IMAGES
    apart = (found - there.loc[found.index]).abs()
    assert apart.median() < MEDIAN and apart.max() < LARGEST


def test_a_committed_run_stands_for_a_training_where_that_is_asked_for(
    finished, photos, monkeypatch, tmp_path
):
    monkeypatch.setattr(record, "reference_folder", lambda profile: tmp_path / "reference")
    obtain_predictions(open_tiny(photos), finished, CONDITIONS["jpeg"])
    finished.publish(tmp_path / "reference")
    shutil.rmtree(finished.directory)
    assert open_tiny(photos).place.read() is None

    monkeypatch.setenv(RECORDED, "1")
    found = open_tiny(photos).obtain()
    assert found.directory == tmp_path / "reference" / "open-seed1337" and found.recorded
    monkeypatch.setattr(conditions, "predict_each", None)  # nothing is scored
    assert len(obtain_predictions(open_tiny(photos), found, CONDITIONS["jpeg"])) == 24
    assert found.place.parent == runs_root() / "demo"  # nothing more is written beside the record
    for changed in ({"seed": 5}, {"overrides": {"training.weight_decay": 0.5}}):
        other = open_tiny(photos, **changed)
        assert recorded_run(other.profile, "open", other.seed) is None
    monkeypatch.setattr(record, "RECIPE", RECIPE + 1)
    assert recorded_run(open_tiny(photos).profile, "open", 1337) is None
