"""Figures of scores and errors say what their tables and scores say."""

import numpy as np
import pytest
from scipy.special import logit

from layerfusion.analysis.slices import error_slices
from layerfusion.figures import errors, scores
from layerfusion.metrics.flips import count_flips
from layerfusion.paper import audit

RUNS = ("constrained", "open")


def test_points_lie_on_their_curves_beside_the_papers(scored):
    points = audit.operating_points().loc["local"]
    for given in (None, points):
        (axes,) = scores.roc_curves(scored, points=given).axes
        drawn = [line.get_xydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
        theirs = drawn[1::2] if given is not None else []
        assert np.array_equal(theirs, [] if given is None else points.loc[list(RUNS)].to_numpy())
        own = drawn[::2] if given is not None else drawn
        recalls = [scored("recall", run)[0] for run in RUNS]
        assert [point[1] for point in own] == pytest.approx(recalls, abs=1e-5)


def test_the_chosen_threshold_is_the_top_of_its_curve(scored):
    (axes,) = scores.f1_over_threshold(scored).axes
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert len(curves) == len(marks) == 2
    for curve, mark, run in zip(curves, marks, RUNS, strict=True):
        assert mark.get_ydata()[0] == pytest.approx(np.max(curve.get_ydata()))
        assert mark.get_xdata()[0] == pytest.approx(logit(scored.runs[run].record.threshold))


def test_recalibrated_scores_lie_nearer_to_the_diagonal(scored):
    raw, mended = scores.calibration(scored).axes

    def distance(axes):
        return np.mean([np.abs(np.diff(line.get_xydata())).mean() for line in axes.lines[:2]])

    assert distance(mended) < distance(raw)


def test_a_panel_of_too_few_images_says_so():
    few = (np.array([0, 1]), np.array([np.nan, np.nan]))
    many = (np.tile([0, 1], 20), np.linspace(0, 1, 40))
    figure = scores.reliability_panels({"few": {"open": few}, "many": {"open": many}})
    said = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert said == [["too few images"], []]


def test_every_slice_has_its_row(scored):
    table = error_slices(scored)
    panels = errors.slices(table).axes
    for axes, name in zip(panels, ("real", "synthetic"), strict=True):
        rows = table[(table["class"] == name) & (table["run"] == "open")]
        assert len(axes.get_yticks()) == len(rows)
        assert axes.get_title(loc="left").startswith(name)


def test_corrected_and_regressed_have_a_bar_each(scored):
    counted = count_flips(scored.scored["local"], ["platform"])
    figure = errors.prediction_flips(counted)
    for axes, name in zip(figure.axes, ("real", "synthetic"), strict=True):
        own = counted[counted["class"] == name]
        widths = [bar.get_width() for bar in axes.patches]
        corrected, regressed = (own[name] / own["images"] for name in ("corrected", "regressed"))
        assert widths == pytest.approx([*corrected, *-regressed])
        assert axes.get_xlim()[0] == -axes.get_xlim()[1]
        assert [label.get_text().split(" ")[0] for label in axes.get_yticklabels()] == [
            *own["platform"]
        ]
