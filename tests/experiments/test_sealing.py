"""Seals: what was there before the labels, what may not change, and what an opening leaves."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from layerfusion.cli.main import app
from layerfusion.errors import UserError
from layerfusion.experiments.sealing import opened_scores, read_seal, seal, unseal
from layerfusion.metrics.rates import evaluate


@pytest.fixture
def folder(tmp_path):
    """Scores of images of four sources a class, as `layerfusion score` writes them."""
    rng, place = np.random.default_rng(0), tmp_path / "sealed"
    place.mkdir()
    label = np.arange(80) % 2
    logit = rng.normal(1.5 * label, 1)
    scores = pd.DataFrame({"image_id": [f"test/{n:02d}.png" for n in range(80)], "logit": logit})
    scores["predicted"] = (logit >= 0.5).astype(int)
    scores.to_csv(place / "scores.csv", index=False)
    labels = pd.DataFrame({"path": [f"{n:02d}.png" for n in range(80)], "label": label})
    labels.assign(source=np.arange(80) // 20).to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "plan.md").write_text("ROC AUC, over sources.")
    return place


def test_a_sealed_folder_is_opened_once_and_then_again(folder, tmp_path):
    made = seal(folder, tmp_path / "plan.md")
    assert set(made.files) == {"scores.csv", "plan.md"} and made.openings == []
    for count in (1, 2):
        opened = unseal(folder, tmp_path / "labels.csv")
        assert len(opened.openings) == count and opened.files == made.files
    assert opened.openings[0].images == 80
    scores, labels = (
        pd.read_csv(path) for path in (folder / "scores.csv", tmp_path / "labels.csv")
    )
    expected = evaluate(labels["label"], scores["logit"], 0.5, groups=labels["source"])
    found = opened_scores(folder).loc["scores.csv"]
    pd.testing.assert_frame_equal(found, expected, check_names=False)
    assert (found["over"] == "sources").all()


@pytest.mark.parametrize("change", ["scores", "plan", "gone", "new"])
def test_what_changed_after_the_seal_is_not_opened(folder, tmp_path, change):
    seal(folder, tmp_path / "plan.md")
    if change == "gone":
        (folder / "plan.md").unlink()
    else:
        name = {"scores": "scores.csv", "plan": "plan.md", "new": "more.csv"}[change]
        with (folder / name).open("a") as file:
            file.write("test/zz.png,9,1\n")
    with pytest.raises(UserError, match="not as it was when sealed"):
        unseal(folder, tmp_path / "labels.csv")
    assert read_seal(folder).openings == [] and not (folder / "labels.csv").exists()


def test_other_labels_are_not_let_in_afterwards(folder, tmp_path):
    seal(folder, tmp_path / "plan.md")
    unseal(folder, tmp_path / "labels.csv")
    table = pd.read_csv(tmp_path / "labels.csv")
    table.assign(label=1 - table["label"]).to_csv(tmp_path / "others.csv", index=False)
    with pytest.raises(UserError, match="other labels"):
        unseal(folder, tmp_path / "others.csv")
    table.assign(path="x" + table["path"]).to_csv(tmp_path / "foreign.csv", index=False)
    with pytest.raises(UserError, match="names none of the images"):
        unseal(folder, tmp_path / "foreign.csv")


def test_a_name_of_two_images_gets_no_label(folder, tmp_path):
    seal(folder, tmp_path / "plan.md")
    table = pd.read_csv(tmp_path / "labels.csv")
    pd.concat([table, table.iloc[:1]]).to_csv(tmp_path / "twice.csv", index=False)
    with pytest.raises(UserError, match=r"'00.png' names two images in .*twice.csv"):
        unseal(folder, tmp_path / "twice.csv")
    scores = pd.read_csv(folder / "scores.csv")
    (tmp_path / "two").mkdir()
    scores.replace("test/01.png", "other/00.png").to_csv(tmp_path / "two/s.csv", index=False)
    seal(tmp_path / "two", tmp_path / "plan.md")
    with pytest.raises(UserError, match="two images in what was scored"):
        unseal(tmp_path / "two", tmp_path / "labels.csv")


def test_a_source_that_is_not_known_is_no_other_label_the_second_time(folder, tmp_path):
    seal(folder, tmp_path / "plan.md")
    table = pd.read_csv(tmp_path / "labels.csv")
    table.assign(source=table["source"].where(table.index > 3)).to_csv(
        tmp_path / "gaps.csv", index=False
    )
    assert len([unseal(folder, tmp_path / "gaps.csv") for _ in range(2)][-1].openings) == 2


def test_images_that_nobody_labels_are_left_out(folder, tmp_path):
    seal(folder, tmp_path / "plan.md")
    table = pd.read_csv(tmp_path / "labels.csv").drop(columns="source").iloc[:30]
    table.to_csv(tmp_path / "some.csv", index=False)
    assert unseal(folder, tmp_path / "some.csv").openings[0].images == 30
    assert (opened_scores(folder)["over"] == "images").all()


def test_the_command_line_says_what_was_sealed_and_what_came_of_it(folder, tmp_path):
    def run(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    assert run("unseal", folder, "--labels", tmp_path / "labels.csv").exit_code != 0
    made = run("seal", folder, "--plan", tmp_path / "plan.md")
    assert made.exit_code == 0 and "sealed 2 files" in made.stdout
    again = run("seal", folder, "--plan", tmp_path / "plan.md")
    assert again.exit_code != 0 and "never renewed" in str(again.exception)
    opened = run("unseal", folder, "--labels", tmp_path / "labels.csv")
    assert "opening 1, 80 labels" in opened.stdout and "roc_auc" in opened.stdout
    assert len(json.loads((folder / "seal.json").read_text())["openings"]) == 1


@pytest.mark.parametrize(
    ("what", "words"),
    [("empty", "nothing to seal"), ("no plan", "there is no plan"), ("two", "another plan")],
)
def test_what_cannot_be_sealed_is_said(folder, tmp_path, what, words):
    empty = tmp_path / "empty"
    empty.mkdir()
    if what == "two":
        (folder / "plan.md").write_text("Another one.")
    place, plan = (empty if what == "empty" else folder, "none.md" if "no" in what else "plan.md")
    with pytest.raises(UserError, match=words):
        seal(place, tmp_path / plan)
