"""Figures of the analysis show what their tables and scores say."""

import numpy as np
import pytest
from PIL import Image
from scipy.special import logit

from layerfusion.analysis.operating_points import paper_points
from layerfusion.analysis.slices import error_slices
from layerfusion.figures import errors as error_figures


def test_points_lie_on_their_curves_beside_the_papers(scored):
    (axes,) = error_figures.operating_points(scored).axes
    drawn = {
        tuple(np.round(line.get_xydata()[0], 6))
        for line in axes.lines
        if len(line.get_xdata()) == 1
    }
    for run in ("constrained", "open"):
        recall = scored("recall", run)[0]
        assert any(point[1] == pytest.approx(recall, abs=1e-5) for point in drawn)
        assert tuple(np.round(paper_points().loc[("local", run)], 6)) in drawn


def test_the_chosen_threshold_is_the_top_of_its_curve(scored):
    (axes,) = error_figures.f1_over_threshold(scored).axes
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert len(curves) == len(marks) == 2
    for curve, mark, run in zip(curves, marks, ("constrained", "open"), strict=True):
        assert mark.get_ydata()[0] == pytest.approx(np.max(curve.get_ydata()))
        assert mark.get_xdata()[0] == pytest.approx(logit(scored.runs[run].record.threshold))


def test_recalibrated_scores_lie_nearer_to_the_diagonal(scored):
    raw, mended = error_figures.calibration(scored).axes

    def distance(axes):
        return np.mean([np.abs(np.diff(line.get_xydata())).mean() for line in axes.lines[:2]])

    assert distance(mended) < distance(raw)


def test_every_slice_has_its_row(scored):
    errors = error_slices(scored)
    real, synthetic = error_figures.slices(errors).axes
    for axes, name in ((real, "real"), (synthetic, "synthetic")):
        rows = errors[(errors["class"] == name) & (errors["run"] == "open")]
        assert len(axes.get_yticks()) == len(rows)
        assert axes.get_title(loc="left").startswith(name)


def test_the_gallery_shows_the_surest_errors_first(scored, tmp_path):
    manifest = scored.experiments["open"].manifest
    table, threshold = scored.tables["open"]["local"], scored.runs["open"].record.threshold
    for path in manifest.rows["path"]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), "grey").save(tmp_path / path)
    placed = type(manifest)(tmp_path, manifest.rows, manifest.skipped)
    figure = error_figures.error_gallery(placed, table, threshold, columns=4)
    beyond = table["logit"] - logit(threshold)
    alarms = np.sort(beyond[table["label"] == 0])[::-1]
    misses = np.sort(beyond[table["label"] == 1])
    for row, expected in ((figure.axes[:4], alarms), (figure.axes[4:], misses)):
        shown = [axes.get_title().splitlines()[-1] for axes in row if axes.images]
        wrong = [value for value in expected[:4] if (value >= 0) == (expected is alarms)]
        assert shown == [f"{value:+.2f}" for value in wrong]
