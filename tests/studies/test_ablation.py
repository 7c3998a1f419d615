"""Ablations end to end on tiny images: which runs, found again, published, read, put in words."""

import json
import shlex

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from conftest import TINY
from layerfusion.errors import UserError
from layerfusion.figures.ablations import draw_ablation, in_a_sentence, shown
from layerfusion.paths import runs_root
from layerfusion.runs import experiment
from layerfusion.studies.ablation import AblationStudy
from layerfusion.studies.ablation_record import (
    ablation_table,
    publish_ablation,
    published_ablations,
    read_ablation,
)
from layerfusion.studies.variants import ABLATIONS

SETTINGS = TINY | {"training.epochs": 1, "head.projection_width": 16, "head.hidden_width": 16}
SETTINGS.pop("encoder.trained_blocks")


def plan(name, photos, **changes):
    given = {"data_root": photos, "overrides": SETTINGS, "seeds": 2}
    return AblationStudy.open(name, **given | changes)


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def finished(photos, runs_folder):
    """The ablation of the kind of data, which has the fewest runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFUSION_RUNS", str(runs_folder))
        return plan("data", photos).obtain()


def test_its_log_has_that_of_its_runs(finished):
    log = (finished.directory / "log.txt").read_text(encoding="utf-8")
    assert log.count("INFO epoch 1: training loss") == log.count("DEBUG finished") == 6
    assert log.count("INFO run 6 of 6") == 1


# --- which runs -----------------------------------------------------------------------------------


def test_every_variant_is_held_against_one_that_is_trained(photos):
    for name in ABLATIONS:
        planned = plan(name, photos)
        names = [variant.name for variant in planned.variants]
        assert len(set(names)) == len(names) >= 2
        assert {v.against for v in planned.variants} - {None} <= set(names)
        assert [seed for seed, _ in planned.experiments] == [1337] * len(names) + [1338] * len(
            names
        )
        keys = {experiment.place.key for experiment in planned.experiments.values()}
        assert len(keys) == len(planned.experiments), name  # no variant is another one in disguise


def test_every_block_is_left_out_once_and_alone_once(photos):
    by_name = {variant.name: variant.overrides for variant in plan("blocks", photos).variants}
    depth = len(by_name["constrained-without-1"]["head.reads"]) + 1
    assert len(by_name) == 1 + 2 * depth
    for block in range(1, depth + 1):
        assert by_name[f"constrained-only-{block}"] == {"head.reads": [block]}
        others = [number for number in range(1, depth + 1) if number != block]
        assert by_name[f"constrained-without-{block}"] == {"head.reads": others}


def images_of(planned):
    """The training images of each variant's first run."""
    return {
        name: e.training.rows for (seed, name), e in planned.experiments.items() if seed == 1337
    }


def test_equal_size_means_as_many_images_of_each_class(photos):
    planned = plan("data", photos)
    rows = {
        name: e.training.rows for (seed, name), e in planned.experiments.items() if seed == 1337
    }
    for label in (0, 1):
        count = {name: int((own["label"] == label).sum()) for name, own in rows.items()}
        assert count["open-equal"] == count["constrained"] < count["open"]
    assert set(rows["open-equal"]["source"]) == {"constrained", "social"}


def test_fewer_images_are_part_of_more(photos):
    planned = plan("curve", photos)
    used = {
        n: set(e.training.rows["path"]) for (s, n), e in planned.experiments.items() if s == 1337
    }
    assert used["open-0.25"] < used["open-0.5"] < used["open-all"]
    assert len(used["open-0.25"]) == len(used["open-all"]) / 4


def test_commands_train_the_very_runs(photos, run, monkeypatch):
    status, out, _ = run(
        "ablation", "data", "-d", photos, "--seeds", 2, "--commands", *sets(SETTINGS)
    )
    assert status == 0 and len(out.splitlines()) == 6
    status, out, _ = run(*shlex.split(out.splitlines()[1])[1:])
    assert status == 0
    trained = [path.name for path in (runs_root() / "demo").glob("open-seed1337-*")]
    assert trained == [plan("data", photos).experiments[1337, "open-equal"].place.finished.name]


def test_the_help_names_every_ablation_and_no_other(run):
    status, out, _ = run("ablation", "--help")
    described = " ".join(out.replace("│", " ").split())
    assert (
        status == 0 and f"{', '.join(list(ABLATIONS)[:-1])} or {list(ABLATIONS)[-1]}." in described
    )
    assert all(f"{name}: " in described for name in ABLATIONS)


def sets(settings):
    words = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    return [part for word in words for part in ("--set", word)]


# --- what is left behind --------------------------------------------------------------------------


def test_the_table_is_made_of_the_predictions(finished):
    table = ablation_table(finished)
    assert table.index.tolist() == ["constrained", "open-equal", "open"]
    for name, row in table.iterrows():
        own = finished.predictions[finished.predictions["variant"] == name]
        aucs = [roc_auc_score(run["label"], run["logit"]) for _, run in own.groupby("seed")]
        assert row["roc_auc"] == pytest.approx(np.mean(aucs))
        assert row["low"] <= row["roc_auc"] <= row["high"]
    assert table["difference"].isna().tolist() == [True, False, False]
    steps = table["roc_auc"].diff()
    pd.testing.assert_series_equal(table["difference"].iloc[1:], steps.iloc[1:], check_names=False)


def test_found_again_nothing_is_trained(finished, photos, runs_folder, monkeypatch):
    monkeypatch.setenv("LAYERFUSION_RUNS", str(runs_folder))
    monkeypatch.setattr(experiment, "train", lambda *_, **__: pytest.fail("trained again"))
    assert plan("data", photos).obtain().record == finished.record


def test_what_is_published_is_read_and_holds_no_folder(finished, photos, tmp_path):
    assert len(publish_ablation(finished, tmp_path)) == 2
    (name,) = published_ablations(tmp_path)
    text = (tmp_path / "ablations" / f"{name}.json").read_text()
    assert str(photos) not in text and "--data-root DIR" in text
    assert published_ablations(tmp_path)[name].record == finished.record
    assert published_ablations(tmp_path / "nothing") == {}


def test_records_that_do_not_fit_their_predictions_are_refused(finished, tmp_path):
    parquet, _ = publish_ablation(finished, tmp_path)
    finished.predictions[finished.predictions["seed"] == 1337].to_parquet(parquet)
    with pytest.raises(UserError, match="of different runs"):
        read_ablation(parquet.parent, "data")
    finished.predictions.iloc[:-1].to_parquet(parquet)
    with pytest.raises(UserError, match="other images"):
        read_ablation(parquet.parent, "data")
    parquet.write_bytes(b"PAR1")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read_ablation(parquet.parent, "data")
    parquet.unlink()
    with pytest.raises(UserError, match="there is no ablation"):
        read_ablation(parquet.parent, "data")


def test_a_sentence_says_what_is_clear_and_what_is_not(finished):
    table = ablation_table(finished)
    wide = table.assign(difference_low=-1.0, difference_high=1.0)
    assert "**none** exclude 0" in in_a_sentence(wide)
    clear = wide.assign(difference_low=[np.nan, 0.1, -1.0], difference=[np.nan, 0.2, 0.0])
    said = in_a_sentence(clear)
    assert "**1** excludes 0" in said and "open, no more images against constrained" in said
    many = pd.concat([clear, *[clear.iloc[[1]].assign(difference=d) for d in (0.3, -0.4, 0.1)]])
    said = in_a_sentence(many)
    assert "**4** exclude 0" in said and "the largest is" in said and "-0.400" in said
    assert "the smallest of them" in said and "+0.100 [" in said and "+0.300 [" not in said
    cells = shown(clear)
    assert cells["difference"].tolist()[:2] == ["", "+0.200 [+0.100, +1.000]"]
    assert not cells.isin(["nan"]).any(axis=None)
    panels = draw_ablation(table).axes
    assert [axes.get_title("left") for axes in panels] == ["open"]


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["nothing"], "there is no ablation 'nothing'; there are weights, blocks"),
        (["weights", "--set", "head.blocks=mean"], "varies head.blocks itself"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_sentence(words, reason, photos, run):
    status, out, err = run("ablation", words[0], "-d", photos, *sets(SETTINGS), *words[1:])
    assert status == 2 and reason in err.splitlines()[-1] and out == ""
