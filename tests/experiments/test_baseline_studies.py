"""Features of the frozen encoder, and baselines as variants of a study."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import TINY, open_tiny, tiny_detector
from layerfusion.analysis.measures import RUNS
from layerfusion.data.loading import Draw, EvaluationImages, TrainingImages
from layerfusion.errors import UserError
from layerfusion.experiments.baselines import fitting, lattice, registry
from layerfusion.experiments.baselines.baseline import Baseline
from layerfusion.experiments.baselines.choosing import Choice
from layerfusion.experiments.baselines.features import FrozenEncoder, training_views
from layerfusion.experiments.baselines.linear_probe import fit_linear_probe
from layerfusion.experiments.baselines.linear_svm import fit_linear_svm
from layerfusion.experiments.record import published_study
from layerfusion.experiments.study import Study
from layerfusion.model.detector import Detector
from layerfusion.pages.figures import layers as pages
from layerfusion.pages.figures.effects import variants_table
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


def open_study(
    photos, fit=fit_linear_svm, only=("linear-svm", "linear-probe", "all"), beside=None, **overrides
):
    short = {"learning_rate": 1e-3, "steps": 5}, {"learning_rate": 1e-3, "steps": 20}
    fits = (
        Baseline("linear-svm", "linear SVM", fit, "linear_svm", drawn=False),
        Baseline("linear-probe", "linear probe", fit_linear_probe, "linear_probe", short),
    )
    fusions = {name: replace(one, tries=short) for name, one in registry.FUSIONS.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "BASELINES", {one.name: one for one in fits})
        patch.setattr(registry, "FUSIONS", fusions)
        given = {"data_root": photos, "seeds": 2, "overrides": SETTINGS | overrides, "only": only}
        return Study.open("layers", beside=beside, **given)


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    """A study that was stopped in its second support vector machine and then resumed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFUSION_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setenv("LAYERFUSION_CACHE", str(tmp_path_factory.mktemp("cache")))
        fits = Fits(stop_at=1)
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
    assert made[1].seen == [(constrained, 1337), (both, 1337)]  # all seeds give the same


def test_the_papers_head_is_trained_and_baselines_score_the_same_images(made, photos):
    experiment, table = open_experiment(photos), made[0].predictions
    splits = {"local": experiment.validation, "official": experiment.manifest.select(split="test")}
    kinds = {variant.name: variant.kind for variant in made[0].record.variants}
    assert kinds["open"] == "trained" and kinds["open-linear-svm"] == "fitted"
    groups = table.groupby(["variant", "seed", "condition"])
    assert len(groups) == 2 * 4 * 2 * 2
    for (_, _, on), own in groups:
        expected = splits[on].rows
        assert own["image_id"].tolist() == expected["path"].tolist()
        assert own["label"].astype("Int8").tolist() == expected["label"].tolist()
    learnt = {c.variant: c.parameters for c in made[0].record.cells}
    assert learnt["open-linear-svm"] < learnt["open"]


def test_thresholds_are_the_best_by_f1(made):
    for cell in made[0].record.cells:
        own = made[0].predictions.query(
            "variant == @cell.variant and seed == @cell.seed and condition == 'local'"
        )
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


def test_what_was_chosen_is_recorded_with_how_the_tries_did(made):
    cells = {(c.variant, c.seed): c.fit for c in made[0].record.cells}
    assert cells["open", 1337] == {}
    probe = cells["open-linear-probe", 1337]
    assert probe["settings"]["steps"] in (5, 20) and len(probe["tries"]) == 2
    assert all(0 <= auc <= 1 for auc in [*probe["tries"], probe["training_auc"]])
    assert cells["open-linear-probe", 1338]["settings"] == probe["settings"]
    svm = cells["open-linear-svm", 1337]
    assert (svm["settings"], svm["tries"]) == ({}, []) and svm["training_auc"] > 0.5


def test_settings_are_chosen_on_the_training_images_sources_and_nothing_else(photos, monkeypatch):
    asked = []

    def watched(baseline, features, labels, groups):
        asked.append((len(features), sorted(set(groups))))
        return Choice(baseline.tries[0])

    monkeypatch.setattr(fitting, "choose", watched)
    study = open_study(photos, only=["linear-probe"])
    study.obtain()
    sizes, groups = zip(*asked, strict=True)
    assert sizes == (2 * 32, 2 * 32, 2 * 56, 2 * 56)  # the fusion and the probe, a run each
    assert groups[0] == list(range(32))  # one source a class: by image
    assert {one.partition(" ")[0] for one in groups[2]} == {"0", "1"}


def test_patch_tokens_stand_beside_class_tokens(photos):
    experiment = open_experiment(photos)
    made = fitting.Fitting(experiment, Reporter())
    features = {reads: made._features(reads) for reads in ("class", "patches", "both")}
    both = features["both"].tokens
    blocks = both.shape[1] // 2
    assert np.array_equal(both[:, :blocks], features["class"].tokens)
    assert np.array_equal(both[:, blocks:], features["patches"].tokens)
    for field in ("next_to_last", "embedding"):
        own = [getattr(one, field) for one in features.values()]
        assert np.array_equal(own[0], own[2])


def test_a_detector_of_ones_own_stands_beside_all_others(photos):
    class Darkness(torch.nn.Module):
        threshold = 0.5

        def forward(self, pixels):
            return -pixels.float().mean(dim=(1, 2, 3)) / 255

    finished = open_study(photos, only=["linear-svm"], beside={"mine": Darkness()}).obtain()
    effects = finished.effects.set_index("name")
    scored = finished.scored["local"]
    above = (
        scored["mine"].values("roc_auc")[:, 0]
        - scored["open-fusion"].values("roc_auc")[:, 0].mean()
    )
    assert effects.loc["mine-open-local", "effect"] == pytest.approx(above.mean())
    assert "mine-constrained-local" in effects.index


# --- the page -------------------------------------------------------------------------------------


def test_a_baseline_is_compared_with_the_papers_fusion(made, photos):
    study = open_study(photos, only=["linear-svm", "fusion", "fusion-equal", "block-1"])
    finished = study.obtain()
    table = variants_table(finished)
    svm, effects = table.loc["open-linear-svm"], finished.effects.set_index("name")
    assert svm["against"] == "the paper's fusion"
    assert svm["difference"] == effects.loc["open-linear-svm", "effect"]
    step = effects.loc["open-fusion>fusion-equal", "effect"]
    auc = {name: finished.scored["local"][f"open-{name}"].values("roc_auc")[:, 0].mean()
           for name in ("fusion", "fusion-equal")}  # fmt: skip
    assert step == pytest.approx(auc["fusion-equal"] - auc["fusion"])


@pytest.fixture(scope="module")
def committed():
    return published_study(reference_folder("photographs"), "layers")


def test_the_ranking_has_every_detector_with_its_rank(committed):
    table = pages.ranking(committed, "open", "official")
    assert len(table) == len(registry.BASELINES) + 2
    assert table["roc_auc"].is_monotonic_decreasing and table["rank"].is_monotonic_increasing
    assert (table["rank_low"] <= table["rank_high"]).all() and table["rank_low"].ge(1).all()
    assert (table["low"] < table["roc_auc"]).all() and (table["roc_auc"] < table["high"]).all()


def test_ranks_are_over_sources_drawn_with_replacement(committed):
    scored = committed.scored["official"]["open"]
    counts = pages.source_counts(scored)
    images = scored.images.assign(count=counts[0])
    family = images["family"].fillna(images["source"])
    assert images.groupby([scored.label, family])["count"].nunique().eq(1).all()
    own = images.groupby([scored.label, family])["count"].first()
    assert own.groupby(level=0).sum().equals(own.groupby(level=0).size())


def test_of_equal_detectors_both_have_the_better_rank(committed):
    one = committed.scored["official"]["open"]
    assert (pages.resampled_ranks([one, one]) == 1).all()


def test_every_step_of_the_lattice_is_judged(committed):
    table = pages.steps(committed)
    assert len(table) == 2 * 2 * len(list(lattice.steps())) and table["verdict"].ne("").all()


@pytest.mark.parametrize(
    ("low", "high", "p", "verdict"),
    [
        (0.02, 0.05, 0.001, "higher"), (0.02, 0.05, 0.2, "not .01 lower"),
        (-0.05, -0.02, 0.001, "lower"), (-0.05, -0.02, 0.2, "not .01 higher"),
        (-0.004, 0.009, 1.0, "within .01"), (-0.02, 0.02, 1.0, "open"),
    ],
)  # fmt: skip
def test_what_an_interval_says_of_the_margin(low, high, p, verdict):
    table = pd.DataFrame([{"low": low, "high": high, "p_holm": p}])
    assert pages.judged_small(table)["verdict"].tolist() == [verdict]


def test_figures_show_every_detector_step_and_block(committed):
    ranked = {
        on: pd.concat(pages.ranking(committed, run, on).assign(run=run, on=on) for run in RUNS)
        for on in committed.record.conditions
    }
    axes, _ = pages.draw_ranking(ranked).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == len(registry.BASELINES) + 2
    assert names == list(dict.fromkeys(ranked["official"]["detector"]))
    (axes,) = pages.draw_steps(pages.steps(committed), "official").axes
    assert len(axes.get_yticklabels()) == len(list(lattice.steps()))
    probes = pages.probes(committed)
    assert len(probes) == 2 * 2 * 12 and (probes["low"] < probes["high"]).all()
    axes, _ = pages.draw_probes(probes, pd.concat(ranked.values())).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [str(k + 1) for k in range(12)]


def test_every_method_fits_its_own_training_images(committed):
    for cell in committed.record.cells:
        if cell.fit:
            assert cell.fit["training_auc"] > 0.85, cell.variant


def test_the_page_names_every_source_once_with_its_differences():
    text = pages.described([*registry.BASELINES, "rine"])
    sources = {registry.source(one) for one in registry.ALL}
    assert text.count("**") == 2 * len(sources) and "Koutlis and Papadopoulos 2024" in text
    assert "``" not in text and text.count("\n- ") >= 9
