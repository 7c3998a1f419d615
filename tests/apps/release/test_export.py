"""A finished run is exported: rounded, calibrated again, described, and all of it or nothing."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import layerfusion
from conftest import TINY
from layerfusion.apps.release import export as exporting
from layerfusion.apps.release.model_card import Official
from layerfusion.experiments.detectors import detector_study
from layerfusion.experiments.record import FinishedStudy, read_study
from layerfusion.experiments.sealing import seal, unseal
from layerfusion.metrics.probability import decide, probability
from layerfusion.metrics.rates import evaluate, report, threshold_metrics
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.model.detector import Detector
from layerfusion.model.folder import read_trained_tensors
from layerfusion.runs.experiment import Experiment

SETTINGS = {
    name: value for name, value in TINY.items() if not name.startswith(("data.", "training."))
} | {
    "encoder.trained_blocks": 0,
    "encoder.activation": "quick_gelu",
    "training.max_steps": 6,
    "training.small_side": 71,
}
OPTIONS = [
    word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")
]  # fmt: skip
LICENCES = {"lens": "CC0 | or so", "brush": None}


@pytest.fixture(scope="module")
def tree(photos, tmp_path_factory):
    """The photos with a manifest.csv: sources, styles, generators and licences."""
    root = tmp_path_factory.mktemp("described") / "photos"
    shutil.copytree(photos, root)
    rows = []
    for index, path in enumerate(sorted(root.rglob("*/*.png"))):
        real = path.parent.name == "real"
        kind = "lens" if real else "brush"
        later = path.is_relative_to(root / "val") and index % 2
        generator = None if real else ("Brush 2" if later else "Brush 1")
        style = "art" if not real and index % 3 else "photo"
        source = f"{kind}-{'val' if later else 'both'}"
        name = path.relative_to(root).as_posix()
        rows.append((name, source, generator, style, LICENCES[kind]))
    columns = ["path", "source", "generator", "style", "licence"]
    pd.DataFrame(rows, columns=columns).to_csv(root / "manifest.csv", index=False)
    return root


def open_run(root):
    return Experiment.open("open", profile="photographs", data_root=root, overrides=SETTINGS)


@pytest.fixture(scope="module")
def made(tree, tmp_path_factory):
    """The folders of a finished run and of the cache that it filled."""
    with pytest.MonkeyPatch.context() as patch:
        folders = {"RUNS": tmp_path_factory.mktemp("runs"), "CACHE": tmp_path_factory.mktemp("c")}
        for name, folder in folders.items():
            patch.setenv(f"LAYERFUSION_{name}", str(folder))
        experiment = open_run(tree)
        return folders, experiment, experiment.obtain()


@pytest.fixture
def export(made, tree, run, monkeypatch):
    """Run `layerfusion export` on that run; returns (exit status, stdout, stderr)."""

    def export(*further, profile="photographs", seed=1337):
        for name, folder in made[0].items():
            monkeypatch.setenv(f"LAYERFUSION_{name}", str(folder))
        words = ["export", "--profile", profile, "--run", "open", "--data-root", tree, *OPTIONS]
        return run(*words, "--seed", seed, *further)

    return export


@pytest.fixture
def shipped(export, made, tmp_path):
    """An exported detector, and the predictions that were asked for with it."""
    # Below the runs: its tower is a file of the tests, and a folder from elsewhere may name none.
    folder, predictions = made[0]["RUNS"] / tmp_path.name, tmp_path / "validation.parquet"
    predictions.symlink_to("linked.parquet")
    status, out, err = export("--out", folder, "--predictions", predictions)
    assert predictions.is_symlink()
    assert status == 0, err
    assert out.splitlines()[-1].split() == ["detector", str(folder)]
    yield folder, pd.read_parquet(predictions)
    shutil.rmtree(folder)


def test_the_head_is_rounded_and_small_and_its_folder_complete(shipped, made):
    folder, _ = shipped
    assert sorted(path.name for path in folder.iterdir()) == [
        "MODEL_CARD.md", "SHA256SUMS", "detector.json", "seen_images.csv", "trained.safetensors",
        "validation.csv",
    ]  # fmt: skip
    assert not list(folder.parent.glob(".*.partial"))
    written = read_trained_tensors(folder)
    own = read_trained_tensors(made[2].directory / "detector")
    assert written.keys() == own.keys()
    for name, tensor in written.items():
        assert tensor.dtype == torch.float16 and torch.equal(tensor, own[name].half())
    weights = (folder / "trained.safetensors").stat().st_size
    assert weights < 0.55 * (made[2].directory / "detector" / "trained.safetensors").stat().st_size
    for name, parameter in Detector.load(folder).trained_parameters().items():
        assert parameter.dtype == torch.float32  # it computes in these
        assert torch.equal(parameter.detach(), written[name].float())


def test_the_threshold_is_chosen_with_the_rounded_head(shipped, tree, made):
    folder, predictions = shipped
    detector = Detector.load(folder)
    assert list(predictions.columns) == [
        "image_id", "label", "logit", "source", "style", "width", "height",
    ]  # fmt: skip
    assert detector.threshold == best_f1_threshold(
        predictions["label"], probability(predictions["logit"])
    )
    scores = layerfusion.score([tree / name for name in predictions["image_id"]], folder)
    own = predictions.set_index("image_id")["logit"]
    np.testing.assert_allclose(np.sort(scores["logit"]), np.sort(own), atol=1e-5)
    before = made[2].predictions().set_index("image_id")["logit"]
    moved = (before[own.index] - own).abs()
    assert 0 < moved.max() < 0.05


def test_a_threshold_for_a_rate_and_a_card_that_begins_with_other_sources(export, made, tmp_path):
    first, again = made[0]["RUNS"] / "first", made[0]["RUNS"] / "again"
    status, _, err = export("--out", first, "--fpr", 0.3)
    assert status == 0, err
    detector = Detector.load(first)
    card = (first / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "ends at\n30% or below" in card and "--fpr 0.3" in card
    assert "### Images of other sources" not in card
    study = detector_study({"mine": detector}, made[1], command="test").obtain()
    status, _, err = export("--out", again, "--fpr", 0.3, "--official", study.directory)
    assert status == 2 and "has no official labels yet" in err and not again.exists()
    tests = study.unlabelled["path"]
    labels = pd.DataFrame({"image_id": tests, "label": np.arange(len(tests)) % 2})
    labels.assign(source=[f"s{n % 4}" for n in range(len(tests))]).to_csv(
        tmp_path / "labels.csv", index=False
    )
    (tmp_path / "plan.md").write_text("FPR first.")
    seal(study.directory, tmp_path / "plan.md")
    unseal(study.directory, tmp_path / "labels.csv")
    status, _, err = export("--out", again, "--fpr", 0.3, "--official", study.directory)
    assert status == 0, err
    card = (again / "MODEL_CARD.md").read_text(encoding="utf-8")
    rows = [row for row in rows_of(card, "### Images of other sources") if len(row) == 4]
    assert (
        "4 sources, of which none has training" in card and "rules of judging were sealed" in card
    )
    unsealed = Official(FinishedStudy(tmp_path, study.record), "mine")
    assert unsealed.seal is None
    scored = read_study(study.directory).scored["official"]["mine"]
    assert rows[0][0] == "this one" and f"{scored.values('fpr')[0, 0]:.1%}" in rows[0][1]
    assert (again / "trained.safetensors").read_bytes() == (
        first / "trained.safetensors"
    ).read_bytes()
    status, _, err = export("--out", tmp_path / "x", "--official", study.directory)
    assert status == 2 and "has not scored this detector at this threshold" in err


def test_what_is_known_of_images_is_kept_with_their_scores(shipped, tree):
    known = pd.read_csv(tree / "manifest.csv").set_index("path")
    table = shipped[1].set_index("image_id")
    for column in ("source", "style"):
        assert (table[column] == known.loc[table.index, column]).all()
    assert (table["width"] == 72).all() and (table["height"] == 70).all()


# --- refused ------------------------------------------------------------------------------------


def one_sentence(answer, *words):
    status, out, err = answer
    assert (status, out) == (2, "") and "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert err.rstrip().endswith(line)
    for word in words:
        assert word in line


def test_a_run_that_trained_blocks_is_refused(export, tmp_path):
    more = ["--set", "encoder.trained_blocks=2", "--set", "training.views=null"]
    answer = export(*more, "--out", tmp_path / "out")
    one_sentence(answer, "trains the last 2 blocks", "encoder.trained_blocks=0")
    assert not (tmp_path / "out").exists()


def test_what_is_not_trained_yet_says_how_to_train_it(export, tree, tmp_path):
    answer = export("--out", tmp_path / "out", seed=7)
    one_sentence(answer, "layerfusion train --run open", f"--data-root {tree} --seed 7", "--set")
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_and_no_place_invented(export, tmp_path):
    (tmp_path / "taken").mkdir()
    one_sentence(export("--out", tmp_path / "taken"), "already exists")
    one_sentence(export("--out", tmp_path / "no" / "out"), "does not exist; create it first")
    answer = export("--out", tmp_path / "out", "--predictions", tmp_path / "no" / "p.parquet")
    one_sentence(answer, "--predictions", "create it first")
    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]


def test_a_weight_that_float16_cannot_hold_is_refused(made, monkeypatch):
    monkeypatch.setenv("LAYERFUSION_RUNS", str(made[0]["RUNS"]))
    detector = made[2].detector()
    with torch.no_grad():
        next(iter(detector.trained_parameters().values())).fill_(1e6)
    with pytest.raises(layerfusion.errors.UserError, match="float16 cannot"):
        exporting.round_head(detector)


# --- the card -----------------------------------------------------------------------------------


@pytest.fixture
def card(shipped):
    return (shipped[0] / "MODEL_CARD.md").read_text(encoding="utf-8")


def rows_of(card, heading):
    """Return the cells of the table below a heading, by the text of their first columns."""
    section = card.split(f"\n{heading}\n")[1].split("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines[2:]]


def test_the_fields_at_its_top_are_those_of_the_predictions(card, shipped):
    fields = yaml.safe_load(card.split("---\n")[1])
    assert fields["license"] == "apache-2.0" and "clip" in fields["tags"]
    (result,) = fields["model-index"][0]["results"]
    given = {metric["type"]: metric["value"] for metric in result["metrics"]}
    table, threshold = shipped[1], Detector.load(shipped[0]).threshold
    found = report(table["label"], table["logit"], threshold)
    assert given["roc_auc"] == pytest.approx(found["ranking"]["roc_auc"], abs=1e-4)
    for name in ("f1", "precision", "recall"):
        assert given[name] == pytest.approx(found["calibrated"][name], abs=1e-4)


def test_its_numbers_are_those_of_the_predictions(card, shipped):
    table, threshold = shipped[1], Detector.load(shipped[0]).threshold
    counts = threshold_metrics(table["label"], decide(table["logit"], threshold), threshold)
    point = dict(rows_of(card, "### Operating point"))
    assert point["recall"].startswith(f"{counts['recall']:.1%} (")
    assert point["precision"].startswith(f"{counts['precision']:.1%} (")
    alarms = counts["false_positives"] / (counts["false_positives"] + counts["true_negatives"])
    assert point["false positive rate"].startswith(f"{alarms:.1%} (")
    first, *others = rows_of(card, "### Scores")
    auc = evaluate(table["label"], table["logit"], 0).loc["roc_auc"]
    assert first[:3] == [
        "as they are", str(len(table)), f"{auc.estimate:.3f} ({auc.low:.3f} to {auc.high:.3f})",
    ]  # fmt: skip
    assert [row[0] for row in others] == [
        "JPEG of quality 85", "shrunk to 50 %, enlarged and cropped", "WebP of quality 75",
        "AVIF of quality 60",
    ]  # fmt: skip


def test_sources_styles_sizes_and_generators_have_their_own(card):
    sources = rows_of(card, "### By source")
    assert {(kind, name, int(count)) for kind, name, count, *_ in sources} == {
        ("real", "lens-both", 6),
        ("real", "lens-val", 6),
        ("synthetic", "brush-both", 6),
        ("synthetic", "brush-val", 6),
    }
    styles = {name: int(count) for name, count, *_ in rows_of(card, "### By style")}
    assert set(styles) == {"photographic", "illustration"} and sum(styles.values()) == 12
    (size,) = rows_of(card, "### By size")
    assert size[:2] == ["below 71 px", "24"]
    text = " ".join(card.split())
    assert "2 also have training images: `brush-both`, `lens-both`" in text
    assert "also in training, 6 images" in text and "not in training, 6 images" in text
    assert "No real image is an illustration" in text and "not measured" in text


def test_training_images_have_their_licence(card):
    assert rows_of(card, "### Training data") == [
        ["real", "lens-both", "28", "CC0 \\| or so"],
        ["synthetic", "brush-both", "28", "not stated"],
    ]


def test_it_names_no_machine_and_says_how_it_was_made(card, made, tree, tmp_path):
    for folder in (tree, tmp_path, made[2].directory, *made[0].values()):
        assert str(folder) not in card
    assert not re.search(r"(?<![\w.])/(?:home|root|work|tmp|Users)/", card)
    (command,) = re.findall(r"^layerfusion export .*$", card, flags=re.MULTILINE)
    assert "--profile photographs --data-root DIR --seed 1337" in command
    assert command.endswith("--out FOLDER") and "encoder.model=demo-tiny.json" in command
    assert made[2].record.key[:10] in card
    assert made[1].profile.notice in card


def test_without_a_description_the_card_says_what_is_unknown(photos, made, tmp_path, monkeypatch):
    for name in made[0]:
        monkeypatch.setenv(f"LAYERFUSION_{name}", str(tmp_path / name))
    experiment = open_run(photos)
    exporting.export(experiment, experiment.obtain(), tmp_path / "out", command="layerfusion")
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "The styles of the images are not known." in card
    assert [row[-1] for row in rows_of(card, "### Training data")] == ["not stated"] * 4
    assert "unknown, 12 images" in card
