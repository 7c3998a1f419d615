"""Figures and tables of runs say what records, scores and errors say."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from layerfusion.analysis.slices import error_slices
from layerfusion.experiments.processors import read_processors
from layerfusion.metrics.flips import count_flips
from layerfusion.metrics.probability import probability
from layerfusion.metrics.scored import ScoredImages
from layerfusion.pages.figures import errors, run, tables
from layerfusion.paper import audit
from layerfusion.paths import reference_folder
from layerfusion.runs.record import Run, read_record

RUNS = ("constrained", "open")


@pytest.fixture(scope="module")
def records():
    folder = reference_folder("demo")
    runs = ("constrained", "open")
    return {run: read_record(folder / f"{run}-seed1337" / "record.json") for run in runs}


@pytest.fixture
def record(records):
    return records["open"]


@pytest.fixture
def predictions():
    logit = np.linspace(-3, 3, 41)
    return pd.DataFrame({"logit": logit, "label": (logit > 0.5).astype(int)})


def test_training_curves_are_the_records(records):
    loss, ranking = run.training_curves(records).axes
    for line, record in zip(loss.lines, records.values(), strict=True):
        values = [entry["training_loss"] for entry in record.history]
        np.testing.assert_allclose(line.get_ydata(), values)
    np.testing.assert_allclose(
        ranking.lines[0].get_ydata(), [e["roc_auc"] for e in records["constrained"].history]
    )
    rings = [int(line.get_xdata()[0]) for line in ranking.lines if len(line.get_xdata()) == 1]
    assert rings[-2:] == [record.best_epoch for record in records.values()]
    assert list(ranking.lines[-1].get_ydata()) == [0.5, 0.5]


def test_block_weights_stand_side_by_side(records):
    (axes,) = run.block_weights(records).axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == [*records["constrained"].block_weights, *records["open"].block_weights]
    assert axes.lines[0].get_ydata()[0] == 1 / len(records["open"].block_weights)


def test_confusion_counts_are_the_records(record):
    (axes,) = run.confusion(record).axes
    calibrated = record.metrics["calibrated"]
    names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    assert [int(text.get_text()) for text in axes.texts] == [calibrated[name] for name in names]


def test_the_threshold_is_drawn_where_the_scores_are(predictions):
    (axes,) = run.score_histogram(predictions, float(probability(1.25))).axes
    assert axes.lines[-1].get_xdata() == pytest.approx([1.25, 1.25])
    assert {text.get_text() for text in axes.get_legend().texts} == {"real", "synthetic"}
    assert axes.get_title().endswith("logit 1.25, probability 0.777")


def test_no_figure_stays_open(records, predictions):
    before = plt.get_fignums()
    run.block_weights(records)
    run.score_histogram(predictions, 0.5)
    assert plt.get_fignums() == before


def test_thresholds_and_headline_are_the_records(record):
    table = tables.threshold_table(record)
    assert list(table["threshold"]) == [record.threshold, 0.5]
    said = [
        line.split() for line in tables.headline(Run(reference_folder("demo"), record)).split("\n")
    ]
    ranking = record.metrics["ranking"]
    numbers = [record.metrics["calibrated"]["f1"], ranking["roc_auc"], ranking["average_precision"]]
    assert [float(value) for _, value in said[:-1]] == pytest.approx(
        [*numbers, record.threshold], rel=1e-3
    )
    names = ["F1", "AUC", "AP", "threshold", "record"]
    assert [name for name, _ in said] == names and said[-1][1].endswith("demo/record.json")


def test_points_lie_on_their_curves_beside_the_papers(scored):
    points = audit.operating_points().loc["local"]
    for given in (None, points):
        (axes,) = run.roc_curves(scored.scored["local"], given).axes
        drawn = [line.get_xydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
        theirs = drawn[1::2] if given is not None else []
        assert np.array_equal(theirs, [] if given is None else points.loc[list(RUNS)].to_numpy())
        own = drawn[::2] if given is not None else drawn
        recalls = [scored("recall", name)[0] for name in RUNS]
        assert [point[1] for point in own] == pytest.approx(recalls, abs=1e-5)


def test_the_chosen_threshold_is_the_top_of_its_curve(scored):
    (axes,) = run.f1_over_threshold(scored.scored["local"]).axes
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert len(curves) == len(marks) == 2
    for curve, mark, name in zip(curves, marks, RUNS, strict=True):
        assert mark.get_ydata()[0] == pytest.approx(np.max(curve.get_ydata()))
        assert mark.get_xdata()[0] == pytest.approx(logit(scored.runs[name].record.threshold))
    labels = scored.scored["local"]["open"].label
    trivial = audit.all_synthetic_f1(*np.bincount(labels))
    (line,) = [line for line in axes.lines if line.get_label() == "all predicted synthetic"]
    assert line.get_ydata()[0] == pytest.approx(trivial)


def test_differences_are_paired(scored):
    local = scored.scored["local"]
    table = tables.run_differences(local)
    assert list(table.index) == list(tables.METRICS)
    assert table["difference"].to_numpy() == pytest.approx(table["open"] - table["constrained"])
    assert table["open"]["recall"] == scored("recall", "open")[0]
    net = count_flips(local).set_index("class")[["net", "low", "high"]]
    columns = ["difference", "low", "high"]
    assert table.loc["recall", columns].tolist() == pytest.approx(net.loc["synthetic"].tolist())
    assert table.loc["fpr", "difference"] == pytest.approx(-net.loc["real", "net"])
    same = tables.run_differences({"constrained": local["open"], "open": local["open"]})
    assert (same[columns] == 0).all(axis=None)


def test_thresholds_are_drawn_with_half_of_their_f1(scored):
    table = tables.calibration_table(scored.scored["local"])
    (axes,) = run.draw_thresholds(table).axes
    lines = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    assert len(lines) == 2 * 3 + 1  # and that of one half
    assert (
        lines[0].tolist() == table.loc["constrained", ["paper", "half of the paper's F1"]].tolist()
    )
    assert axes.get_xscale() == "log"


def test_recalibrated_scores_lie_nearer_to_the_diagonal(scored):
    raw, mended = run.calibration(scored.scored["local"]).axes

    def distance(axes):
        return np.mean([np.abs(np.diff(line.get_xydata())).mean() for line in axes.lines[:2]])

    assert distance(mended) < distance(raw)


def test_a_panel_of_too_few_images_says_so():
    scores = np.linspace(0, 1, 40)
    own = ScoredImages(pd.DataFrame({"label": np.tile([0, 1], 20)}), scores[None], scores[None])
    ways = {"few": lambda own: np.nan * own.logits[0], "many": lambda own: own.logits[0]}
    figure = run.reliability_panels({"open": own}, ways)
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


def test_broken_trainings_are_marked_apart_from_processors():
    table = read_processors(reference_folder("demo"))
    axes = run.draw_processors(table).axes
    assert [one.get_title() for one in axes] == [name for name, _ in run.PANELS.values()]
    sound, broken, *_ = axes[1].lines
    assert sound.get_marker() != broken.get_marker()
    auc = table.loc[table["broken"], "local roc_auc"]
    assert broken.get_ydata().tolist() == auc.tolist()
    assert len(sound.get_ydata()) + len(auc) == len(table)
