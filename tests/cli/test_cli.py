"""The command line as a person uses it."""

import io

import pandas as pd

import layerfusion
from conftest import STAMP, TINY_OPTIONS
from layerfusion.paths import cache_root, runs_root
from layerfusion.runs.record import LOG

TOY = ["--detector", "demo"]


def test_train_then_score(run, photos, tmp_path):
    train = ["train", "--run", "open", "--data-root", photos, *TINY_OPTIONS]
    status, out, err = run("--quiet", *train)
    assert (status, err) == (0, "")
    printed = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert list(printed) == ["F1", "AUC", "AP", "threshold", "record"]
    (directory,) = (runs_root() / "demo").glob("open-seed1337-*[!.lock]")
    assert printed["record"].endswith("record.json")
    log = (directory / LOG).read_text(encoding="utf-8")
    assert all(STAMP.match(line) for line in log.splitlines())
    for text in ("training in", "key ", "epoch 1: training loss", "checkpoint after", "finished"):
        assert text in log

    status, again, err = run(*train)
    assert (status, again) == (0, out) and "nothing is trained" in err
    assert (directory / LOG).read_text(encoding="utf-8") == log

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


def test_version_is_the_packages(run):
    assert run("--version")[:2] == (0, f"layerfusion {layerfusion.__version__}\n")
