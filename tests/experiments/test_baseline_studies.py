"""Features of the frozen encoder, and baselines as variants of a study."""

from dataclasses import replace
from functools import partial

import numpy as np
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
from layerfusion.experiments.record import published_study
from layerfusion.experiments.study import Study
from layerfusion.model.detector import Detector
from layerfusion.pages.figures import baselines as pages
from layerfusion.pages.figures.effects import draw_variants, variants_table
from layerfusion.paths import reference_folder
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


def test_a_baseline_is_compared_with_the_papers_head(made):
    table = variants_table(made[0])
    effects = made[0].effects.set_index("name")
    assert table["difference"].dropna().to_dict() == (-effects["effect"]).to_dict()
    svm = table.loc["open-linear-svm"]
    assert svm["against"] == "layer fusion (the paper)"
    ends = [svm["difference_low"], svm["difference_high"]]
    assert ends == [-effects.loc["open-linear-svm", end] for end in ("high", "low")]
    (axes,) = draw_variants(table).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["linear SVM", "linear probe"] and len(axes.containers) == 2
    rates = pages.rates(made[0])
    assert len(rates) == 6 and rates["roc_auc"].between(0, 1).all()


@pytest.fixture(scope="module")
def committed():
    photographs = reference_folder("photographs")
    return [published_study(photographs, name) for name in ("baselines", "weights")]


def test_scores_of_another_study_are_read_in_the_same_order(committed):
    there, own = (study.scored["local"] for study in committed)
    other, moved = there["open-linear-probe"], own["open-last"]
    found = pages.on_images_of(moved, other)
    assert found.images is other.images and found.seeds == other.seeds
    place = moved.images["image_id"].tolist().index(other.images["image_id"].iloc[7])
    seed = moved.seeds.index(other.seeds[1])
    assert found.logits[1, 7] == moved.logits[seed, place]
    assert found.thresholds[1] == moved.thresholds[seed]
    fewer = replace(moved, images=moved.images.iloc[:1])
    with pytest.raises(LookupError):
        pages.on_images_of(fewer, other)


def test_depth_and_second_layer_add_up(committed):
    table = pages.steps(*committed).set_index(["run", "added"])
    assert len(table) == 2 * len(pages.STEPS) and not table.isna().any(axis=None)
    assert (table["low"] < table["roc_auc"]).all() and (table["roc_auc"] < table["high"]).all()
    depth, rine, layer = (table.loc[("constrained", name), "roc_auc"] for name in pages.STEPS)
    there, own = (study.scored["local"] for study in committed)
    probe = there["constrained-linear-probe"]
    scalar = pages.on_images_of(own["constrained-scalar"], probe)
    auc = {name: one.values("roc_auc")[:, 0].mean() for name, one in
           (("probe", probe), ("scalar", scalar), ("rine", there["constrained-rine"]))}  # fmt: skip
    assert depth + layer == pytest.approx(auc["scalar"] - auc["probe"])
    assert rine == pytest.approx(auc["rine"] - auc["probe"])
    (axes,) = pages.draw_steps(table.reset_index()).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(pages.STEPS)


def test_sizes_are_of_all_detectors(committed):
    table = pages.sizes(*committed).set_index("detector")
    titles = [baseline.title for baseline in registry.BASELINES.values()]
    assert table.index.tolist() == ["layer fusion (the paper)", *titles]
    assert table["parameters"].iloc[1] == 513 and (table["seconds"] > 0).all()


def test_the_page_names_every_source_once_with_its_differences():
    text = pages.described([*registry.BASELINES, "rine"])
    assert text.count("**") == 2 * 3 and "Koutlis and Papadopoulos 2024" in text
    assert "``" not in text and text.count("\n- ") >= 9
