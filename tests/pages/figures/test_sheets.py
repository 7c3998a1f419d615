"""Sheets show the pictures that they say, in named rows, with their numbers."""

import numpy as np
import pytest
from PIL import Image
from scipy.special import logit

from layerfusion.data.manifest import Manifest
from layerfusion.data.opening import open_data
from layerfusion.demo.cameras import CAMERAS
from layerfusion.demo.generators import GENERATORS
from layerfusion.demo.platforms import PLATFORMS
from layerfusion.errors import UserError
from layerfusion.metrics.flips import flips
from layerfusion.pages.figures import sheets
from layerfusion.pages.figures.sheets import (
    CAPTIONED,
    GAP,
    SIDE,
    error_gallery,
    flips_gallery,
    sample_sheet,
)


@pytest.fixture
def manifest(photos, tiny_profile, tmp_path):
    return open_data(tiny_profile.data, data_root=photos, cache=tmp_path)


@pytest.fixture
def files(scored, tmp_path):
    """The scored images, as files."""
    known = scored.experiments["open"].manifest
    for path in known.rows["path"]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), "grey").save(tmp_path / path)
    return type(known)(tmp_path, known.rows, known.skipped)


def strips(figure):
    return [np.asarray(axis.images[0].get_array()) for axis in figure.axes]


def captions(figure):
    return [[text.get_text().splitlines()[-1] for text in axes.texts] for axes in figure.axes]


def test_the_sheet_has_a_row_for_each_split_source_and_class(manifest):
    figure = sample_sheet(manifest)
    assert [axis.get_ylabel().splitlines() for axis in figure.axes] == [
        ["train, constrained", "real", "16 images"],
        ["train, constrained", "synthetic", "16 images"],
        ["train, social", "real", "12 images"],
        ["train, social", "synthetic", "12 images"],
        ["val, folder", "real", "12 images"],
        ["val, folder", "synthetic", "12 images"],
        ["test, folder", "unlabelled", "6 images"],
    ]
    # Real photos are bright here, synthetic ones dark; the last row ends in white.
    *labelled, last = strips(figure)
    bright = [strip.mean() for strip in labelled]
    assert min(bright[0::2]) > max(bright[1::2])
    place = 6 * (SIDE + GAP)
    assert (last[:, place:] == 255).all() and (last[:, : place - GAP] != 255).any()


def test_the_sheet_depends_on_the_seed_and_not_on_the_order_of_rows(manifest):
    mixed = manifest.rows.sample(frac=1, random_state=0).reset_index(drop=True)
    again = Manifest(manifest.root, mixed, manifest.skipped)
    first, same, other = (
        strips(sample_sheet(of, seed=seed))
        for of, seed in ((manifest, 1), (again, 1), (manifest, 2))
    )
    for one, two in zip(first, same, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any((one != two).any() for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize(("damaged", "colour"), [(True, [200, 200, 200]), (False, [255, 0, 0])])
def test_a_square_is_filled_whatever_the_proportions_and_grey_of_a_damaged_file(
    damaged, colour, manifest, tmp_path
):
    rows = manifest.select(split="test").rows.head(1)
    (tmp_path / "test").mkdir()
    Image.new("RGB", (200, 20), "red").save(tmp_path / rows["path"][0], format="PNG")
    if damaged:
        (tmp_path / rows["path"][0]).write_bytes(b"\xff\xd8 no more")
    (strip,) = strips(sample_sheet(Manifest(tmp_path, rows, manifest.skipped)))
    assert strip.shape == (SIDE, SIDE, 3) and (strip == colour).all()


def test_a_sheet_of_nothing_says_so(manifest):
    with pytest.raises(UserError, match="no images"):
        sample_sheet(manifest.select(sources=["absent"]))


def test_the_most_confident_errors_come_first(scored, files):
    table, threshold = scored.scored["local"]["open"].images, scored.runs["open"].record.threshold
    beyond = table["logit"] - logit(threshold)
    alarms = np.sort(beyond[(table["label"] == 0) & (beyond >= 0)])[::-1]
    misses = np.sort(beyond[(table["label"] == 1) & (beyond < 0)])
    expected = [[f"{value:+.2f}" for value in wrong[:CAPTIONED]] for wrong in (alarms, misses)]
    assert captions(error_gallery(files, table, threshold)) == expected
    right = error_gallery(files, table.assign(label=beyond >= 0), threshold)
    names = [axes.get_ylabel() for axes in right.axes]
    assert names == ["real\nno false positives", "synthetic\nno false negatives"]


def test_flips_begin_with_what_moved_furthest(scored, files):
    found = flips(scored.scored["local"])
    shown = captions(flips_gallery(files, found))
    for row, flip, sign in zip(shown, ("corrected", "regressed"), (-1, 1), strict=True):
        moved = np.sort(sign * found.loc[found["flip"] == flip, "change_of_margin"]) * sign
        assert row == [f"{value:+.2f}" for value in moved[:CAPTIONED]]
    assert captions(flips_gallery(files, found.assign(flip="correct in both"))) == [[], []]


@pytest.mark.parametrize(
    ("sheet", "rows"),
    [
        (sheets.camera_sheet, [camera.name for camera in CAMERAS]),
        (sheets.generator_sheet, ["photograph", *GENERATORS]),
        (sheets.platform_sheet, ["photograph", *PLATFORMS]),
    ],
)
def test_a_sheet_of_the_demo_has_a_named_row_each_and_no_two_are_alike(sheet, rows, monkeypatch):
    monkeypatch.setattr(sheets, "SCENES", 2)
    figure = sheet()
    assert [axes.get_ylabel() for axes in figure.axes] == rows
    pictures = strips(figure)
    assert {picture.shape for picture in pictures} == {(SIDE, 2 * SIDE + GAP, 3)}
    assert len({picture.tobytes() for picture in pictures}) == len(rows)
