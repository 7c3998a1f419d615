"""Both runs on the same images: their metrics, degradation curves and sizes."""

import numpy as np
import pandas as pd
import pytest

from conftest import TINY, draw_classes, draw_image
from layerfusion.analysis import robustness
from layerfusion.analysis.comparison import Comparison
from layerfusion.metrics.groups import size_table
from layerfusion.metrics.rates import report
from layerfusion.pages.figures import tables
from layerfusion.pages.figures.corruptions import draw_curve
from layerfusion.runs.experiment import Experiment

SWEEP = robustness.Sweep("JPEG quality", {90: "jpeg-90", 40: "jpeg-40"}, paper=85)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Both runs on a small folder whose test images have no labels."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(8)
    counts = {"train/constrained": 12, "train/social": 8, "val": 12}
    draw_classes(root, counts, rng, odd=3, other=(110, 100))
    (root / "test").mkdir()
    draw_image(rng, dark=True).save(root / "test" / "0.png")
    settings = TINY | {"training.epochs": 1, "training.small_side": 80}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFUSION_RUNS", str(tmp_path_factory.mktemp("runs")))
        experiment = Experiment.open("open", data_root=root, seed=3, overrides=settings)
        runs = Comparison.obtain(experiment, ["local", "official", "jpeg", "small"])
        yield runs, robustness.curve(runs, SWEEP)


def test_estimates_are_the_runs_own_metrics(compared):
    runs, _ = compared
    for name, run in runs.runs.items():
        own = run.record.metrics
        for metric in ("accuracy", "precision", "recall", "f1"):
            interval = runs.scored["local"][name].interval(metric)
            assert interval.estimate == pytest.approx(own["calibrated"][metric])
            assert interval.low <= interval.estimate <= interval.high
        for metric in ("roc_auc", "average_precision"):
            assert runs(metric, name)[0] == pytest.approx(own["ranking"][metric])


def test_runs_differ_in_their_training_images_alone(compared):
    runs, _ = compared
    constrained, opened = (runs.experiments[name] for name in ("constrained", "open"))
    assert constrained.profile == opened.profile and constrained.seed == opened.seed == 3
    assert len(opened.training.rows) > len(constrained.training.rows)
    tables = [runs.scored["local"][name].images["image_id"].tolist() for name in runs.runs]
    assert tables[0] == tables[1]


def test_what_has_no_labels_was_not_measured(compared):
    runs, _ = compared
    with pytest.raises(LookupError, match="no labels"):
        runs("f1", "open", on="official")
    with pytest.raises(LookupError):
        runs("f1", "open", on="launder")  # not asked for
    table = tables.side_by_side(tables.TABLE_1, runs, "demo")
    assert table["run"].notna().sum() == 12
    errors = tables.official_errors(runs)
    assert errors["paper"].tolist() == [1334, 1789, 1194, 1840]
    assert errors[["this run", "share", "difference"]].isna().all(axis=None)


def test_small_images_are_those_below_the_profiles_limit(compared):
    runs, _ = compared
    table = runs.scored["local"]["open"].images
    small = table[table["width"] < 80]
    expected = report(
        small["label"].astype(int), small["logit"], runs.runs["open"].record.threshold
    )
    assert runs("f1", "open", on="small")[0] == pytest.approx(expected["calibrated"]["f1"])
    sizes = size_table(runs.scored["local"], 80).set_index(["run", "shorter side"])
    assert sizes.loc[("open", "< 80 px"), "f1"] == pytest.approx(expected["calibrated"]["f1"])
    assert sizes.loc[("open", "< 80 px"), "images"] == len(small) == 12
    assert sizes.loc[("open", "> 160 px"), "images"] == 0


def test_a_curve_holds_both_runs_at_every_strength(compared):
    runs, curve = compared
    assert len(curve) == 2 * 2 * 4
    at = curve.set_index(["run", "strength", "metric"])["estimate"]
    assert at.between(0, 1).all()
    clean = runs("roc_auc", "open")[0]
    assert at["open", 90, "roc_auc"] != clean or at["open", 40, "roc_auc"] != clean
    figure = draw_curve(curve, runs, SWEEP)
    assert [axes.get_title() for axes in figure.axes] == ["ROC AUC", "F1", "recall", "FPR"]
    assert all(axes.xaxis_inverted() for axes in figure.axes)
    assert all(axes.get_ylim() == (0, 1) for axes in figure.axes)


def test_costs_are_paired_with_clean_images(compared, monkeypatch):
    runs, _ = compared
    monkeypatch.setattr(robustness, "DEGRADED", ("jpeg",))
    table = robustness.costs(runs).set_index(["run", "metric", "condition"])
    assert len(table) == 2 * 4 * 2
    clean = table.xs("local", level="condition")
    assert clean[["change", "change_low", "change_high"]].eq(0).all(axis=None)
    for (run, metric, condition), row in table.iterrows():
        assert row["estimate"] == pytest.approx(runs(metric, run, on=condition)[0])
        assert row["change"] == pytest.approx(
            row["estimate"] - clean.loc[(run, metric), "estimate"]
        )


def test_the_typical_photograph_changes_by_the_median(compared):
    runs, _ = compared
    path = robustness.typical_image(runs, "jpeg")
    clean, degraded = (runs.scored[on]["open"].images for on in ("local", "jpeg"))
    change = pd.Series(degraded["logit"].to_numpy() - clean["logit"].to_numpy(), clean["image_id"])
    real = change[clean.set_index("image_id")["label"] == 0]
    assert real[path] == real.quantile(0.5, interpolation="lower")
