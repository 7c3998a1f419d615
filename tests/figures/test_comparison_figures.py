"""Figures of both runs say what records, scores and tables say."""

import numpy as np
import pytest
from PIL import Image

from layerfusion.analysis.sides import count_sides, image_sides
from layerfusion.chapters.parameters import reference_folder
from layerfusion.figures import comparison as both
from layerfusion.runs.record import read_record

RUNS = ("constrained", "open")


@pytest.fixture(scope="module")
def records():
    folder = reference_folder("demo")
    return {run: read_record(folder / f"{run}-seed1337.json") for run in RUNS}


def test_training_curves_are_the_records(records):
    loss, ranking = both.training_curves(records).axes
    for line, record in zip(loss.lines, records.values(), strict=True):
        values = [entry["training_loss"] for entry in record.history]
        assert line.get_ydata() == pytest.approx(values)
    rings = [line for line in ranking.lines if len(line.get_xdata()) == 1]
    assert [int(ring.get_xdata()[0]) for ring in rings[-2:]] == [
        record.best_epoch for record in records.values()
    ]


def test_block_weights_stand_side_by_side(records):
    (axes,) = both.block_weights(records).axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == [*records["constrained"].block_weights, *records["open"].block_weights]


def test_points_lie_at_the_runs_recall(scored):
    (axes,) = both.roc_curves(scored).axes
    points = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
    assert points == pytest.approx([scored("recall", run)[0] for run in RUNS], abs=1e-5)


def test_fixed_and_broken_have_a_bar_each(scored):
    counted = count_sides(scored, ["platform"])
    figure = both.changed_sides(counted)
    for axes, name in zip(figure.axes, ("real", "synthetic"), strict=True):
        own = counted[counted["class"] == name]
        widths = [bar.get_width() for bar in axes.patches]
        fixed, broken = own["fixed"] / own["images"], own["broken"] / own["images"]
        assert widths == pytest.approx([*fixed, *-broken])
        assert axes.get_xlim()[0] == -axes.get_xlim()[1]
        assert [label.get_text().split(" ")[0] for label in axes.get_yticklabels()] == [
            *own["platform"]
        ]


def test_the_gallery_begins_with_what_moved_furthest(scored, tmp_path):
    manifest, sides = scored.experiments["open"].manifest, image_sides(scored)
    for path in manifest.rows["path"]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), "grey").save(tmp_path / path)
    placed = type(manifest)(tmp_path, manifest.rows, manifest.skipped)
    axes = both.sides_gallery(placed, sides, columns=3).axes
    for row, side, sign in ((axes[:3], "fixed", -1), (axes[3:], "broken", 1)):
        moved = np.sort(sign * sides.loc[sides["side"] == side, "moved"])[:3] * sign
        shown = [panel.get_title().splitlines()[-1] for panel in row if panel.images]
        assert shown == [f"{value:+.2f}" for value in moved]


def test_no_image_changed_sides_and_the_gallery_is_empty(scored):
    sides = image_sides(scored).assign(side="right in both")
    figure = both.sides_gallery(scored.experiments["open"].manifest, sides)
    assert not any(axes.images for axes in figure.axes)
