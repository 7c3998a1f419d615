"""Figures and tables say what the record says."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from layerfusion.figures import run, tables
from layerfusion.metrics.probability import probability
from layerfusion.paths import reference_folder
from layerfusion.runs.record import read_record


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


def test_block_weights_stand_side_by_side(records):
    (axes,) = run.block_weights(records).axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == [*records["constrained"].block_weights, *records["open"].block_weights]


def test_confusion_counts_are_the_records(record):
    (axes,) = run.confusion(record).axes
    calibrated = record.metrics["calibrated"]
    names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    assert [int(text.get_text()) for text in axes.texts] == [calibrated[name] for name in names]


def test_the_threshold_is_drawn_where_the_scores_are(predictions):
    (axes,) = run.score_histogram(predictions, float(probability(1.25))).axes
    assert axes.lines[-1].get_xdata() == pytest.approx([1.25, 1.25])
    assert {text.get_text() for text in axes.get_legend().texts} == {"real", "synthetic"}


def test_no_figure_stays_open(records, predictions):
    before = plt.get_fignums()
    run.block_weights(records)
    run.score_histogram(predictions, 0.5)
    assert plt.get_fignums() == before


def test_thresholds_and_headline_are_the_records(record):
    table = tables.threshold_table(record)
    assert list(table["threshold"])[:2] == [record.threshold, 0.5]
    assert tables.headline(record) == {
        "F1": record.metrics["calibrated"]["f1"],
        "AUC": record.metrics["ranking"]["roc_auc"],
        "AP": record.metrics["ranking"]["average_precision"],
        "threshold": record.threshold,
    }
