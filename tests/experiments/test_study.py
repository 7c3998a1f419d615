"""Studies end to end on a tiny world: made once, shared, found again, resumed, published."""

import json
import shlex
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from conftest import TINY, draw_classes
from layerfusion.cli.study import DESCRIPTIONS
from layerfusion.data.loading import EvaluationImages
from layerfusion.errors import StopRequestedError, UserError
from layerfusion.experiments.alpha import read_alpha
from layerfusion.experiments.catalogue import ABLATIONS, STUDIES, claims
from layerfusion.experiments.record import FinishedStudy, publish, published_studies, read_study
from layerfusion.experiments.sealing import seal, unseal
from layerfusion.experiments.study import Study
from layerfusion.experiments.tables import DTYPES, read_predictions, write_table
from layerfusion.files import CHECKSUMS
from layerfusion.pages.figures.effects import (
    METRICS,
    READ,
    beside_shortcuts,
    cells_table,
    claims_table,
    claims_text,
    counted,
    draw_blocks,
    draw_claims,
    draw_variants,
    measurable,
    metrics_table,
    overview,
    variants_table,
)
from layerfusion.paths import runs_root
from layerfusion.runs import conditions, experiment
from layerfusion.runs.condition import CONDITIONS
from layerfusion.runs.conditions import obtain_predictions
from layerfusion.runs.record import read_record
from layerfusion.settings import family_of

SETTINGS = TINY | {
    "training.epochs": 1, "training.small_side": 80, "head.projection_width": 16,
    "head.hidden_width": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Pictures in the default layout, with labelled test images, half of them small."""
    root, rng = tmp_path_factory.mktemp("world"), np.random.default_rng(6)
    counts = {"train/constrained": 12, "train/social": 8, "val": 12, "test": 10}
    # One in three looks like the other class, or there would be nothing to measure.
    draw_classes(root, counts, rng, odd=3, other=(100, 90))
    rows = [
        {
            "path": path.relative_to(root).as_posix(),
            "label": 7,  # wrong on purpose, as the next one: folders say it
            "split": "elsewhere",
            "source": f"{'lens' if path.parent.name == 'real' else 'model'}-{index % 2}",
            "generator": "Brush 1" if path.parent.name == "synthetic" else None,
            "style": ["photo", "art", "mixed"][index % 3],
        }
        for index, path in enumerate(sorted((root / "val").rglob("*.png")))
    ]
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    return root


def open_study(world, name="claims", **changes):
    arguments = {"profile": "demo", "data_root": world, "overrides": SETTINGS, "seeds": 2}
    return Study.open(name, **arguments | {"only": ["last"]} | changes)


class Watch:
    """Stands in for training: counts runs, and stops the fourth one, once, by SIGTERM."""

    def __init__(self, train):
        self.train, self.trained, self.stopped = train, 0, False

    def __call__(self, *arguments, **named):
        if self.trained == 3 and not self.stopped:
            self.stopped = True
            raise StopRequestedError("asked to stop; give the same command, with --resume")
        self.trained += 1
        return self.train(*arguments, **named)


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def finished(world, runs_folder):
    """The claims, stopped in the fourth run and resumed; tests read it and do not change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFUSION_RUNS", str(runs_folder))
        watch = Watch(experiment.train)
        patch.setattr(experiment, "train", watch)
        with pytest.raises(StopRequestedError, match=r"in run 4 of 8; .* same command to resume"):
            open_study(world).obtain()
        study = open_study(world).obtain()
        assert watch.trained == 8
        return study


@pytest.fixture
def in_runs_folder(runs_folder, finished, monkeypatch):
    """Work where the finished study lies."""
    monkeypatch.setenv("LAYERFUSION_RUNS", str(runs_folder))


def forbid(monkeypatch, *what):
    for name in what:
        module = {"train": experiment, "predict_each": conditions}[name]
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("done again"))


def local_auc(study):
    """ROC AUC of each variant and seed by scikit-learn."""
    table = study.predictions.query("condition == 'local'")
    return {
        names: roc_auc_score(own["label"].astype(int), own["logit"])
        for names, own in table.groupby(["variant", "seed"])
    }


# --- what a study leaves behind -------------------------------------------------------------------


def test_cells_are_the_runs_own(finished, runs_folder):
    record = finished.record
    assert record.seeds == [1337, 1338]
    assert [(c.seed, c.variant) for c in record.cells][:4] == [
        (1337, "constrained"), (1337, "constrained-last"), (1337, "open"), (1337, "open-last"),
    ]  # fmt: skip
    folders = [path.parent for path in (runs_folder / "demo").glob("*/record.json")]
    runs = {own.key: own for own in (read_record(f / "record.json") for f in folders)}
    assert len(record.cells) == len(runs) == len({c.experiment for c in record.cells}) == 8
    auc = local_auc(finished)
    for cell in record.cells:
        own, found = runs[cell.key], finished.scored["local"][cell.variant]
        seed = found.seeds.index(cell.seed)
        assert cell.threshold == own.threshold and cell.block_weights == own.block_weights
        assert found.rates["f1"][seed, 0] == own.metrics["calibrated"]["f1"]
        assert found.values("roc_auc")[seed, 0] == pytest.approx(auc[cell.variant, cell.seed])
    assert record.data["images"] == {"train": 40, "val": 24, "test": 20}
    assert record.seconds["training"] > 0 < record.seconds["scoring"]
    assert {"processor", "libraries", "git_commit", "recipe"} <= record.provenance.keys()
    assert record.command.startswith("layerfusion study claims --profile demo --data-root DIR --se")
    assert record.command.endswith("--seeds 2 --first-seed 1337 --only last")


def test_claims_are_means_over_seeds_of_the_runs_values(finished):
    effects, auc = finished.effects.set_index("name"), local_auc(finished)
    made = [claim.name for claim in claims() if "mean" not in claim.name]
    assert effects.index.tolist() == made
    for name, (plus, minus) in {
        "open-above-constrained-local-roc_auc": ("open", "constrained"),
        "fusion-above-last-local-open": ("open", "open-last"),
    }.items():
        per_seed = [auc[plus, seed] - auc[minus, seed] for seed in finished.record.seeds]
        row = effects.loc[name]
        assert row["per_seed"] == pytest.approx(per_seed)
        assert row["effect"] == pytest.approx(np.mean(per_seed))
        assert row["seeds"] == 2 and row["low"] <= row["effect"] <= row["high"]
    # Two seeds of twelve images each way: whatever the effect, nobody could know it.
    assert effects.loc["fusion-above-last-local-open", "verdict"] == "undecided"
    assert not (effects["verdict"] == "not measured").any()


def test_every_variant_has_every_metric_under_every_condition(finished):
    table = metrics_table(finished)
    assert len(table) == 4 * len(CONDITIONS) and set(table["condition"]) == set(CONDITIONS)
    assert table[list(METRICS)].stack().between(0, 1).all()


def test_both_tables_hold_what_was_predicted_and_what_is_known_and_no_image(finished, runs_folder):
    assert sorted(path.name for path in finished.directory.iterdir()) == [
        "alpha.csv", "effects.csv", "images.parquet", "log.txt", "predictions.parquet",
        "shortcuts.csv", "study.json",
    ]  # fmt: skip
    assert list(read_predictions(finished.directory)) == list(DTYPES)
    table = finished.predictions
    assert set(table["condition"]) == {"local", "official", "jpeg", "launder"}
    assert len(table) == 8 * (3 * 24 + 20)
    local = table[table["condition"] == "local"]
    assert set(local["label"]) == {0, 1} and set(local["style"]) == {"photo", "art", "mixed"}
    assert set(local["source"]) == {"lens-0", "lens-1", "model-0", "model-1"}
    assert local.loc[local["label"] == 0, "generator"].isna().all()
    assert set(local.loc[local["label"] == 1, "generator"]) == {"Brush 1"}
    for cell in finished.record.cells:
        (folder,) = (runs_folder / "demo").glob(f"*-seed{cell.seed}-{cell.key[:10]}")
        own = pd.read_parquet(folder / "predictions.parquet").set_index("image_id")["logit"]
        kept = local.query("variant == @cell.variant and seed == @cell.seed")
        kept = kept.set_index("image_id")["logit"]
        assert (kept.astype("float64") == own[kept.index]).all()


def test_its_log_has_that_of_its_runs_and_goes_on_where_it_was_stopped(finished):
    log = (finished.directory / "log.txt").read_text(encoding="utf-8")
    assert log.count("INFO run 8 of 8") == 1 and log.count("DEBUG finished") == 8
    assert log.count("INFO run 4 of 8") == 2


def test_alpha_stands_beside_what_each_block_does(finished):
    table = read_alpha(finished.directory)
    assert set(table["variant"]) == {"constrained", "open"}  # a single block has no alpha
    for cell in finished.record.cells:
        if cell.variant in {"constrained", "open"}:
            own = table.query("variant == @cell.variant and seed == @cell.seed")
            assert own["alpha"].tolist() == pytest.approx(cell.block_weights)
            assert own["block"].tolist() == list(range(1, len(own) + 1))
    assert (table["effect"] > 0).all()


def test_images_without_labels_are_not_measured(finished, in_runs_folder):
    study = read_study(finished.directory)
    own = study.predictions
    own.loc[own["condition"] == "official", "label"] = pd.NA
    effects = study.computed_effects()
    study.__dict__["effects"] = effects  # as if they had been written with these labels
    official = effects["name"].str.contains("official")
    assert official.sum() == 13 and effects.loc[official, "paper"].notna().sum() == 11
    assert (effects.loc[official, "verdict"] == "not measured").all()
    assert effects.loc[official, ["effect", "low", "high"]].isna().all(axis=None)
    assert (effects.loc[~official, "verdict"] != "not measured").all()
    assert "official" not in set(metrics_table(study)["condition"])
    (axes,) = draw_claims(claims_table(study)).axes
    labels = {label.get_text() for label in axes.get_yticklabels()}
    assert sum(label.endswith("(not measured)") for label in labels) == 13


# --- found again, shared, resumed -----------------------------------------------------------------


def test_a_finished_study_is_found_again(finished, in_runs_folder, world, monkeypatch):
    forbid(monkeypatch, "train", "predict_each")
    assert open_study(world).obtain() == finished


def test_without_its_record_nothing_is_trained_or_scored_again(
    finished, in_runs_folder, world, monkeypatch
):
    forbid(monkeypatch, "train", "predict_each")
    text = (finished.directory / "study.json").read_text()
    (finished.directory / "study.json").unlink()
    again = open_study(world).obtain()
    (finished.directory / "study.json").write_text(text)
    assert again.record.cells == finished.record.cells
    pd.testing.assert_frame_equal(again.effects, finished.effects)


def test_studies_share_their_cells(finished, in_runs_folder, world, monkeypatch):
    """`weights` is `claims` with other names: nothing is trained, and one value stands in both."""
    forbid(monkeypatch, "train", "predict_each")
    weights = open_study(world, "weights").obtain()
    theirs = {cell.experiment: cell for cell in finished.record.cells}
    assert len(weights.record.cells) == 8
    for cell in weights.record.cells:
        assert cell.threshold == theirs[cell.experiment].threshold
    last, fused = (local_auc(weights)["open-last", 1337], local_auc(weights)["open-scalar", 1337])
    assert last == local_auc(finished)["open-last", 1337]
    effect = weights.effects.set_index("name").loc["open-last"]
    assert effect["per_seed"][0] == pytest.approx(last - fused)


def test_the_table_of_variants_is_made_of_the_predictions(finished, in_runs_folder, world):
    study = open_study(world, "data", only=None).obtain()
    table = variants_table(study)
    assert table.index.tolist() == ["constrained", "open-equal", "open"]
    assert table["images"].tolist() == [24, 24, 40]
    auc = local_auc(study)
    for name, row in table.iterrows():
        assert row["roc_auc"] == pytest.approx(np.mean([auc[name, s] for s in (1337, 1338)]))
        assert row["low"] <= row["roc_auc"] <= row["high"]
    assert table["difference"].isna().tolist() == [True, False, False]
    steps = table["roc_auc"].diff()
    pd.testing.assert_series_equal(table["difference"].iloc[1:], steps.iloc[1:], check_names=False)
    wide = table.assign(difference_low=-1.0, difference_high=1.0)
    assert measurable(wide).tolist() == ["no", "no"]
    assert counted(measurable(wide)) == "nothing that can be measured"
    clear = wide.assign(difference_low=[np.nan, 0.1, -1.0], difference=[np.nan, 0.2, 0.0])
    assert measurable(clear).to_dict() == {"open-equal": "higher", "open": "no"}
    below = clear.assign(difference_high=[np.nan, 1.0, -0.1], p_holm=[np.nan, 0.2, 0.01])
    said = counted(measurable(below))
    assert said == "ROC AUC measurably in 2 of 2 cases (higher in 1 and lower in 1)"
    counts = overview({"wide": wide.assign(p_holm=1.0), "below": below})
    assert counts.loc["wide"].tolist() == [2, 0, 0, 0.1, 0]
    assert counts.loc["below"].tolist() == [2, 1, 1, 0.1, 1]
    cells = cells_table(clear)
    assert cells["difference"].tolist()[:2] == ["", "+0.200 [+0.100, +1.000]"]
    assert not cells.isin(["nan"]).any(axis=None)
    titles = [axes.get_title("left") for axes in draw_variants(table).axes]
    assert titles == [
        "open run, compared with: constrained", "open run, compared with: open, no more images",
    ]  # fmt: skip


def test_single_blocks_are_drawn_beside_what_is_left_without_them():
    names = ["constrained-all", *(f"constrained-{kind}-{k}" for kind in READ for k in (1, 2))]
    table = pd.DataFrame({"difference": [np.nan, -0.2, -0.1, 0.0, 0.01]}, index=names)
    ends = {"difference_low": table["difference"] - 0.1, "difference_high": table["difference"] + 1}
    (axes,) = draw_blocks(table.assign(**ends)).axes
    drawn = {bar.get_label(): bar.lines[0].get_ydata().tolist() for bar in axes.containers}
    assert drawn == {READ["only"]["label"]: [-0.2, -0.1], READ["without"]["label"]: [0.0, 0.01]}


@pytest.mark.parametrize("change", ["seeds", "settings", "test image", "variants"])
def test_another_study_is_not_taken_for_this_one(finished, in_runs_folder, world, change):
    changes = {
        "seeds": {"seeds": 3},
        "settings": {"overrides": SETTINGS | {"training.small_side": 75}},
        "variants": {"only": None},
    }
    study = open_study(world, **changes.get(change, {}))
    if change == "test image":
        rows = study.images.rows
        rows.loc[rows["split"] == "test", "sha256"] = "0" * 64
    assert study.key() != finished.record.key


# --- what is published ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference") / "demo"
    folder.mkdir()
    publish(finished, folder)
    return folder


def test_all_that_is_reported_is_computed_of_what_is_published(published, finished, monkeypatch):
    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("an image was opened"))
    (study,) = published_studies(published).values()
    assert study.record == finished.record
    table = pd.read_csv(study.directory / "effects.csv")
    pd.testing.assert_frame_equal(
        table.drop(columns="per_seed"), study.effects.drop(columns="per_seed"), check_dtype=False
    )
    assert "DIR" in study.record.command and (published / "images.parquet").is_file()
    assert published_studies(published / "nothing") == {}


def test_sources_of_one_origin_are_one_family(finished):
    shared = {"data": {"families": {"shop": ["shop_*", "market"]}}}
    record = finished.record.model_copy(update={"settings": finished.record.settings | shared})
    for source, family in {"shop_1": "shop", "market": "shop", "museum": "museum"}.items():
        assert family_of(source, shared["data"]["families"]) == family
    families = FinishedStudy(finished.directory, record).scored["local"]["open"].images["family"]
    assert set(families) == set(finished.scored["local"]["open"].images["source"])


def test_a_sealed_study_is_judged_when_its_labels_are_let_in(finished, tmp_path):
    folder = tmp_path / "studies" / "claims"
    shutil.copytree(finished.directory, folder)
    (tmp_path / "plan.md").write_text("The claims of the paper.")
    with pytest.raises(UserError, match="no test images without labels"):
        seal(folder, tmp_path / "plan.md")
    images = pd.read_parquet(folder / "images.parquet")
    tested = images["split"] == "test"
    images.loc[tested, ["path", "label", "source"]].to_csv(tmp_path / "labels.csv", index=False)
    images.assign(label=images["label"].mask(tested)).to_parquet(folder / "images.parquet")
    before = read_study(folder)
    official = before.effects["name"].str.contains("official")
    assert (before.computed_effects().loc[official, "verdict"] == "not measured").all()
    seal(folder, tmp_path / "plan.md")
    unseal(folder, tmp_path / "labels.csv")
    pd.testing.assert_frame_equal(read_study(folder).effects, finished.effects)
    written = pd.read_csv(folder / "effects.csv")
    assert written["verdict"].tolist() == finished.effects["verdict"].tolist()
    assert len(unseal(folder, tmp_path / "labels.csv").openings) == 2


def test_a_published_cell_with_other_results_is_refused(
    published, in_runs_folder, world, monkeypatch
):
    weights = open_study(world, "weights").obtain()
    cells = weights.record.cells
    other = weights.record.model_copy(
        update={"cells": [cells[0].model_copy(update={"threshold": 0.123}), *cells[1:]]}
    )
    with pytest.raises(UserError, match="constrained-scalar, seed 1337, is published with other"):
        publish(type(weights)(weights.directory, other), published)
    assert len(publish(weights, published)) == 3
    assert list(published_studies(published)) == ["claims", "weights"]


@pytest.mark.parametrize("damage", ["lost", "no Parquet", "column", "another image", "a variant"])
def test_a_damaged_table_is_named(finished, tmp_path, damage):
    folder = tmp_path / "studies" / "claims"
    folder.mkdir(parents=True)
    for name in ("study.json", "images.parquet"):
        (folder / name).write_bytes((finished.directory / name).read_bytes())
    table, path = read_predictions(finished.directory), folder / "predictions.parquet"
    if damage == "column":
        table.drop(columns="logit").to_parquet(path)
    elif damage == "no Parquet":
        path.write_text("image_id,logit\n")
    elif damage == "another image":
        table.loc[len(table) - 1, "image_id"] = "val/real/another.png"
        write_table(table, path)
    elif damage == "a variant":
        write_table(table[table["seed"] == 1337], path)
    with pytest.raises(UserError) as caught:
        _ = read_study(folder).predictions
    assert "\n" not in str(caught.value)
    assert any(word in str(caught.value) for word in ("predictions", "another.png"))


@pytest.mark.parametrize("text", [None, "{", '{"profile": "demo"}'])
def test_a_missing_or_damaged_record_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "study.json").write_text(text)
    with pytest.raises(UserError, match=r"study\.json") as caught:
        read_study(tmp_path)
    assert "\n" not in str(caught.value)


# --- predictions under conditions -----------------------------------------------------------------


@pytest.fixture
def opened(world, in_runs_folder):
    return open_study(world).experiments[1337, "open"]


def test_scoring_again_gives_what_training_had_scored(opened, monkeypatch):
    """Otherwise clean and degraded images would be scored by two different detectors."""
    run = opened.place.read()
    known = obtain_predictions(opened, run, CONDITIONS["local"])
    monkeypatch.setattr(EvaluationImages, "__init__", undegraded(EvaluationImages.__init__))
    again = obtain_predictions(opened, run, conditions.Condition(degradation="jpeg-77"))
    columns = ["image_id", "logit", "label", "width", "height"]
    pd.testing.assert_frame_equal(again[columns], known[columns])
    assert again.attrs["seconds"] > 0 == known.attrs["seconds"]


def undegraded(init):
    return lambda self, files, settings, *, degradation=None: init(self, files, settings)


def test_degraded_predictions_are_of_degraded_images(opened):
    run = opened.place.read()
    tables = {on: obtain_predictions(opened, run, CONDITIONS[on]) for on in ("local", "launder")}
    assert (tables["local"]["image_id"] == tables["launder"]["image_id"]).all()
    assert (tables["local"]["logit"] != tables["launder"]["logit"]).any()
    official = obtain_predictions(opened, run, CONDITIONS["official"])
    assert set(official["split"]) == {"test"} and len(official) == 20


def test_runs_that_are_scored_together_get_what_each_gets_alone(opened, world):
    """One pass over the images serves all runs, to the bit."""
    experiments = {
        name: own for (seed, name), own in open_study(world).experiments.items() if seed == 1337
    }
    runs = {name: own.place.read() for name, own in experiments.items()}
    condition = conditions.Condition(degradation="jpeg-61")
    together = conditions.obtain_together(opened, runs, condition)
    for name, run in runs.items():
        (kept,) = (run.directory / "conditions").glob("val-jpeg-61-*.parquet")
        kept.unlink()
        alone = obtain_predictions(opened, run, condition)
        pd.testing.assert_frame_equal(together[name], alone)
    assert len({table["logit"].iloc[0] for table in together.values()}) == 4


def test_predictions_of_other_images_or_recipe_are_not_taken(opened, monkeypatch):
    run = opened.place.read()
    obtain_predictions(opened, run, CONDITIONS["jpeg"])
    forbid(monkeypatch, "predict_each")
    obtain_predictions(opened, run, CONDITIONS["jpeg"])
    with monkeypatch.context() as patch, pytest.raises(pytest.fail.Exception, match="done again"):
        patch.setattr(conditions, "RECIPE", conditions.RECIPE + 1)
        obtain_predictions(opened, run, CONDITIONS["jpeg"])
    opened.manifest.rows.loc[opened.manifest.rows["split"] == "test", "sha256"] = "0" * 64
    with pytest.raises(pytest.fail.Exception, match="done again"):
        obtain_predictions(opened, run, CONDITIONS["official"])


def test_an_unreadable_test_image_is_named(in_runs_folder, world):
    study = open_study(world)
    rows = study.images.rows
    first = rows.index[rows["split"] == "test"][0]
    rows.loc[first, ["path", "sha256"]] = ["test/real/gone.png", "0" * 64]
    with pytest.raises(UserError, match=r"gone\.png"):
        study.obtain()


# --- the catalogue --------------------------------------------------------------------------------


def test_every_variant_is_compared_with_one_that_is_made_and_is_no_other_one(world):
    for name in STUDIES:
        settings = {k: v for k, v in SETTINGS.items() if k != "encoder.trained_blocks"}
        planned = open_study(world, name, only=None, overrides=settings)
        names = {variant.name for variant in planned.variants}
        assert len(names) == len(planned.variants) >= 2
        assert all(contrast.variants <= names for contrast in planned.contrasts)
        trained = [v.name for v in planned.variants if v.kind == "trained"]
        keys = {planned.experiments[1337, own].place.key for own in trained}
        assert len(keys) == len(trained), name
        references = {c.terms[-1].variant for c in planned.contrasts}
        if name in ABLATIONS:
            compared = {contrast.name for contrast in planned.contrasts}
            assert compared | references == names


def test_every_block_is_left_out_once_and_alone_once(world):
    by_name = {v.name: v.overrides for v in open_study(world, "blocks", only=None).variants}
    depth = len(by_name["constrained-without-1"]["head.reads"]) + 1
    assert len(by_name) == 1 + 2 * depth
    for block in range(1, depth + 1):
        assert by_name[f"constrained-only-{block}"] == {"head.reads": [block]}
        others = [number for number in range(1, depth + 1) if number != block]
        assert by_name[f"constrained-without-{block}"] == {"head.reads": others}


def test_sizes_of_training_sets_are_as_they_are_called(world):
    rows = {
        name: own.training.rows
        for study in ("data", "curve")
        for (_, name), own in open_study(world, study, only=None).experiments.items()
    }
    for label in (0, 1):
        count = {name: int((own["label"] == label).sum()) for name, own in rows.items()}
        assert count["open-equal"] == count["constrained"] < count["open"]
    assert set(rows["open-equal"]["source"]) == {"constrained", "social"}
    used = {name: set(own["path"]) for name, own in rows.items()}
    assert used["open-0.25"] < used["open-0.5"] < used["open-all"]
    assert len(used["open-0.25"]) == len(used["open-all"]) / 4


def test_all_heads_of_a_run_and_a_seed_see_the_same_images(world, monkeypatch):
    """The frozen blocks compute for the first head alone: every view of the others is known."""
    caches, train = [], experiment.train

    def counted(detector, *arguments, **named):
        progress = train(detector, *arguments, **named)
        caches.append((detector.prefix_cache.computed, detector.prefix_cache.found))
        return progress

    monkeypatch.setattr(experiment, "train", counted)
    frozen = {"loader.prefix_cache": True, "training.views": 2, "encoder.trained_blocks": 0}
    study = open_study(world, overrides=SETTINGS | frozen | {"training.max_steps": 2}, only=None)
    for seed, name in list(study.experiments)[:3]:
        study.experiments[seed, name].obtain()
    first, *others = caches
    assert first[0] > 0
    assert all(computed == 0 and found == sum(first) for computed, found in others)


# --- mistakes and the command line ----------------------------------------------------------------


def test_the_command_prints_and_publishes(
    finished, in_runs_folder, world, run, monkeypatch, tmp_path
):
    forbid(monkeypatch, "train", "predict_each")
    monkeypatch.setattr("layerfusion.paths.project_root", lambda: tmp_path)
    _, *words = shlex.split(finished.record.command.replace("DIR", str(world)))
    status, out, err = run(*words, "--publish")
    assert status == 0, err
    assert out.startswith(claims_text(finished).splitlines()[0])
    assert "2 seeds say little" in err and "nothing is trained or scored" in err
    assert "study.json, " in out and out.count("published: ") == 5
    folder = tmp_path / "runs/reference/demo"
    sums = [line.split()[1] for line in (folder / CHECKSUMS).read_text().splitlines()]
    assert sums == ["images.parquet", *(f"studies/claims/{name}" for name in (
        "alpha.csv", "effects.csv", "predictions.parquet", "shortcuts.csv", "study.json"))
    ]  # fmt: skip


def test_commands_train_the_very_runs(finished, in_runs_folder, world, run, monkeypatch):
    forbid(monkeypatch, "train")
    options = [word for n, v in SETTINGS.items() for word in ("--set", f"{n}={json.dumps(v)}")]
    command = ["study", "weights", "-d", world, "--seeds", 2, *options]
    status, out, _ = run(*command, "--commands")
    assert status == 0 and len(out.splitlines()) == 16
    for number in (0, 3):
        status, said, err = run(*shlex.split(out.splitlines()[number])[1:])
        assert status == 0 and "nothing is trained" in err
        cell = finished.record.cells[number // 3]
        assert f"seed1337-{cell.key[:10]}/record.json" in said


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("claims --seeds 1", "--seeds"),
        ("claims --only first", "there is no variant 'first'; --only takes all, last, mean"),
        ("layers --only forest", "--only takes fusion, fusion-equal, fusion-free, "),
        ("weights --set head.blocks=mean", "varies head.blocks itself"),
        ("nothing", "No such command 'nothing'"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(world, run, mistake, words):
    of_images = ["-d", world, "--set", 'data.sources=[{"kind": "folder"}]']
    needed = [] if "--seeds" in mistake or mistake == "nothing" else of_images
    status, _, err = run("study", *mistake.split(), *needed)
    assert status == 2 and words in " ".join(err.replace("│", " ").split())


def test_from_python_mistakes_are_named_too(world):
    with pytest.raises(UserError, match="two seeds"):
        open_study(world, seeds=1)
    with pytest.raises(UserError, match="there is no study 'magic'; there are claims, weights"):
        open_study(world, "magic")


def test_the_help_names_every_study_and_teaches(run):
    status, out, _ = run("study", "--help")
    others = ("corruptions", "content", "processors")
    assert status == 0 and all(f" {name} " in out for name in (*STUDIES, *others))
    assert DESCRIPTIONS.keys() == STUDIES.keys()
    status, out, _ = run("study", "claims", "--help")
    assert status == 0 and "--first-seed" in out and "resumes" in " ".join(out.split())


# --- the page -------------------------------------------------------------------------------------


def test_the_printed_table_says_what_the_effects_say(finished):
    lines = claims_text(finished).splitlines()
    assert len(lines) == 1 + len(finished.effects)
    assert lines[0].split()[0] == "claim" and "verdict" in lines[0]
    (fusion,) = [line for line in lines if "last alone, local" in line and "open run" in line]
    assert " none " in fusion and "[" in fusion
    shortcuts = pd.read_csv(finished.directory / "shortcuts.csv")
    table = beside_shortcuts(shortcuts, finished)
    assert table["run"].is_monotonic_increasing and len(table) == len(shortcuts) + 2
    ours = table[table["detector"] == "all blocks, fused"].set_index("run")["roc_auc"]
    auc = local_auc(finished)
    assert ours.to_dict() == pytest.approx({run: auc[run, 1337] for run in ours.index})


def test_the_figure_shows_every_claim_and_the_papers_effects():
    claims = pd.DataFrame(
        {
            "claim": ["first", "second", "third"],
            "paper": [0.04, np.nan, 0.01],
            "effect": [0.02, -0.03, 0.0],
            "low": [0.01, -0.04, -0.01],
            "high": [0.03, -0.02, 0.01],
            "verdict": ["replicates", "reversed", "undecided"],
            "over": "sources and seeds",
        }
    )
    (axes,) = draw_claims(claims).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second", "third"]
    drawn = {bar.get_label(): bar.lines[0].get_xydata().tolist() for bar in axes.containers}
    assert drawn == {
        "replicates": [[0.02, 0]], "undecided": [[0.0, 2]], "reversed": [[-0.03, 1]],
    }  # fmt: skip
    assert axes.yaxis_inverted() and "over sources and seeds" in axes.get_xlabel()


def test_runs_lie_below_the_runs_folder(finished, in_runs_folder):
    assert finished.directory.parent == runs_root() / "demo" / "studies"
