"""What a user imports: few names, loaded when they are asked for, and the same as inside."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import layerfusion
from conftest import demo_detector
from layerfusion.errors import UserError
from layerfusion.metrics.rates import ranking_metrics, threshold_metrics

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "numpy", "pandas", "pydantic", "yaml", "matplotlib", "open_clip"}


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("layerfusion", HEAVY),
        ("layerfusion.cli.main", HEAVY),
        ("layerfusion.scoring.files", {"sklearn", "scipy.stats", "matplotlib"}),
        ("layerfusion.pages.chapters.kept_tables", {"torch", "open_clip", "torchvision"}),
        ("layerfusion.experiments.record", {"torch", "open_clip", "torchvision"}),
    ],
)
def test_what_everybody_waits_for_loads_no_more_than_it_needs(module, without):
    code = f"import sys, {module}; print(sorted({without} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_of_the_face_is_there_and_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    for name in layerfusion.__all__:
        assert callable(getattr(layerfusion, name)) and name in dir(layerfusion)
        assert getattr(layerfusion, name).__module__ == layerfusion._PLACES[name]
        assert name in readme
    assert layerfusion._PLACES.keys() == set(layerfusion.__all__)


def test_a_misspelt_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Detectors"):
        _ = layerfusion.Detectors


def test_metrics_come_with_intervals():
    rng = np.random.default_rng(3)
    label = np.arange(200) % 2
    score = rng.normal(label, 0.8)
    found = layerfusion.evaluate(label, score, 0.5, resamples=200)
    assert ((found["low"] <= found["estimate"]) & (found["estimate"] <= found["high"])).all()
    known = threshold_metrics(label, score >= 0.5, 0.5) | ranking_metrics(label, score)
    for name, estimate in found["estimate"].items():
        if name != "fpr":
            assert estimate == pytest.approx(known[name])
    assert found.loc["fpr", "estimate"] == (score[label == 0] >= 0.5).mean()
    nullable = pd.Series(label, dtype="Int8")  # as a table of predictions has it
    assert found.equals(layerfusion.evaluate(nullable, score, 0.5, resamples=200))


def test_metrics_of_one_class_are_refused():
    with pytest.raises(UserError, match="both real and synthetic"):
        layerfusion.evaluate([1, 1], [0.2, 0.4], 0.3)


def test_images_are_scored_by_path_and_by_folder(photos):
    folder = layerfusion.score(photos / "test", "demo")
    assert list(folder["image_id"]) == [f"{index}.jpg" for index in range(6)]
    files = layerfusion.score([str(photos / "test" / "0.jpg")], demo_detector())
    assert files["logit"].iloc[0] == pytest.approx(folder["logit"].iloc[0], abs=1e-5)
