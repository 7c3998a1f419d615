"""`layerfusion study content`: groups, their names, and what is published of them."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from conftest import TINY, draw_image
from layerfusion.cli.main import app
from layerfusion.errors import UserError
from layerfusion.experiments.content import (
    GROUPS,
    RECORD,
    group_content,
    read_content,
    write_content,
)
from layerfusion.runs.experiment import Experiment


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder of labelled images: six for validation, one of them a PNG."""
    monkeypatch.setenv("LAYERFUSION_RUNS", str(tmp_path / "runs"))
    for split, kind in (
        ("train/a", "real"),
        ("train/a", "synthetic"),
        ("val", "real"),
        ("val", "synthetic"),
    ):
        folder = tmp_path / "data" / split / kind
        folder.mkdir(parents=True)
        for number in range(3):
            rng = np.random.default_rng([number, kind == "real", len(split)])
            image = draw_image(rng, dark=kind == "real", size=(80, 70))
            image.save(folder / (f"{number}.jpg" if number else "0.png"), quality=70 + number)
    return tmp_path / "data"


@pytest.fixture
def grouped(tree):
    """Groups the images in two by an embedding that is made up, with names for the groups."""
    settings = {"runs.open.train_sources": ["a"], "runs.constrained.train_sources": ["a"]}
    images = Experiment.open(
        "open", profile="folder", data_root=tree, overrides=settings
    ).validation
    embedding = np.eye(2)[[0, 0, 0, 1, 1, 0]] + 0.01
    record = {"profile": "folder", "command": "test", "encoder": "tiny"}
    return lambda names=None: group_content(
        images, embedding, groups=2, seed=0, names=names, **record
    )


def test_groups_and_qualities_are_written_and_read(grouped, tmp_path):
    finished = grouped([" dark ", "light"])
    assert finished.images["group"].tolist() == [1, 1, 1, 2, 2, 1]
    assert finished.images["jpeg_quality"].dropna().tolist() == [71, 72, 71, 72]
    write_content(finished, tmp_path)
    read = read_content(tmp_path)
    assert read.record == finished.record and read.record.names == ["dark", "light"]
    pd.testing.assert_frame_equal(read.images, finished.images)
    assert read.named().tolist() == ["dark"] * 3 + ["light"] * 2 + ["dark"]
    assert grouped().record.names == ["group 1", "group 2"]


@pytest.mark.parametrize("names", [["one"], ["one", "one "], ["one", " "], ["a", "b", "c"]])
def test_names_must_be_one_a_group(grouped, names):
    with pytest.raises(UserError, match="--names takes 2 different names"):
        grouped(names)


def test_what_is_not_of_the_record_is_refused(grouped, tmp_path):
    write_content(grouped(), tmp_path)
    grouped().images.assign(group=1).to_parquet(tmp_path / "studies/content" / GROUPS)
    with pytest.raises(UserError, match="is not the table of"):
        read_content(tmp_path)
    (tmp_path / "studies/content" / RECORD).write_text("{}")
    with pytest.raises(UserError, match="is not a valid record of groups of content"):
        read_content(tmp_path)


@pytest.mark.parametrize("labelled", [False, True])
def test_the_command_draws_a_sheet_and_counts(tree, tmp_path, labelled):
    """Of a profile's validation images, or of any labelled folder, without training images."""
    chosen = TINY | {"runs.open.train_sources": "[a]", "runs.constrained.train_sources": "[a]"}
    chosen = {name: value for name, value in chosen.items() if not name.startswith("data.")}
    words = [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
    where = ["-d", str(tree)]
    if labelled:
        for number in range(50):
            folder = tmp_path / "mine" / ("real" if number % 2 else "synthetic")
            folder.mkdir(parents=True, exist_ok=True)
            image = draw_image(np.random.default_rng(number), dark=number % 2, size=(80, 70))
            image.save(folder / f"{number}.png")
        where = [str(tmp_path / "mine")]
    command = ["study", "content", *where, "-p", "folder", "--groups", "2", "--names", "a; b, c"]
    result = CliRunner().invoke(app, command + words, catch_exceptions=False)
    assert result.exit_code == 0
    assert "b, c" in result.output and "synthetic" in result.output
    with Image.open(tmp_path / "runs/folder/content.jpg") as sheet:
        assert np.asarray(sheet).std() > 10  # pictures, not white alone
