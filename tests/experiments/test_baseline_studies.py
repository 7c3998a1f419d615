"""Features of the frozen encoder, and baselines as variants of a study."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import TINY, open_tiny, tiny_detector
from layerfusion.data.loading import Draw, EvaluationImages, TrainingImages
from layerfusion.errors import UserError
from layerfusion.experiments.baselines import fitting, registry
from layerfusion.experiments.baselines.baseline import Baseline
from layerfusion.experiments.baselines.features import FrozenEncoder, training_views
from layerfusion.experiments.baselines.linear_probe import fit_linear_probe
from layerfusion.experiments.baselines.linear_svm import fit_linear_svm
from layerfusion.experiments.study import Study
from layerfusion.model.detector import Detector
from layerfusion.pages.figures import baselines as pages
from layerfusion.progress import Reporter

SETTINGS = TINY | {"training.views": 2, "loader.prefix_cache": True, "training.epochs": 1}


class Fits:
    """Stands before a baseline's own rule: counts fits, and stops one of them, once."""

    def __init__(self, stop_at=None):
        self.stop_at, self.seen = stop_at, []

    def __call__(self, features, labels, seed):
        if len(self.seen) == self.stop_at:
            self.stop_at = None
            raise KeyboardInterrupt
        self.seen.append((len(features), seed))
        return fit_linear_svm(features, labels, seed)


def open_study(photos, fit=fit_linear_svm, only=None, **overrides):
    short = partial(fit_linear_probe, steps=20)
    baselines = (
        Baseline("linear-svm", "linear SVM", fit, "linear_svm"),
        Baseline("linear-probe", "linear probe", short, "linear_probe"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "BASELINES", {one.name: one for one in baselines})
        given = {"data_root": photos, "seeds": 2, "overrides": SETTINGS | overrides, "only": only}
        return Study.open("baselines", **given)


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    """A study that was stopped in its third support vector machine and then resumed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFUSION_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setenv("LAYERFUSION_CACHE", str(tmp_path_factory.mktemp("cache")))
        fits = Fits(stop_at=2)
        with pytest.raises(KeyboardInterrupt):
            open_study(photos, fits).obtain()
        finished = open_study(photos, fits).obtain()
        patch.setattr(fitting, "FrozenEncoder", lambda *_: pytest.fail("computed again"))
        assert open_study(photos, fits).obtain() == finished
    return finished, fits


@pytest.fixture
def encoder(tiny_profile):
    return FrozenEncoder(tiny_profile, Reporter())


def open_experiment(photos, **overrides):
    return open_tiny(photos, overrides=SETTINGS | overrides)


# --- features -------------------------------------------------------------------------------------


def test_features_are_the_towers_own(photos, tiny_profile, encoder):
    experiment = open_experiment(photos)
    found = encoder.evaluation_features(experiment.validation)
    files = [photos / path for path in experiment.validation.rows["path"]]
    crops = torch.stack([crop for _, crop in EvaluationImages(files, tiny_profile.images)])
    whole = tiny_detector()
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


def test_baselines_see_the_views_that_the_head_sees(photos):
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


# --- baselines as variants ------------------------------------------------------------------------


def test_a_stopped_study_fits_nothing_twice(made):
    constrained, both = 2 * 32, 2 * 56
    assert made[1].seen == [(constrained, 1337), (constrained, 1338), (both, 1337), (both, 1338)]


def test_the_papers_head_is_trained_and_baselines_score_the_same_images(made, photos):
    table, expected = made[0].predictions, open_experiment(photos).validation.rows
    kinds = {variant.name: variant.kind for variant in made[0].record.variants}
    assert kinds["open"] == "trained" and kinds["open-linear-svm"] == "fitted"
    groups = table.groupby(["variant", "seed"])
    assert len(groups) == 2 * 3 * 2 and set(table["condition"]) == {"local"}
    for _, own in groups:
        assert own["image_id"].tolist() == expected["path"].tolist()
        assert own["label"].tolist() == expected["label"].tolist()
    learnt = {c.variant: c.parameters for c in made[0].record.cells}
    assert learnt["open-linear-svm"] < learnt["open"]


def test_thresholds_are_the_best_by_f1(made):
    for cell in made[0].record.cells:
        own = made[0].predictions.query("variant == @cell.variant and seed == @cell.seed")
        label = own["label"].to_numpy(int)
        best = max(
            2 * (label[called].sum()) / (label.sum() + called.sum())
            for called in (own["logit"].to_numpy() >= value for value in own["logit"])
        )
        found = made[0].scored["local"][cell.variant]
        assert found.rates["f1"][found.seeds.index(cell.seed), 0] == pytest.approx(best)


def test_a_machine_that_draws_nothing_is_the_same_with_every_seed(made):
    logits = {
        name: [rows["logit"].to_numpy() for _, rows in own.groupby("seed")]
        for name, own in made[0].predictions.groupby("variant")
    }
    assert np.array_equal(*logits["open-linear-svm"])
    assert not np.array_equal(*logits["open-linear-probe"])


def test_seeds_have_views_of_their_own_where_views_are_drawn(photos):
    fits = Fits()
    study = open_study(photos, fits, only=["linear-svm"], **{"training.views": None})
    finished = study.obtain()
    table = finished.predictions.query("variant == 'open-linear-svm'")
    first, second = (rows["logit"].to_numpy() for _, rows in table.groupby("seed"))
    assert not np.array_equal(first, second)
    assert fits.seen == [(32, 1337), (32, 1338), (56, 1337), (56, 1338)]


def test_the_key_is_of_settings_images_and_baselines(photos):
    study = open_study(photos)
    fewer = open_study(photos, only=["linear-svm"])
    other = open_study(photos, **{"training.views": 3})
    assert study.key() == open_study(photos).key()
    assert len({study.key(), fewer.key(), other.key()}) == 3


# --- the page -------------------------------------------------------------------------------------


def test_the_best_of_each_run_comes_first_and_is_drawn(made):
    table = pages.ranking(made[0])
    assert table["run"].tolist() == ["constrained"] * 3 + ["open"] * 3
    for _, own in table.groupby("run"):
        assert own["roc_auc"].is_monotonic_decreasing and own["verdict"].isna().sum() == 1
    effects = made[0].effects.set_index("name")["effect"]
    gains = table.dropna(subset="gain").set_index(["run", "contender"])["gain"]
    assert gains["open", "linear SVM"] == effects["open-linear-svm"]
    rates, sizes = pages.rates(made[0]), pages.sizes(made[0])
    assert len(rates) == 4 and rates["roc_auc"].between(0, 1).all()
    assert sizes["contender"].tolist()[1:] == ["linear SVM", "linear probe"]
    assert np.isnan(sizes["seconds"].iloc[0]) and sizes["parameters"].iloc[1] > 0


def ranked(gains):
    rows = [("layer fusion (the paper)", 0.9, np.nan, None)]
    rows += [(name, 0.9 - gain, gain, verdict) for name, gain, verdict in gains]
    table = pd.DataFrame(rows, columns=["contender", "roc_auc", "gain", "verdict"])
    both = pd.concat([table.assign(run=run) for run in ("constrained", "open")])
    ends = {"low": both["roc_auc"] - 0.1, "high": both["roc_auc"] + 0.1}
    ends |= {"gain_low": both["gain"] - 0.01, "gain_high": both["gain"] + 0.01}
    return both.assign(**ends).reset_index(drop=True)


TITLES = [baseline.title for baseline in registry.BASELINES.values()]


def test_the_page_says_who_is_above_and_who_below():
    verdicts = ("holds", "undecided", "reversed")
    text = pages.in_a_sentence(ranked(zip(TITLES, (0.1, 0.0, -0.1), verdicts, strict=True)))
    assert text.count("in the open run") == text.count("in the constrained run") == 1
    head, open_run = text.split("in the constrained run")
    above, rest = open_run.split("not told apart from", maxsplit=1)[0].split("**below**")
    assert "the linear probe" in above and " RINE" in rest and "SVM" not in above + rest
    assert "nan" not in text and head.startswith("On the same features")
    worst = pages.in_a_sentence(ranked([(title, -0.1, "reversed") for title in TITLES]))
    assert worst.count("**below**") == 2 and "above" not in worst and "told apart" not in worst


def test_every_detector_is_drawn_with_its_interval():
    table = ranked([(title, 0.1, "holds") for title in TITLES])
    left, right = pages.draw_baselines(table).axes
    labels = [label.get_text() for label in left.get_yticklabels()]
    assert labels == ["layer fusion (the paper)", *TITLES]
    assert [len(container[0].get_xdata()) for container in left.containers] == [4, 4]
    assert len(right.containers) == 2


def test_the_page_names_every_source_once_with_its_differences():
    text = pages.described([*registry.BASELINES, "rine"])
    assert text.count("**") == 2 * 3 and "Koutlis and Papadopoulos 2024" in text
    assert "``" not in text and text.count("\n- ") >= 9
