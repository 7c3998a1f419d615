"""The study end to end on a tiny world: trained once, found again, resumed, published."""

import json
import shlex
import sys

import numpy as np
import pandas as pd
import pytest

from conftest import TINY, draw_image
from layerfusion.analysis.measures import CLAIMS
from layerfusion.cli.main import main
from layerfusion.data.loading import EvaluationImages
from layerfusion.errors import UserError
from layerfusion.figures.study import VERDICTS, draw_claims
from layerfusion.paths import project_root
from layerfusion.runs import conditions, experiment
from layerfusion.runs.conditions import CONDITIONS, obtain_predictions
from layerfusion.runs.record import read_record
from layerfusion.studies.measures import METRICS
from layerfusion.studies.record import claims_table, claims_text, publish, read_study
from layerfusion.studies.study import Study

SETTINGS = TINY | {"training.epochs": 1, "training.small_side": 80}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Pictures in the default layout, with labelled test images, half of them small."""
    root, rng = tmp_path_factory.mktemp("world"), np.random.default_rng(6)
    counts = {"train/constrained": 12, "train/social": 8, "val": 12, "test": 10}
    for folder, count in counts.items():
        for label in ("real", "synthetic"):
            directory = root / folder / label
            directory.mkdir(parents=True)
            for index in range(count):
                size = (72, 70) if index % 2 else (100, 90)
                # One in three looks like the other class, or there would be nothing to measure.
                dark = (label == "synthetic") != (index % 3 == 0)
                draw_image(rng, dark=dark, size=size).save(directory / f"{index:02d}.png")
    return root


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


def open_study(world, **changes):
    arguments = {"profile": "demo", "data_root": world, "overrides": SETTINGS, "seeds": 2}
    return Study.open(**arguments | {"heads": ["all", "last"]} | changes)


@pytest.fixture(scope="module")
def finished(world, runs_folder):
    """A finished study, which tests read but do not change."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFUSION_RUNS", str(runs_folder))
        return open_study(world).obtain()


@pytest.fixture
def in_runs_folder(runs_folder, finished, monkeypatch):
    """Work where the finished study lies."""
    monkeypatch.setenv("LAYERFUSION_RUNS", str(runs_folder))


def forbid(monkeypatch, *what):
    for name in what:
        module = {"train": experiment, "predict_each": conditions}[name]
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("done again"))


def run_folders(runs_folder):
    return sorted(path.parent for path in (runs_folder / "demo").glob("*/record.json"))


# --- what a study leaves behind -------------------------------------------------------------------


def test_a_study_trains_four_runs_a_seed(finished, runs_folder):
    record = finished.record
    assert record.seeds == [1337, 1338]
    assert [(run.seed, run.run, run.blocks) for run in record.runs][:4] == [
        (1337, "constrained", "all"),
        (1337, "constrained", "last"),
        (1337, "open", "all"),
        (1337, "open", "last"),
    ]
    assert len(record.runs) == len(run_folders(runs_folder)) == 8
    trained = {read_record(path / "record.json").key for path in run_folders(runs_folder)}
    assert {run.key for run in record.runs} == trained
    assert record.data["images"] == {"train": 40, "val": 24, "test": 20}


def test_values_of_clean_validation_images_are_the_runs_own(finished, runs_folder):
    records = {r.key: r for r in (read_record(p / "record.json") for p in run_folders(runs_folder))}
    for run in finished.record.runs:
        reported = records[run.key].metrics
        assert run.threshold == records[run.key].threshold
        assert run.values["local"]["f1"].estimate == reported["calibrated"]["f1"]
        assert run.values["local"]["roc_auc"].estimate == pytest.approx(
            reported["ranking"]["roc_auc"]
        )


def test_every_run_has_every_metric_under_every_condition_with_its_interval(finished):
    for run in finished.record.runs:
        assert list(run.values) == list(CONDITIONS)
        for values in run.values.values():
            assert list(values) == list(METRICS)
            for value in values.values():
                assert 0 <= value.low <= value.high <= 1 and 0 <= value.estimate <= 1


def test_claims_are_means_over_seeds_of_the_runs_values(finished):
    claims = {claim.name: claim for claim in finished.record.claims}
    value = {
        (run.seed, run.run, run.blocks): run.values["local"]["roc_auc"].estimate
        for run in finished.record.runs
    }
    for name, (plus, minus) in {
        "open-above-constrained-local-roc_auc": (("open", "all"), ("constrained", "all")),
        "fusion-above-last-open": (("open", "all"), ("open", "last")),
    }.items():
        per_seed = [value[seed, *plus] - value[seed, *minus] for seed in finished.record.seeds]
        assert claims[name].per_seed == pytest.approx(per_seed)
        assert claims[name].effect == pytest.approx(np.mean(per_seed))
        assert claims[name].seeds == 2 and claims[name].low <= claims[name].effect
    # Two seeds of twelve images each way: whatever the effect, nobody could know it.
    assert claims["fusion-above-last-open"].verdict == "undecided"


def test_work_and_origin_are_on_record(finished):
    record = finished.record
    seconds = record.seconds
    assert seconds["training"] == pytest.approx(sum(r.training_seconds for r in record.runs), 0.1)
    assert seconds["training"] > 0 < seconds["scoring"]
    parts = seconds["training"] + seconds["scoring"] + seconds["resampling"]
    assert seconds["total"] == pytest.approx(parts, abs=0.2)
    assert {"processor", "libraries", "git_commit", "code_sha256"} <= record.provenance.keys()
    assert len(record.data["manifest_sha256"]) == len(record.code_sha256) == 64
    assert record.command.startswith("layerfusion study --profile demo --data-root DIR --set")
    assert record.command.endswith("--seeds 2 --first-seed 1337 --heads all,last")
    assert record.runs[1].command.endswith("--run constrained --seed 1337 --set head.blocks=last")


def test_its_log_has_that_of_its_runs(finished):
    log = (finished.directory / "log.txt").read_text(encoding="utf-8")
    assert log.count("INFO run 8 of 8") == 1 and log.count("DEBUG finished") == 8


@pytest.mark.parametrize("number", [0, 1, 7])
def test_the_commands_on_record_find_the_very_same_runs(
    finished, in_runs_folder, world, monkeypatch, capfd, number
):
    forbid(monkeypatch, "train")
    entry = finished.record.runs[number]
    status, out, err = command_line(monkeypatch, capfd, entry.command.replace("DIR", str(world)))
    assert status == 0 and "nothing is trained" in err
    assert out.strip().endswith(f"{entry.run}-seed{entry.seed}-{entry.key[:10]}/record.json")


def test_the_record_is_plain_json_and_the_table_its_claims(finished):
    values = json.loads((finished.directory / "study.json").read_text())
    table = pd.read_csv(finished.directory / "study.csv")
    assert list(table.columns) == ["claim", "paper", "effect", "low", "high", "verdict", "seeds"]
    assert table["claim"].tolist() == [claim["text"] for claim in values["claims"]]
    pd.testing.assert_frame_equal(table, claims_table(finished.record), check_dtype=False)
    assert table["paper"].isna().sum() == 2


def test_the_printed_table_says_what_the_paper_lacks(finished):
    lines = claims_text(finished.record).splitlines()
    assert len(lines) == 1 + len(finished.record.claims)
    assert lines[0].split()[0] == "claim" and "verdict" in lines[0]
    (fusion,) = [line for line in lines if "last alone" in line and "open run" in line]
    assert " none " in fusion and "[" in fusion


def test_a_published_study_can_be_read(finished, tmp_path):
    paths = publish(finished, tmp_path / "reference" / "demo")
    assert [path.name for path in paths] == [
        "predictions.parquet", "shortcuts.csv", "study.csv", "study.json",
    ]  # fmt: skip
    assert read_study(tmp_path / "reference" / "demo").record == finished.record


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
    return next(e for s, e in open_study(world).experiments.items() if s[:2] == (1337, "open"))


def test_scoring_again_gives_what_training_had_scored(opened, monkeypatch):
    """Otherwise clean and degraded images would be scored by two different detectors."""
    run = opened.place.read()
    known = obtain_predictions(opened, run, CONDITIONS["local"])
    monkeypatch.setattr(EvaluationImages, "__init__", undegraded(EvaluationImages.__init__))
    again = obtain_predictions(opened, run, conditions.Condition(degradation="jpeg-77"))
    columns = ["image_id", "logit", "probability", "label", "width", "height"]
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
    experiments = [e for s, e in open_study(world).experiments.items() if s.seed == 1337]
    runs = {f"{e.run}-{e.profile.head.blocks}": e.place.read() for e in experiments}
    condition = conditions.Condition(degradation="jpeg-61")
    together = conditions.obtain_together(opened, runs, condition)
    for name, run in runs.items():
        (kept,) = (run.directory / conditions.FOLDER).glob("val-jpeg-61-*.parquet")
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
        patch.setattr(conditions, "RECIPE", 0)
        obtain_predictions(opened, run, CONDITIONS["jpeg"])
    opened.manifest.rows.loc[opened.manifest.rows["split"] == "test", "sha256"] = "0" * 64
    with pytest.raises(pytest.fail.Exception, match="done again"):
        obtain_predictions(opened, run, CONDITIONS["official"])


# --- found again, resumed -------------------------------------------------------------------------


def test_a_finished_study_is_found_again(finished, in_runs_folder, world, monkeypatch):
    forbid(monkeypatch, "train", "predict_each")
    assert open_study(world).obtain() == finished


def test_without_its_record_nothing_is_trained_or_scored_again(
    finished, in_runs_folder, world, monkeypatch
):
    forbid(monkeypatch, "train", "predict_each")
    (finished.directory / "study.json").rename(finished.directory / "kept.json")
    try:
        again = open_study(world).obtain().record
    finally:
        (finished.directory / "kept.json").rename(finished.directory / "study.json")
    assert (again.claims, again.runs) == (finished.record.claims, finished.record.runs)


@pytest.mark.parametrize("change", ["seeds", "settings", "recipe", "test image"])
def test_another_study_is_not_taken_for_this_one(
    finished, in_runs_folder, world, monkeypatch, change
):
    study = open_study(world, seeds=3 if change == "seeds" else 2)
    if change == "settings":
        study = open_study(world, overrides=SETTINGS | {"training.small_side": 75})
    elif change == "recipe":
        monkeypatch.setattr("layerfusion.studies.study.RECIPE", 0)
    elif change == "test image":
        manifest = next(iter(study.experiments.values())).manifest
        manifest.rows.loc[manifest.rows["split"] == "test", "sha256"] = "0" * 64
    assert study.key() != finished.record.key


def test_a_study_that_was_killed_goes_on(finished, world, monkeypatch):
    """Killed in its third run; the second session trains what is left, and the numbers agree."""
    trained, train = [], experiment.train

    def counted(*arguments, **named):
        if len(trained) == 2 and not stopped:
            raise KeyboardInterrupt
        trained.append(named["seed"])
        return train(*arguments, **named)

    monkeypatch.setattr(experiment, "train", counted)
    stopped = False
    with pytest.raises(KeyboardInterrupt):
        open_study(world).obtain()
    assert len(trained) == 2
    stopped = True
    resumed = open_study(world).obtain()
    assert len(trained) == 8
    assert resumed.record.claims == finished.record.claims


# --- mistakes and the command line ----------------------------------------------------------------


def test_claims_are_about_the_papers_head(world):
    with pytest.raises(UserError, match="head 'all'"):
        open_study(world, heads=["last", "mean"])


def test_the_committed_study_can_still_be_read():
    record = read_study(project_root() / "runs" / "reference" / "demo").record
    assert record.heads == ["all", "last"]
    assert [claim.name for claim in record.claims] == [claim.name for claim in CLAIMS]


def test_one_seed_is_refused(world):
    with pytest.raises(UserError, match="two seeds"):
        open_study(world, seeds=1)


def test_an_unreadable_test_image_is_named(in_runs_folder, world):
    study = open_study(world)
    manifest = next(iter(study.experiments.values())).manifest
    first = manifest.rows.index[manifest.rows["split"] == "test"][0]
    manifest.rows.loc[first, ["path", "sha256"]] = ["test/real/gone.png", "0" * 64]
    with pytest.raises(UserError, match=r"gone\.png"):
        study.obtain()


def command_line(monkeypatch, capfd, command):
    """Run a command; returns (exit status, stdout, stderr)."""
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as stopped:
        main()
    return (stopped.value.code or 0, *capfd.readouterr())


@pytest.mark.parametrize("name", ["study", "demo study"])
def test_the_command_prints_the_claims(finished, in_runs_folder, world, monkeypatch, capfd, name):
    forbid(monkeypatch, "train", "predict_each")
    command = finished.record.command.replace("DIR", str(world))
    if name == "demo study":  # its heads are those of the committed study
        command = command.replace(" study ", " demo study ", 1).removesuffix(" --heads all,last")
    status, out, err = command_line(monkeypatch, capfd, command)
    assert status == 0, err
    assert out.startswith(claims_text(finished.record).splitlines()[0])
    assert "2 seeds say little" in err and "nothing is trained or scored" in err
    assert "study.json, " in out.strip().splitlines()[-1]


def test_the_command_publishes(finished, in_runs_folder, world, monkeypatch, capfd, tmp_path):
    monkeypatch.setattr("layerfusion.chapters.parameters.project_root", lambda: tmp_path)
    command = finished.record.command.replace("DIR", str(world)) + " --publish"
    status, out, _ = command_line(monkeypatch, capfd, command)
    assert status == 0 and out.count("published: ") == 4
    assert read_study(tmp_path / "runs/reference/demo").record == finished.record


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("demo study --seeds 1", "--seeds"),
        ("study --heads all,first", "no head 'first'; --heads takes all,last,mean"),
        ("study --heads last", "the claims are about the head 'all'"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(monkeypatch, capfd, mistake, words):
    status, _, err = command_line(monkeypatch, capfd, f"layerfusion {mistake}")
    assert status == 2 and words in err


@pytest.mark.parametrize("name", ["study", "demo study"])
def test_help_of_the_command_teaches(monkeypatch, capfd, name):
    status, out, _ = command_line(monkeypatch, capfd, f"layerfusion {name} --help")
    assert status == 0 and "--first-seed" in out and "goes on where it was" in " ".join(out.split())


def test_the_figure_shows_every_claim_and_the_papers_effects():
    claims = pd.DataFrame(
        {
            "claim": ["first", "second", "third"],
            "paper": [0.04, np.nan, 0.01],
            "effect": [0.02, -0.03, 0.0],
            "low": [0.01, -0.04, -0.01],
            "high": [0.03, -0.02, 0.01],
            "verdict": ["holds", "does not hold", "undecided"],
        }
    )
    (axes,) = draw_claims(claims).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second", "third"]
    drawn = {bar.get_label(): bar.lines[0].get_xydata().tolist() for bar in axes.containers}
    assert drawn == {
        "holds": [[0.02, 2]], "undecided": [[0.0, 0]], "does not hold": [[-0.03, 1]],
    }  # fmt: skip
    assert drawn.keys() == VERDICTS.keys()
