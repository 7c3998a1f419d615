"""A contest on a tiny tower: what rivals read, how it is stopped, found and published."""

import shlex
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from conftest import TINY
from layerfusion.chapters.execution import CHECKSUMS
from layerfusion.cli.main import main
from layerfusion.data.loading import EvaluationImages, TrainingImages
from layerfusion.data.sampling import Draw
from layerfusion.errors import UserError
from layerfusion.metrics.probability import probability
from layerfusion.model.detector import Detector
from layerfusion.progress import Reporter
from layerfusion.rivals import contest as contest_module
from layerfusion.rivals.contest import Contest
from layerfusion.rivals.features import FrozenEncoder, training_views
from layerfusion.rivals.linear_probe import fit_linear_probe
from layerfusion.rivals.linear_svm import fit_linear_svm
from layerfusion.rivals.record import DTYPES, publish, read_contest, read_rivals, rivals_text
from layerfusion.rivals.rival import Rival
from layerfusion.runs.experiment import Experiment

SETTINGS = TINY | {"training.views": 2, "loader.prefix_cache": True}


class Fits:
    """Stands before a rival's own rule: counts fits, and stops one of them, once."""

    def __init__(self, stop_at=None):
        self.stop_at, self.seen = stop_at, []

    def __call__(self, features, labels, seed):
        if len(self.seen) == self.stop_at:
            self.stop_at = None
            raise KeyboardInterrupt
        self.seen.append((len(features), seed))
        return fit_linear_svm(features, labels, seed)


def open_contest(photos, fit=fit_linear_svm, **overrides):
    short = partial(fit_linear_probe, steps=20)
    rivals = [
        Rival("linear-svm", "SVM", fit, "linear_svm"),
        Rival("linear-probe", "Probe", short, "linear_probe"),
    ]
    return Contest.open(rivals, data_root=photos, seeds=2, overrides=SETTINGS | overrides)


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    """A contest that was stopped in its third support vector machine and then went on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFUSION_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setenv("LAYERFUSION_CACHE", str(tmp_path_factory.mktemp("cache")))
        fits = Fits(stop_at=2)
        with pytest.raises(KeyboardInterrupt):
            open_contest(photos, fits).obtain()
        finished = open_contest(photos, fits).obtain()
        patch.setattr(contest_module, "FrozenEncoder", lambda *_: pytest.fail("computed again"))
        assert open_contest(photos, fits).obtain() == finished
    return finished, fits


def test_its_log_goes_on_where_it_was_stopped(made):
    log = (made[0].directory / "log.txt").read_text(encoding="utf-8").splitlines()
    said = [line.split(maxsplit=2)[2] for line in log]
    stopped = said.index("interrupted from the keyboard")
    assert 0 < stopped < len(log) - 1


@pytest.fixture
def encoder(tiny_profile):
    return FrozenEncoder(tiny_profile, Reporter())


def open_experiment(photos, **overrides):
    return Experiment.open("open", data_root=photos, overrides=SETTINGS | overrides)


# --- features -------------------------------------------------------------------------------------


def test_features_are_the_towers_own(photos, tiny_profile, encoder):
    experiment = open_experiment(photos)
    found = encoder.evaluation_features(experiment.validation)
    files = [photos / path for path in experiment.validation.rows["path"]]
    crops = torch.stack([crop for _, crop, _ in EvaluationImages(files, tiny_profile.images)])
    whole = Detector.build(tiny_profile.encoder, tiny_profile.head, tiny_profile.images).eval()
    with torch.no_grad():
        images = (crops / 255 - whole.mean) / whole.std
        embedding = whole.encoder.visual(images)
        tokens = whole.class_tokens(crops)
    assert found.tokens.dtype == found.embedding.dtype == np.float32
    assert found.tokens == pytest.approx(tokens.numpy(), abs=1e-4)
    assert found.embedding == pytest.approx(embedding.numpy(), abs=1e-4)
    projected = found.next_to_last @ whole.encoder.visual.proj.detach().numpy()
    assert found.embedding == pytest.approx(projected, abs=1e-4)


def test_without_a_projection_the_embedding_is_the_features_before_it(photos, encoder):
    encoder.detector.encoder.visual.proj = None
    found = encoder.evaluation_features(open_experiment(photos).validation)
    assert np.array_equal(found.embedding, found.next_to_last)


@pytest.mark.parametrize(
    ("name", "value"), [("pool_type", "avg"), ("attn_pool", torch.nn.Linear(1, 1))]
)
def test_a_tower_that_pools_otherwise_is_refused(tiny_profile, monkeypatch, name, value):
    build = Detector.build

    def pooling_otherwise(*settings, **named):
        detector = build(*settings, **named)
        setattr(detector.encoder.visual, name, value)
        return detector

    monkeypatch.setattr(Detector, "build", pooling_otherwise)
    with pytest.raises(UserError, match="class token"):
        FrozenEncoder(tiny_profile, Reporter())


def test_rivals_see_the_views_that_the_head_sees(photos):
    experiment = open_experiment(photos)
    images, draws = training_views(experiment)
    rows, settings = experiment.training.rows, experiment.profile.images
    assert len(draws) == len(set(draws)) == 2 * len(rows)
    head = TrainingImages(photos, rows, settings, seed=experiment.seed, views=2)
    own = [images[draw] for draw in draws if draw.row == 3]
    drawn = [head[Draw(3, epoch, 0)] for epoch in range(12)]
    assert all(label == own[0][1] for _, label in drawn)
    seen = [[torch.equal(image, view) for view, _ in own] for image, _ in drawn]
    assert all(sum(equal) == 1 for equal in seen)
    assert all(any(equal[view] for equal in seen) for view in range(2))


def test_without_numbered_views_each_image_has_one_that_its_seed_draws(photos):
    experiment = open_experiment(photos, **{"training.views": None})
    images, draws = training_views(experiment)
    assert [draw.row for draw in draws] == list(range(len(experiment.training.rows)))
    other = training_views(replace(experiment, seed=experiment.seed + 1))[0]
    assert not torch.equal(images[draws[0]][0], other[draws[0]][0])


def test_training_features_come_with_their_labels(photos, encoder):
    experiment = open_experiment(photos)
    features, labels = encoder.training_features(experiment)
    rows = experiment.training.rows
    assert labels.tolist() == 2 * rows["label"].tolist()
    assert len(features) == len(labels) == 2 * len(rows)
    assert features[np.array([5])].tokens.shape == (1, *features.tokens.shape[1:])


def test_a_file_that_is_lost_meanwhile_is_named(photos, encoder, tmp_path):
    experiment = open_experiment(photos)
    lost = replace(experiment, manifest=replace(experiment.manifest, root=tmp_path))
    with pytest.raises(UserError, match=r"train/.*png"):
        encoder.training_features(lost)
    with pytest.raises(UserError, match=r"val/.*png"):
        encoder.evaluation_features(lost.validation)


# --- the contest ----------------------------------------------------------------------------------


def test_a_stopped_contest_fits_nothing_twice(made):
    _, fits = made
    constrained, both = 2 * 32, 2 * 56
    assert fits.seen == [(constrained, 1337), (constrained, 1338), (both, 1337), (both, 1338)]


def test_every_validation_image_is_scored_in_the_manifests_order(made, photos):
    table = read_rivals(made[0].directory)
    assert list(table) == list(DTYPES) and "blocks" not in DTYPES
    expected = open_experiment(photos).validation.rows
    groups = table.groupby(["rival", "run", "seed"])
    assert len(groups) == 2 * 2 * 2
    for _, own in groups:
        assert own["image_id"].tolist() == expected["path"].tolist()
        assert own["label"].tolist() == expected["label"].tolist()
    assert set(table["condition"]) == {"local"}


def test_the_record_says_what_the_predictions_say(made):
    record, table = made[0].record, read_rivals(made[0].directory)
    for entry in record.entries:
        own = table.query("rival == @entry.rival and run == @entry.run and seed == @entry.seed")
        label, logit = own["label"].to_numpy(int), own["logit"].to_numpy(float)
        assert entry.metrics["ranking"]["roc_auc"] == pytest.approx(roc_auc_score(label, logit))
        called = probability(logit) >= entry.threshold
        best = max(f1_score(label, logit >= value) for value in logit)
        assert entry.metrics["calibrated"]["f1"] == pytest.approx(f1_score(label, called))
        assert entry.metrics["calibrated"]["f1"] == pytest.approx(best)
    assert record.data["views"] == {"constrained": 64, "open": 112}
    # The session that was stopped had come to the open run, and left all views in the cache.
    assert (record.features.computed, record.features.found) == (0, 24 + 112)
    assert record.seeds == [1337, 1338] and record.rivals == ["linear-svm", "linear-probe"]
    assert record.command.startswith("layerfusion rivals --profile demo --data-root DIR --set")


def test_a_machine_that_draws_nothing_is_the_same_with_every_seed(made):
    table = read_rivals(made[0].directory).query("run == 'open'")
    logits = {
        rival: [rows["logit"].to_numpy() for _, rows in own.groupby("seed")]
        for rival, own in table.groupby("rival")
    }
    assert np.array_equal(*logits["linear-svm"])
    assert not np.array_equal(*logits["linear-probe"])


def test_seeds_have_views_of_their_own_where_views_are_drawn(photos):
    fits = Fits()
    contest = open_contest(photos, fits, **{"training.views": None})
    contest = replace(contest, rivals=contest.rivals[:1])
    finished = contest.obtain()
    cost = finished.record.features
    assert cost.computed > 0 and cost.computed + cost.found == 24 + 2 * 32 + 2 * 56
    table = read_rivals(finished.directory).query("run == 'open'")
    first, second = (rows["logit"].to_numpy() for _, rows in table.groupby("seed"))
    assert not np.array_equal(first, second)
    assert fits.seen == [(32, 1337), (32, 1338), (56, 1337), (56, 1338)]


def test_the_key_is_of_settings_images_and_rivals(photos):
    contest = open_contest(photos)
    assert contest.key() == open_contest(photos).key()
    fewer = replace(contest, rivals=contest.rivals[:1])
    other = open_contest(photos, **{"training.views": 3})
    assert len({contest.key(), fewer.key(), other.key()}) == 3


# --- what is published ----------------------------------------------------------------------------


def test_what_is_published_is_read_again(made, tmp_path):
    publish(made[0], tmp_path)
    assert read_contest(tmp_path).record == made[0].record
    pd.testing.assert_frame_equal(read_rivals(tmp_path), read_rivals(made[0].directory))
    assert str(tmp_path) not in (tmp_path / "rivals.json").read_text()
    lines = rivals_text(made[0].record).splitlines()
    assert len(lines) == 1 + 2 * 2 and "nan" not in lines[1]


@pytest.mark.parametrize("damage", ["lost", "no JSON", "no Parquet", "column"])
def test_a_damaged_file_is_named(made, tmp_path, damage):
    table = read_rivals(made[0].directory)
    if damage == "no JSON":
        (tmp_path / "rivals.json").write_text("{")
    elif damage == "no Parquet":
        (tmp_path / "rivals.parquet").write_text("image_id,logit\n")
    elif damage == "column":
        table.drop(columns="logit").to_parquet(tmp_path / "rivals.parquet")
    for read in (read_contest, read_rivals):
        with pytest.raises(UserError) as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value) and "rivals" in str(caught.value)


# --- the command ----------------------------------------------------------------------------------


def command(photos, *more):
    given = [f"--set {name}={value}" for name, value in SETTINGS.items() if name != "data.sources"]
    words = shlex.split(" ".join(given).replace("[40, 48]", "[40,48]"))
    source = ["--set", "data.sources=[{kind: folder}]"]
    return ["rivals", "-d", photos, "--rivals", "linear-svm", "--seeds", 2, *words, *source, *more]


def test_the_command_prints_and_publishes(run, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("layerfusion.chapters.parameters.project_root", lambda: tmp_path)
    status, out, err = run(*command(photos, "--publish"))
    assert not status, err
    assert "linear-svm" in out and "open" in out and "rivals.json" in out
    folder = tmp_path / "runs/reference/demo"
    sums = [line.split()[1] for line in (folder / CHECKSUMS).read_text().splitlines()]
    assert sums == ["rivals.json", "rivals.parquet"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--rivals", "forest"), "there is no rival 'forest'"),
        (("--rivals", ""), "there is no rival ''"),
        (("--profile", "papers"), "there is no profile 'papers'"),
        (("--data-root", "nowhere"), "nowhere"),
        (("--set", "training.views"), "name=value"),
    ],
)
def test_a_users_mistake_is_one_sentence(run, photos, arguments, words):
    status, _, err = run("rivals", *arguments)
    assert status == 2 and words in err and len(err.strip().splitlines()) == 1


def test_one_seed_is_too_few(run, photos, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["layerfusion", "rivals", "--seeds", "1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "--seeds" in capfd.readouterr().err
    with pytest.raises(UserError, match="two seeds"):
        Contest.open([], data_root=photos, seeds=1, overrides=SETTINGS)
