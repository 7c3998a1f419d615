"""Figures of the data show the images and numbers that they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from layerfusion.data.manifest import Manifest
from layerfusion.data.opening import open_data
from layerfusion.errors import UserError
from layerfusion.figures import data as data_figures
from layerfusion.figures.contact_sheets import GAP, SIDE
from layerfusion.figures.galleries import sample_sheet
from layerfusion.figures.style import COLOURS


@pytest.fixture
def manifest(photos, tiny_profile, tmp_path):
    return open_data(tiny_profile.data, data_root=photos, cache=tmp_path)


def strips(figure):
    return [axis.images[0].get_array() for axis in figure.axes]


def texts(figure):
    return [axis.get_ylabel().splitlines() for axis in figure.axes]


def test_the_sheet_has_a_row_for_each_split_source_and_class(manifest):
    figure = sample_sheet(manifest, columns=4)
    assert texts(figure) == [
        ["train, constrained", "real", "16 images"],
        ["train, constrained", "synthetic", "16 images"],
        ["train, social", "real", "12 images"],
        ["train, social", "synthetic", "12 images"],
        ["val, folder", "real", "12 images"],
        ["val, folder", "synthetic", "12 images"],
        ["test, folder", "unlabelled", "6 images"],
    ]
    # Real photos are bright here, synthetic ones dark.
    bright = [strip.mean() for strip in strips(figure)][:6]
    assert min(bright[0::2]) > max(bright[1::2])


def test_the_sheet_depends_on_the_seed_and_not_on_the_order_of_rows(manifest):
    first = strips(sample_sheet(manifest, seed=1, columns=3))
    mixed = manifest.rows.sample(frac=1, random_state=0).reset_index(drop=True)
    again = strips(
        sample_sheet(Manifest(manifest.root, mixed, manifest.skipped), seed=1, columns=3)
    )
    other = strips(sample_sheet(manifest, seed=2, columns=3))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any((one != two).any() for one, two in zip(first, other, strict=True))


def test_a_row_with_few_images_ends_in_white(manifest):
    figure = sample_sheet(manifest.select(split="test"), columns=8)
    (strip,) = strips(figure)
    place = 6 * (SIDE + GAP)
    assert (strip[:, place:] == 255).all()
    assert (strip[:, : place - GAP] != 255).any()


def test_a_damaged_file_is_a_grey_tile(manifest, tmp_path):
    rows = manifest.select(split="test").rows.head(1)
    (tmp_path / "test").mkdir()
    (tmp_path / rows["path"][0]).write_bytes(b"\xff\xd8 no more")
    (strip,) = strips(sample_sheet(Manifest(tmp_path, rows, manifest.skipped), columns=1))
    assert len(np.unique(strip)) == 1


def test_a_sheet_of_nothing_says_so(manifest):
    with pytest.raises(UserError, match="no images"):
        sample_sheet(manifest.select(sources=["absent"]))


def test_giveaways_have_a_row_of_panels_a_split(manifest):
    figure = data_figures.file_giveaways(manifest)
    assert len(figure.axes) == 9
    formats, sides, _ = figure.axes[:3]
    assert [label.get_text() for label in formats.get_yticklabels()] == ["PNG", "JPEG"]
    # Real and synthetic training images are all PNG.
    assert [bar.get_width() for bar in formats.patches] == [1, 0, 1, 0]
    assert [line.get_color() for line in sides.lines] == list(COLOURS.values())
    # All photos are of one size: all are at or below it, none below.
    assert sides.lines[0].get_xdata().tolist() == [70, 70]
    assert sides.lines[0].get_ydata().tolist() == [0, 1]
    assert [text.get_text() for text in figure.legends[0].texts] == [
        "real",
        "synthetic",
        "unlabelled",
    ]


def test_a_common_size_is_a_large_mark(manifest):
    rows = manifest.select(split="val").rows
    real = rows["label"] == 0
    rows["width"] = rows["width"].where(~real, np.arange(len(rows)) + 100).astype("Int32")
    changed = Manifest(manifest.root, rows, manifest.skipped)
    (axis,) = data_figures.image_sizes(changed).axes
    many, one = axis.collections
    assert len(many.get_offsets()) == real.sum() and len(one.get_offsets()) == 1
    assert one.get_sizes()[0] > 3 * many.get_sizes().max()


def test_the_audit_is_drawn_with_its_intervals():
    audit = pd.DataFrame(
        {
            "run": ["constrained", "constrained", "open", "open"],
            "name": ["metadata", "format alone"] * 2,
            "roc_auc": [0.9, 0.5, 0.6, 0.4],
            "roc_auc_low": [0.8, 0.45, 0.5, 0.3],
            "roc_auc_high": [0.95, 0.55, 0.7, 0.5],
        }
    )
    figure = data_figures.shortcut_audit(audit)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["metadata", "format alone"]
    drawn = [sorted(c.lines[0].get_xdata()) for c in axis.containers]
    assert drawn == [[0.5, 0.9], [0.4, 0.6]]
    (ends,) = axis.containers[0].lines[2]
    assert ends.get_segments()[0][:, 0] == pytest.approx([0.8, 0.95])


def test_no_figure_stays_open(manifest):
    before = plt.get_fignums()
    sample_sheet(manifest, columns=2)
    data_figures.file_giveaways(manifest)
    data_figures.image_sizes(manifest)
    assert plt.get_fignums() == before


def test_images_of_every_proportion_fill_their_square(manifest, tmp_path):
    rows = manifest.select(split="test").rows.head(1)
    (tmp_path / "test").mkdir()
    Image.new("RGB", (200, 20), "red").save(tmp_path / rows["path"][0], format="PNG")
    (strip,) = strips(sample_sheet(Manifest(tmp_path, rows, manifest.skipped), columns=1))
    assert strip.shape == (SIDE, SIDE, 3)
    assert (strip == [255, 0, 0]).all()
