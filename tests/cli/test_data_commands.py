"""`layerfusion data`: what a person sees of a tree before anything trains."""

import json
import shutil

import pandas as pd
import pytest
from typer.testing import CliRunner

from conftest import describe_images
from layerfusion.cli.main import app
from layerfusion.data.manifest import Manifest
from layerfusion.paths import runs_root


def manifest_of(root, *arguments):
    command = ["data", "manifest", "--profile", "folder", "--data-root", str(root), *arguments]
    return CliRunner().invoke(app, command, catch_exceptions=False)


def test_manifest_lists_counts_runs_and_where_it_lies(photos, tmp_path):
    result = manifest_of(photos, "--out", str(tmp_path / "new" / "photos.parquet"))
    assert result.exit_code == 0
    lines = [line.split() for line in result.output.splitlines()]
    assert ["train", "constrained", "synthetic", "16"] in lines
    assert ["test", "folder", "unlabelled", "6"] in lines
    assert "86 images, 0 files skipped" in result.output
    assert "open run: 28 real and 28 synthetic training images" in result.output
    assert result.output.splitlines()[-1] == f"manifest {tmp_path / 'new' / 'photos.parquet'}"
    loaded = Manifest.load(tmp_path / "new" / "photos.parquet", photos)
    assert len(loaded.rows) == 86 and loaded.rows["sha256"].notna().all()
    manifest_of(photos, "--out", str(tmp_path / "again.parquet"))
    pd.testing.assert_frame_equal(
        Manifest.load(tmp_path / "again.parquet", photos).rows, loaded.rows
    )


def test_manifest_without_hash_and_decoding_lies_with_the_profile_s_runs(photos):
    result = manifest_of(
        photos, "--set", "data.hash_files=false", "--set", "data.decode_files=false"
    )
    assert result.exit_code == 0
    rows = Manifest.load(runs_root() / "folder" / "manifest.parquet", photos).rows
    assert rows["sha256"].isna().all() and rows["phash"].isna().all()


def test_manifest_names_twenty_skipped_files_and_counts_the_others(photos, tmp_path):
    for split in ("train/own", "val"):
        for label in ("real", "synthetic"):
            (tmp_path / split / label).mkdir(parents=True)
            picture = sorted((photos / "val" / label).iterdir())[0]
            (tmp_path / split / label / "a.png").write_bytes(picture.read_bytes())
    for number in range(23):
        (tmp_path / "val" / "real" / f"{number:02d}.jpg").touch()
    result = manifest_of(tmp_path)
    named = [line for line in result.output.splitlines() if line.startswith("skipped ")]
    assert named[0] == "skipped val/real/00.jpg: empty file"
    assert len(named) == 21 and named[-1] == "skipped 3 more"
    assert "4 images, 23 files skipped" in result.output


QUOTAS = (
    "[{source: constrained, label: real, images: 5}, {source: social, label: real, images: 90}]"
)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            ["data.selection.name=shared", f"data.selection.quotas={QUOTAS}"],
            [
                "constrained run: 5 real and 0 synthetic training images",
                "source 'social' has 12 of the 90 real images",
            ],
        ),
        (
            ["runs.open.train_sources=[social, truefake]"],
            ["there are no training images of source 'truefake'"],
        ),
    ],
)
def test_manifest_says_what_a_run_has_and_lacks(photos, capfd, settings, words):
    result = manifest_of(photos, *(word for text in settings for word in ("--set", text)))
    shown = result.output + "".join(capfd.readouterr())
    assert all(one in shown for one in words)


def test_card_of_a_described_tree(photos, tmp_path):
    root = tmp_path / "mine"
    for split in ("train/own", "val"):
        shutil.copytree(photos / "val" / "real", root / split / "real")
    (root / "test").mkdir()
    (root / "test" / "x.jpg").write_bytes(b"x")
    describe_images(root)
    out = tmp_path / "new" / "card"
    command = ["data", "card", "--data-root", str(root), "--out", str(out)]
    result = CliRunner().invoke(app, [*command, "--published", "2026-11-25"])
    assert result.output.splitlines() == [
        "1 sources, 24 labelled images, 1 test images without a label",
        f"card {out}",
    ]
    said = json.loads((out / "croissant.json").read_text())
    assert (said["name"], said["datePublished"]) == ("mine", "2026-11-25")
