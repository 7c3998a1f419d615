"""Which detector answers when none, the toy or a folder is named, and what is said in its place."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import layerfusion
from conftest import tiny_detector
from layerfusion import paths
from layerfusion.errors import UserError
from layerfusion.model import known_weights
from layerfusion.model.detector import Detector
from layerfusion.model.folder import DESCRIPTION, TRAINED, DetectorDescription, read_trained_tensors
from layerfusion.model.known_weights import KNOWN
from layerfusion.model.weight_files import tensors_sha256
from layerfusion.model.weights import build_tower, resolved
from layerfusion.scoring import detectors
from layerfusion.scoring.detectors import detector_folder
from layerfusion.settings import load_profile

NAME = "tiny-known"
NOTICE = "for tests alone"


@pytest.fixture
def weights(tiny_profile, monkeypatch):
    """The tiny tower's weights, known by a name for the length of a test; their file."""
    tower = build_tower(tiny_profile.encoder)
    tensors = {name: value.contiguous() for name, value in tower.state_dict().items()}
    known = replace(
        KNOWN["clip-vit-b-16-int8"],
        name=NAME,
        model="demo-tiny",
        tensors_sha256=tensors_sha256(tensors),
    )
    monkeypatch.setitem(known_weights.KNOWN, NAME, known)
    known.path.parent.mkdir(parents=True)
    save_file(tensors, known.path)
    return known.path


@pytest.fixture
def folder(weights, tmp_path):
    """A calibrated detector on weights that are known by a name."""
    encoder = {"model": "demo-tiny", "weights": NAME, "trained_blocks": 0}
    detector = tiny_detector(**{f"encoder.{name}": value for name, value in encoder.items()})
    detector.threshold, detector.notice = 0.25, NOTICE
    detector.save(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def default(folder, monkeypatch):
    """That detector, in place of the package's default."""
    monkeypatch.setattr(detectors, "DEFAULT_FOLDER", folder)
    return folder


def test_the_default_detector_scores_and_says_its_notice(default, run, photos, tmp_path):
    status, out, err = run("score", photos / "test", "--out", tmp_path / "scores.csv")
    assert (status, out) == (0, "") and f"warning: {NOTICE}" in err
    table = pd.read_csv(tmp_path / "scores.csv")
    assert set(table["warning"]) == {NOTICE} and set(table["threshold"]) == {0.25}
    assert table["error"].isna().all() and len(table) == 6


def test_in_python_the_same_detectors_are_named(default, photos):
    by_default = layerfusion.score(photos / "test")
    assert by_default.equals(layerfusion.score(photos / "test", default))
    assert set(by_default["warning"]) == {NOTICE}
    toy = layerfusion.score(photos / "test", "demo")
    assert toy["warning"].str.contains("mean nothing for real photographs").all()


def test_a_folder_that_is_called_demo_has_a_path(folder, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "demo")
    for named in ("./demo", Path("demo")):
        assert set(layerfusion.score(photos / "test", named)["warning"]) == {NOTICE}


def test_without_its_weights_the_default_says_how_to_get_them(default, weights, run, tmp_path):
    weights.unlink()
    expected = (
        f"error: the default detector needs the weights '{NAME}', which are not on this machine; "
        f"get them with: layerfusion weights get {NAME} (or try the toy: --detector demo)\n"
    )
    # Said before images are looked for: there are none.
    assert run("score", tmp_path) == (2, "", expected)
    with pytest.raises(UserError, match="the default detector needs the weights"):
        layerfusion.score("no/such/folder")


@pytest.mark.parametrize("command", ["score", "submit"])
def test_without_its_weights_any_detector_says_the_same(
    command, folder, weights, run, photos, tmp_path
):
    weights.unlink()
    arguments = {
        "score": [tmp_path],
        "submit": ["--run", "open", "--images", tmp_path, "--team", "us", "--out", "."],
    }
    status, out, err = run(command, *arguments[command], "--detector", folder)
    assert (status, out) == (2, "") and len(err.splitlines()) == 1
    assert f"the detector in {folder} needs the weights '{NAME}'" in err
    assert err.endswith(f"get them with: layerfusion weights get {NAME}\n")


def test_weights_that_lie_elsewhere_need_not_be_known(folder, weights, run, photos, tmp_path):
    moved = weights.replace(tmp_path / "moved.safetensors")
    assert run("score", photos / "test", "--detector", folder, "--weights", moved)[0] == 0


def test_what_is_no_detector_is_left_to_loading(tmp_path):
    (tmp_path / "detector.json").write_text("{}")
    assert detector_folder(tmp_path) == tmp_path
    with pytest.raises(UserError, match="is not a valid detector's description"):
        Detector.load(tmp_path)


# --- the detector in this copy of the package -----------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("photographs", "tokens"),
                                            ("photographs-paper", "fusion")])  # fmt: skip
def test_the_shipped_detectors_are_of_the_current_profile(name, kind):
    profile = load_profile("photographs", {"head.kind": kind})
    text = (detectors.SHIPPED[name] / DESCRIPTION).read_text(encoding="utf-8")
    description = DetectorDescription.model_validate_json(text)
    assert description.encoder == resolved(profile.encoder)
    assert (description.head, description.images) == (profile.head, profile.images)
    assert description.notice == profile.notice and 0 < description.threshold < 1


@pytest.mark.parametrize("name", detectors.SHIPPED)
def test_a_shipped_detector_is_found_by_its_name(name, monkeypatch):
    monkeypatch.setattr(detectors, "KNOWN", {})
    folder = detector_folder(name)
    assert (folder / TRAINED).is_file() and (folder / "SHA256SUMS").is_file()


@pytest.mark.parametrize("name", ["photographs", "photographs-paper"])
def test_a_shipped_detector_is_small_and_has_its_card(name):
    folder = detectors.SHIPPED[name]
    assert (folder / TRAINED).stat().st_size < 1e6
    assert {tensor.dtype for tensor in read_trained_tensors(folder).values()} == {torch.float16}
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    template = paths.PACKAGE / "apps" / "release" / "templates" / "model_card.md.j2"
    prose = [line for line in template.read_text(encoding="utf-8").splitlines() if "{" not in line]
    assert card.startswith("---\n") and len(prose) > 80
    assert [line for line in prose if line not in card] == [
        "Nothing was sealed before their labels were known.",
        "The styles of the images are not known.",
    ]
