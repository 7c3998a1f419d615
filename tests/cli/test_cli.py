"""The command line as a person uses it."""

import io

import pandas as pd
import pytest

import layerfusion
from layerfusion.paths import cache_root, runs_root

FAST = ["--set", "training.epochs=1", "--set", "loader.workers=0"]
FOLDER = ["--set", "data.sources=[{kind: folder}]"]
TOY = ["--detector", "demo"]


def test_train_then_score(run, photos, tmp_path):
    train = ["train", "--run", "open", "--data-root", photos, *FAST, *FOLDER]
    status, out, err = run(*train)
    assert status == 0, err
    printed = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert list(printed) == ["F1", "AUC", "AP", "threshold", "record"]
    (directory,) = (runs_root() / "demo").glob("open-seed1337-*[!.lock]")
    assert printed["record"].endswith("record.json") and "training in" in err

    status, again, err = run(*train)
    assert (status, again) == (0, out) and "nothing is trained" in err

    scores = tmp_path / "scores.csv"
    detector = directory / "detector"
    status, out, err = run("score", photos / "test", "--detector", detector, "--out", scores)
    assert (status, out) == (0, "") and "6 of 6 images scored" in err
    table = pd.read_csv(scores)
    assert list(table.columns)[:4] == ["image_id", "logit", "probability", "predicted"]
    assert list(table["image_id"]) == [f"{index}.jpg" for index in range(6)]


def test_score_with_the_toy_warns_on_screen_and_in_the_table(run, photos, tmp_path):
    (tmp_path / "broken.jpg").write_text("no picture")
    status, out, err = run("score", photos / "test" / "0.jpg", tmp_path / "broken.jpg", *TOY)
    table = pd.read_csv(io.StringIO(out)).set_index("image_id")
    assert status == 0
    assert pd.isna(table.loc["0.jpg", "error"]) and not pd.isna(table.loc["broken.jpg", "error"])
    assert "mean nothing" in table.loc["0.jpg", "warning"] and "mean nothing" in err
    assert "not scored: broken.jpg" in err and "1 of 2 images scored" in err


def test_scoring_again_finds_what_was_kept(run, photos, monkeypatch):
    once = run("score", photos / "test", *TOY, "--prefix-cache")
    entries = [path for path in (cache_root() / "prefix").rglob("*") if path.is_file()]
    assert once[0] == 0 and len(entries) == 6
    assert run("score", photos / "test", *TOY, "--prefix-cache")[:2] == once[:2]
    assert run("score", photos / "test", *TOY)[:2] == once[:2]
    monkeypatch.setenv("LAYERFUSION_CACHE_GB", "20 GB")
    status, out, err = run("score", photos / "test", *TOY, "--prefix-cache")
    assert (status, out) == (2, "") and "LAYERFUSION_CACHE_GB is '20 GB'" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["score", "no/such/file.jpg", *TOY], "there is no file or folder"),
        (["score", ".", "--out", "no/such/folder/scores.csv"], "does not exist"),
        (["score", __file__, "--detector", "no/such"], "no detector.json"),
        (["train", "--run", "open", "--profile", "none"], "there is no profile"),
        (["train", "--run", "open", "--set", "training.epochs"], "name=value"),
        (["train", "--run", "open", "--resume", "--fresh"], "give one of them"),
        (["train", "--run", "open", "--profile", "folder"], "--data-root"),
        (["chapters", "run", "99"], "there is no chapter '99'"),
    ],
)
def test_a_users_mistake_is_one_sentence(run, arguments, words):
    status, out, err = run(*arguments)
    assert status == 2 and out == ""
    assert words in err and "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [[], ["train"], ["score"], ["submit"], ["submission", "check"], ["chapters", "run"], ["book"]],
)
def test_help_teaches(run, command):
    status, out, _ = run(*command, "--help")
    assert status == 0 and "Usage" in out


def test_version_is_the_packages(run):
    assert run("--version")[:2] == (0, f"layerfusion {layerfusion.__version__}\n")


def test_completion_can_be_installed(run):
    status, out, _ = run("--help")
    assert status == 0 and "--install-completion" in out
