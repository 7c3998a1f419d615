"""A study on photographs whose test images have no labels: stopped, resumed, published, recomputed.

Photographs are made up here; the tower is tiny.
"""

import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from conftest import TINY
from layerfusion.analysis.claims import ABLATION_CLAIMS, CLAIMS
from layerfusion.analysis.scored import scored_images
from layerfusion.chapters.execution import CHECKSUMS
from layerfusion.cli.main import main
from layerfusion.data.manifest import Manifest
from layerfusion.errors import StopRequestedError, UserError
from layerfusion.figures import answers, photographs
from layerfusion.figures.sources import draw_by_source
from layerfusion.figures.study import draw_claims
from layerfusion.metrics.groups import source_table
from layerfusion.paths import project_root
from layerfusion.runs import experiment
from layerfusion.studies.measures import measures_of, recomputed_claims, values_of
from layerfusion.studies.predictions import (
    DTYPES,
    by_run,
    describe_images,
    read_predictions,
    write_predictions,
)
from layerfusion.studies.record import claims_table, claims_text, publish, read_study
from layerfusion.studies.shortcuts import read_shortcuts
from layerfusion.studies.study import HEADS, Study

SETTINGS = {
    name: value for name, value in TINY.items() if not name.startswith(("data.", "training."))
} | {
    "training.max_steps": 2,
    "training.small_side": 71,
    "encoder.activation": "quick_gelu",
}


@pytest.fixture(scope="module")
def tree(photos, tmp_path_factory):
    """The photos, described by a manifest.csv as theirs are; labels and splits there are wrong."""
    root = tmp_path_factory.mktemp("described") / "photos"
    shutil.copytree(photos, root)
    rows = [
        {
            "path": path.relative_to(root).as_posix(),
            "label": 7,
            "split": "elsewhere",
            "source": f"{'lens' if path.parent.name == 'real' else 'model'}-{index % 2}",
            "generator": "Brush 1" if path.parent.name == "synthetic" else None,
            "style": ["photo", "art", "mixed"][index % 3],
        }
        for index, path in enumerate(sorted((root / "val").rglob("*.png")))
    ]
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    return root


def open_study(tree, **changes):
    arguments = {"profile": "photographs", "data_root": tree, "overrides": SETTINGS, "seeds": 2}
    return Study.open(**arguments | changes)


class Watch:
    """Stands in for training: stops a run, and notes what was trained with how much cached."""

    def __init__(self, train, stop_at):
        self.train, self.stop_at = train, stop_at
        self.caches, self.stopped = [], ""

    def __call__(self, detector, *arguments, **named):
        if len(self.caches) == self.stop_at and not self.stopped:
            raise StopRequestedError("asked to stop; give the same command, with --resume")
        progress = self.train(detector, *arguments, **named)
        self.caches.append((detector.prefix_cache.computed, detector.prefix_cache.found))
        return progress


@pytest.fixture(scope="module")
def made(tree, tmp_path_factory):
    """A study that was stopped in its fourth run and then went on, and how it went."""
    with pytest.MonkeyPatch.context() as patch:
        runs = tmp_path_factory.mktemp("runs")
        patch.setenv("LAYERFUSION_RUNS", str(runs))
        patch.setenv("LAYERFUSION_CACHE", str(tmp_path_factory.mktemp("cache")))
        watch = Watch(experiment.train, stop_at=3)
        patch.setattr(experiment, "train", watch)
        with pytest.raises(StopRequestedError) as stopped:
            open_study(tree).obtain()
        watch.stopped = str(stopped.value)
        finished = open_study(tree).obtain()
    return SimpleNamespace(study=finished, watch=watch, runs=runs)


# --- the study ------------------------------------------------------------------------------------


def test_a_stopped_study_says_how_to_go_on_and_trains_nothing_twice(made):
    assert "in run 4 of 12" in made.watch.stopped and "--resume" not in made.watch.stopped
    assert len(made.watch.caches) == len(made.study.record.runs) == 12
    assert made.study.record.heads == list(HEADS) == ["all", "last", "mean"]
    assert made.study.record.command.endswith("--heads all,last,mean")


def test_all_heads_of_a_run_and_a_seed_see_the_same_images(made):
    """The frozen blocks compute for the first head alone: every view of the others is known."""
    for first, *others in zip(*[iter(made.watch.caches)] * 3, strict=True):
        assert first[0] > 0
        assert all(computed == 0 and found == sum(first) for computed, found in others)


def test_claims_about_images_without_labels_are_not_measured(made):
    claims = {claim.name: claim for claim in made.study.record.claims}
    official = [claim for name, claim in claims.items() if "official" in name]
    assert len(official) == 6
    for claim in official:
        assert claim.verdict == "not measured" and claim.seeds == 2
        assert claim.effect is claim.low is claim.high is None and claim.paper is not None
    others = [claim for name, claim in claims.items() if "official" not in name]
    assert all(claim.verdict != "not measured" and len(claim.per_seed) == 2 for claim in others)
    assert all("official" not in run.values for run in made.study.record.runs)
    assert "not measured" in claims_text(made.study.record)
    (axes,) = draw_claims(claims_table(made.study.record)).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(labels) == len(claims)
    assert {label for label in labels if label.endswith("(not measured)")} == {
        f"{claim.text} (not measured)" for claim in official
    }


def test_the_mean_of_blocks_has_claims_of_its_own(made):
    names = [claim.name for claim in made.study.record.claims]
    mean = [claim.name for claim in ABLATION_CLAIMS["mean"]]
    assert names == [*(claim.name for claim in CLAIMS), *mean]
    local = {
        (r.seed, r.run, r.blocks): r.values["local"]["roc_auc"] for r in made.study.record.runs
    }
    claim = next(c for c in made.study.record.claims if c.name == "fusion-above-mean-open")
    assert claim.paper is None and claim.per_seed == pytest.approx(
        [
            local[seed, "open", "all"].estimate - local[seed, "open", "mean"].estimate
            for seed in made.study.record.seeds
        ]
    )


# --- what is published ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference") / "photographs"
    publish(made.study, folder)
    return folder


def test_predictions_say_what_is_known_of_an_image_and_hold_none(published):
    assert sorted(path.name for path in published.iterdir()) == [
        "predictions.parquet", "shortcuts.csv", "study.csv", "study.json",
    ]  # fmt: skip
    table = read_predictions(published)
    assert list(table.columns) == list(DTYPES)
    assert set(table["condition"]) == {"local", "official", "jpeg", "launder"}
    assert len(table) == 12 * (3 * 24 + 6)
    local = table[table["condition"] == "local"]
    assert set(local["label"]) == {0, 1} and set(local["style"]) == {"photo", "art", "mixed"}
    assert set(local["source"]) == {"lens-0", "lens-1", "model-0", "model-1"}
    assert local.loc[local["label"] == 0, "generator"].isna().all()
    assert set(local.loc[local["label"] == 1, "generator"]) == {"Brush 1"}
    official = table[table["condition"] == "official"]
    assert official["label"].isna().all() and set(official["source"]) == {"folder"}
    assert official["style"].isna().all() and official["logit"].notna().all()


def test_all_that_is_reported_is_made_again_of_what_is_published(published, monkeypatch):
    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("an image was opened"))
    record, predictions = read_study(published).record, read_predictions(published)
    assert recomputed_claims(record, predictions) == record.claims
    measures = measures_of(record, predictions)
    for run in record.runs:
        assert values_of(measures[run.seed, run.run, run.blocks]) == run.values
    table = pd.read_csv(published / "study.csv")
    pd.testing.assert_frame_equal(table, claims_table(record), check_dtype=False)


def test_logits_are_the_runs_own_to_the_last_bit(made, published):
    apart = by_run(read_predictions(published))
    for run in made.study.record.runs:
        (folder,) = (made.runs / "photographs").glob(f"{run.run}-seed{run.seed}-{run.key[:10]}")
        own = pd.read_parquet(folder / "predictions.parquet").set_index("image_id")["logit"]
        kept = apart[run.seed, run.run, run.blocks]["local"].set_index("image_id")["logit"]
        assert (kept.astype("float64") == own[kept.index]).all()


@pytest.mark.parametrize("damage", ["lost", "no Parquet", "column", "another image"])
def test_a_damaged_table_is_named(published, tmp_path, damage):
    table = read_predictions(published)
    if damage == "column":
        table.drop(columns="logit").to_parquet(tmp_path / "predictions.parquet")
    elif damage == "no Parquet":
        (tmp_path / "predictions.parquet").write_text("image_id,logit\n")
    elif damage == "another image":
        table.loc[len(table) - 1, "image_id"] = "val/real/another.png"
        write_predictions(table, tmp_path)
    with pytest.raises(UserError) as caught:
        by_run(read_predictions(tmp_path))
    assert "\n" not in str(caught.value) and "predictions" in str(caught.value)


def test_the_command_publishes_with_checksums(made, tree, monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("LAYERFUSION_RUNS", str(made.runs))
    monkeypatch.setattr("layerfusion.chapters.parameters.project_root", lambda: tmp_path)
    monkeypatch.setattr(experiment, "train", lambda *_, **__: pytest.fail("trained again"))
    command = made.study.record.command.replace("DIR", str(tree)) + " --publish"
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    assert not ended.value.code, err
    assert "nothing is trained or scored" in err and "not measured" in out
    folder = tmp_path / "runs/reference/photographs"
    sums = [line.split()[1] for line in (folder / CHECKSUMS).read_text().splitlines()]
    assert sums == ["predictions.parquet", "shortcuts.csv", "study.csv", "study.json"]


# --- the page -------------------------------------------------------------------------------------


def test_the_page_says_what_the_record_says(made):
    record = made.study.record
    text = photographs.in_a_sentence(record)
    assert (
        text.startswith("ROC AUC on validation images is ")
        and text.count("**") == 10
        and "of AUC" in text
    )
    heads = photographs.heads_table(record)
    assert len(heads) == 6 * 4 and set(heads["blocks"]) == set(HEADS)
    own = [run for run in record.runs if (run.run, run.blocks) == ("open", "all")]
    row = heads.query("run == 'open' and blocks == 'all' and condition == 'jpeg'")
    mean = np.mean([run.values["jpeg"]["f1"].estimate for run in own])
    assert row["f1"].item() == pytest.approx(mean)


def test_claims_that_were_tampered_with_do_not_agree(made, published):
    claims = made.study.record.claims
    found = recomputed_claims(made.study.record, read_predictions(published))
    assert photographs.agree(found, claims)
    measured = next(i for i, claim in enumerate(claims) if claim.effect is not None)
    moved = claims[measured].model_copy(update={"effect": claims[measured].effect + 1e-6})
    assert not photographs.agree(found, [*claims[:measured], moved, *claims[measured + 1 :]])
    assert not photographs.agree(found, claims[1:])


def test_short_cuts_stand_beside_the_head_of_their_run(made, published):
    shortcuts = read_shortcuts(published)
    assert set(shortcuts["run"]) == {"constrained", "open"}
    table = photographs.beside_shortcuts(shortcuts, made.study.record)
    assert table["run"].is_monotonic_increasing and len(table) == len(shortcuts) + 2
    ours = table[table["detector"] == "all blocks, fused"].set_index("run")["roc_auc"]
    first = {r.run: r for r in reversed(made.study.record.runs) if r.blocks == "all"}
    assert ours.to_dict() == {run: first[run].values["local"]["roc_auc"].estimate for run in first}


@pytest.mark.parametrize("text", [None, "", "name\nmetadata\n"])
def test_a_damaged_table_of_short_cuts_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "shortcuts.csv").write_text(text)
    with pytest.raises(UserError, match=r"short cuts|CSV"):
        read_shortcuts(tmp_path)


def test_every_source_of_both_runs_is_drawn(published):
    predictions = read_predictions(published)
    tables = {run: source_table(scored_images(predictions, run)) for run in ("constrained", "open")}
    panels = draw_by_source(tables, "estimate", "ROC AUC", 0.5).axes
    drawn = [label.get_text() for axes in panels for label in axes.get_yticklabels()]
    assert sorted(drawn) == ["lens-0", "lens-1", "model-0", "model-1"]


def test_both_worlds_answer_the_same_claims(made):
    demo = read_study(project_root() / "runs/reference/demo").record
    table = answers.answers(made.study.record, demo)
    assert table["claim"].is_unique and len(table) == len(CLAIMS) + len(ABLATION_CLAIMS["mean"])
    official = table["claim"].str.contains("official")
    assert (table.loc[official, "photographs_verdict"] == "not measured").all()
    assert (table.loc[table["claim"].str.contains("mean"), "demo_verdict"] == "not measured").all()
    assert table["claim"].tolist() == [claim.text for claim in made.study.record.claims]
    by_claim = table.set_index("claim")
    for claim in demo.claims:
        assert by_claim.loc[claim.text, "demo"] == claim.effect
        assert by_claim.loc[claim.text, "demo_verdict"] == claim.verdict
    html = answers.styled(table).to_html()
    assert html.count("not measured") >= official.sum() and "nan" not in html


# --- descriptions ---------------------------------------------------------------------------------


def test_without_a_description_the_folders_speak(tmp_path):
    assert describe(tmp_path)["source"].tolist() == ["folder", "folder"]
    assert describe(tmp_path)["style"].isna().all()


def test_a_description_that_lacks_columns_says_what_it_can(tmp_path):
    (tmp_path / "metadata.csv").write_text("file_name,style\na.png,photo\n")
    found = describe(tmp_path)
    assert found["style"].tolist()[0] == "photo" and pd.isna(found.loc["b.png", "style"])
    assert found["source"].tolist() == ["folder", "folder"]
    assert found["generator"].tolist()[1] == "from the folder"
    assert found["platform"].tolist()[0] == "a platform"


def describe(root: Path) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "path": ["a.png", "b.png"],
            "source": "folder",
            "generator": np.array([None, "from the folder"], dtype=object),
            "platform": np.array(["a platform", None], dtype=object),
        }
    )
    return describe_images(Manifest(root, rows, pd.DataFrame(columns=["path", "reason"])))
