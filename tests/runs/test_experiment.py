"""A run from profile to record: found, trained, resumed, and never mistaken."""

import hashlib
import json
import re
import shutil
from collections import namedtuple
from pathlib import Path

import pandas as pd
import pytest

from conftest import TINY, open_tiny
from layerfusion.arithmetic import PORTABLE
from layerfusion.errors import UserError
from layerfusion.metrics.probability import probability
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.paths import runs_root
from layerfusion.runs.record import read_record
from layerfusion.training import loop


def test_a_run_leaves_record_predictions_manifest_and_detector(finished):
    assert finished.directory.parent == runs_root() / "demo"
    assert sorted(path.name for path in finished.directory.iterdir()) == [
        "detector",
        "log.txt",
        "manifest.parquet",
        "predictions.parquet",
        "record.json",
        "selection.txt",
    ]
    record, predictions = finished.record, finished.predictions()
    assert (record.run, record.seed, record.activation) == ("open", 1337, "quick_gelu")
    assert record.data["training_images"] == 56
    assert len(predictions) == record.data["validation_images"] == 24
    assert predictions["logit"].dtype == "float64"
    assert predictions["image_id"].is_unique
    expected = best_f1_threshold(predictions["label"], probability(predictions["logit"]))
    assert record.threshold == expected == finished.detector().threshold
    assert record.metrics["calibrated"] == record.metrics["oracle"]
    assert {"git_commit", "libraries", "processor", "training_seconds", "peak_memory_mib"} <= set(
        record.provenance
    )
    assert "Demo detector" in finished.detector().notice
    log = (finished.directory / "log.txt").read_text(encoding="utf-8")
    assert log.count("of the epoch went by waiting for images") == TINY["training.epochs"]


def test_a_run_says_which_images_it_trained_on(photos):
    quotas = [
        {"source": "constrained", "label": label, "images": 6} for label in ("real", "synthetic")
    ]
    quotas.append({"source": "social", "label": "real", "images": 99})
    quotas.append({"source": "social", "label": "synthetic", "images": 4})
    selection = {"name": "shared", "quotas": quotas}
    settings = {"data.selection": selection, "training.max_steps": 1}
    experiment = open_tiny(photos, overrides=settings)
    run = experiment.obtain()
    listed = (run.directory / "selection.txt").read_text().splitlines()
    assert listed == sorted(experiment.training.rows["path"])
    assert len(listed) == run.record.data["training_images"] == 12 + 12 + 4
    content = (run.directory / "selection.txt").read_bytes()
    assert run.record.data["selection"] == "shared"
    assert run.record.data["selection_sha256"] == hashlib.sha256(content).hexdigest()
    assert any("'social' has 12 of the 99 real" in warning for warning in experiment.warnings())
    constrained = open_tiny(photos, "constrained", overrides=settings).training.rows["path"]
    assert set(constrained) == {path for path in listed if "constrained" in path}


def test_a_run_is_known_by_the_images_that_were_selected(photos):
    def place(**selection):
        quotas = [{"source": "social", "label": "real", "images": 6}]
        chosen = {"data.selection": {"quotas": quotas} | selection}
        return open_tiny(photos, overrides=chosen).place

    assert place(name="all") == open_tiny(photos).place
    assert len({place(name="all"), place(name="shared"), place(name="shared", seed=7)}) == 3


def test_warnings_name_duplicates_across_splits_and_random_weights(photos, tmp_path):
    folder = copy_without_one_image(photos, tmp_path / "twice")
    (folder / "val/real/copy.png").write_bytes((folder / "train/social/real/03.png").read_bytes())
    warnings = open_tiny(folder).warnings()
    assert any("weights are random" in warning for warning in warnings)
    assert any("val/real/copy.png" in warning for warning in warnings)


def test_the_constrained_run_trains_on_its_own_source(photos):
    run = open_tiny(photos, "constrained").obtain()
    assert run.record.data["training_images"] == 32


def test_a_finished_run_is_found_and_not_trained_again(photos, finished, monkeypatch):
    monkeypatch.setattr("layerfusion.runs.experiment.train", pytest.fail)
    again = open_tiny(photos).obtain()
    assert again == finished
    assert open_tiny(photos, overrides={"loader.workers": 1}).obtain() == finished


def test_a_recording_takes_no_run_that_was_computed_natively(photos, finished, monkeypatch, capfd):
    monkeypatch.setattr("layerfusion.runs.experiment.train", pytest.fail)
    for name, value in PORTABLE.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TypeError):  # it would train
        open_tiny(photos).obtain()
    assert "computed natively" in capfd.readouterr().err
    assert finished.directory.is_dir()


@pytest.mark.parametrize("change", ["seed", "setting", "data", "recipe", "record only"])
def test_anything_that_changes_numbers_asks_for_another_run(
    photos, finished, monkeypatch, tmp_path, change
):
    arguments = {}
    if change == "seed":
        arguments = {"seed": 7}
    elif change == "setting":
        arguments = {"overrides": {"training.head_learning_rate": 1e-4}}
    elif change == "data":
        arguments = {"data_root": copy_without_one_image(photos, tmp_path / "other")}
    elif change == "recipe":
        monkeypatch.setattr("layerfusion.runs.experiment.RECIPE", 0)
    else:
        (finished.directory / "detector" / "trained.safetensors").unlink()
    assert open_tiny(photos, **arguments).place.read() is None


def test_more_test_images_do_not_ask_for_another_run(photos, finished, tmp_path):
    folder = copy_without_one_image(photos, tmp_path / "all", left_out=0)
    (folder / "test" / "more.jpg").write_bytes((folder / "test" / "0.jpg").read_bytes())
    again = open_tiny(folder).place.read()
    assert again is not None and again.record == finished.record


def copy_without_one_image(photos, folder, left_out=1):
    shutil.copytree(photos, folder)
    for path in sorted((folder / "train").rglob("*.*"))[:left_out]:
        path.unlink()
    return folder


def test_fresh_trains_anew_and_gives_the_same_numbers(photos, finished):
    first = finished.directory.stat().st_ino
    again = open_tiny(photos).obtain(fresh=True)
    assert again.directory == finished.directory and again.directory.stat().st_ino != first
    assert again.record.metrics == finished.record.metrics
    assert again.record.history == finished.record.history
    pd.testing.assert_frame_equal(again.predictions(), finished.predictions())


def interrupt(photos, monkeypatch):
    """Leave a run behind that stopped after its first epoch."""
    experiment = open_tiny(photos)
    with monkeypatch.context() as patch:
        patch.setattr(loop.Progress, "finished", lambda self, _: _stop_after_one_epoch(self))
        with pytest.raises(KeyboardInterrupt):
            experiment.obtain()
    return experiment


def _stop_after_one_epoch(progress):
    if progress.epoch == 1:
        raise KeyboardInterrupt
    return False


def test_an_unfinished_run_is_not_a_run_and_not_thrown_away_unasked(photos, monkeypatch):
    experiment = interrupt(photos, monkeypatch)
    assert experiment.place.read() is None and not experiment.place.finished.exists()
    assert experiment.place.unfinished.name.endswith(".unfinished")
    with pytest.raises(UserError, match="--resume"):
        experiment.obtain(resume=False)
    assert experiment.place.unfinished.exists()


def test_the_log_goes_on_where_a_run_was_interrupted(photos, monkeypatch):
    experiment = interrupt(photos, monkeypatch)
    before = (experiment.place.unfinished / "log.txt").read_text(encoding="utf-8")
    after = (experiment.obtain().directory / "log.txt").read_text(encoding="utf-8")
    assert after.startswith(before) and "resuming after epoch" not in before
    said = [line.split(maxsplit=2)[2] for line in after.removeprefix(before).splitlines()]
    assert said[0].startswith("training") and said[-1].startswith("finished: ")
    assert any(line.startswith("resuming after epoch") for line in said)


def test_a_log_that_cannot_be_written_changes_no_number(photos, finished):
    predictions = finished.predictions()
    shutil.rmtree(finished.directory)
    experiment = open_tiny(photos)
    (experiment.place.unfinished / "log.txt").mkdir(parents=True)
    without = experiment.obtain()
    assert without.record.metrics == finished.record.metrics
    assert without.record.key == finished.record.key
    assert without.predictions().equals(predictions)


def test_an_unfinished_run_is_resumed_on_another_machine(photos, monkeypatch, tmp_path):
    whole = open_tiny(photos).obtain()
    monkeypatch.setenv("LAYERFUSION_RUNS", str(tmp_path / "cut"))
    interrupt(photos, monkeypatch)

    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "cut", elsewhere / "runs")
    shutil.copytree(photos, elsewhere / "photos")
    tower = Path(TINY["encoder.model"])
    shutil.copy(tower, elsewhere / "tower.json")
    monkeypatch.setenv("LAYERFUSION_RUNS", str(elsewhere / "runs"))
    settings = {"encoder.model": str(elsewhere / "tower.json")}
    experiment = open_tiny(elsewhere / "photos", overrides=settings)
    assert experiment.place.unfinished.is_dir()
    run = experiment.obtain()
    assert [s["from_step"] for s in run.record.provenance["training_sessions"]] == [0, 4]
    assert run.record.key == whole.record.key
    assert run.record.history == whole.record.history
    assert run.record.metrics == whole.record.metrics
    pd.testing.assert_frame_equal(run.predictions(), whole.predictions())


def test_the_room_that_a_training_needs_is_known_before(photos, capfd, monkeypatch):
    experiment = open_tiny(photos)
    room = namedtuple("room", "free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: room(10**6))
        with pytest.raises(UserError, match=r"needs \d+ MB in .*, where 1 MB are free; make room"):
            experiment.obtain()
    assert not experiment.place.unfinished.exists()
    largest, save = 0, loop.save_checkpoint

    def save_and_measure(*arguments):
        nonlocal largest
        save(*arguments)
        files = experiment.place.unfinished.rglob("*")
        largest = max(largest, sum(path.stat().st_size for path in files))

    monkeypatch.setattr(loop, "save_checkpoint", save_and_measure)
    experiment.obtain()
    said = int(re.search(r"training needs (\d+) MB on the disk", capfd.readouterr().err)[1])
    # Each file is there twice while it is replaced.
    assert largest < said * 10**6 < 2.5 * largest


def test_a_run_that_begins_anew_says_so(photos, monkeypatch, capfd):
    former = interrupt(photos, monkeypatch).place.unfinished.name
    capfd.readouterr()
    open_tiny(photos, overrides={"training.weight_decay": 0.5}).obtain()
    said = capfd.readouterr().err
    assert f"the interrupted {former} is of other settings, images or code and is not res" in said


def test_a_failed_training_leaves_the_former_run_alone(photos, finished, monkeypatch):
    def fail(*arguments, **named):
        raise UserError("no")

    monkeypatch.setattr("layerfusion.runs.experiment.train", fail)
    experiment = open_tiny(photos)
    with pytest.raises(UserError):
        experiment.obtain(fresh=True)
    assert experiment.place.read() == finished


def test_two_processes_do_not_train_the_same_run(photos):
    experiment = open_tiny(photos)
    with experiment.place.lock(), pytest.raises(UserError, match="another process"):
        experiment.obtain()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"run": "closed"}, "constrained, open"),
        ({"profile": "paper"}, "trains on source 'coco'"),
        ({"seed": -1}, "there is no seed -1"),
        ({"data_root": None}, "--data-root"),
        ({"data_root": "no/such/folder"}, "no/such/folder"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_sentence(photos, arguments, words):
    with pytest.raises(UserError) as caught:
        open_tiny(photos, **arguments)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_validation_images_are_needed(photos, tmp_path):
    shutil.copytree(photos / "train", tmp_path / "bare" / "train")
    with pytest.raises(UserError, match="validation images"):
        open_tiny(tmp_path / "bare")


@pytest.mark.parametrize("text", [None, "{", '{"run": "open"}'])
def test_a_damaged_record_is_named(tmp_path, text):
    path = tmp_path / "record.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=r"record\.json|record at"):
        read_record(path)


def test_records_are_plain_json(finished):
    values = json.loads((finished.directory / "record.json").read_text())
    assert values["metrics"]["ranking"]["roc_auc"] == finished.record.metrics["ranking"]["roc_auc"]
