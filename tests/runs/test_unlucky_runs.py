"""No page depends on luck: every table and figure of chapters 02 to 06 on runs that had none."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from cells import execute, look_at
from layerfusion.analysis import measures, robustness
from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.recorded import ALONE
from layerfusion.analysis.slices import error_slices, held_out_errors
from layerfusion.apps.task.check import keep_submissions
from layerfusion.metrics import held_out, operating_points, transfer
from layerfusion.metrics.groups import size_table
from layerfusion.metrics.probability import probability
from layerfusion.pages.chapters.parameters import chapter_paths
from layerfusion.pages.figures import errors as error_figures
from layerfusion.pages.figures import run as run_figures
from layerfusion.pages.figures import tables
from layerfusion.pages.figures.corruptions import draw_curve
from layerfusion.pages.figures.sheets import CAPTIONED, error_gallery
from unlucky import SETTINGS, WORLDS, plant

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of joblib's own pipes
]

RUNS = ("constrained", "open")
JPEG = replace(robustness.JPEG, degradations={q: f"jpeg-{q}" for q in (95, 85, 30)})


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """What is asked here does not depend on how many there are."""
    monkeypatch.setattr(measures, "RESAMPLES", 40)
    monkeypatch.setattr(held_out, "CHOICES", 20)


def compared(name, folder, patch):
    return Comparison.obtain(plant(WORLDS[name], folder / "images", patch))


@pytest.fixture
def unlucky(request, tmp_path, monkeypatch):
    """Both runs of the world that the test names."""
    return compared(request.param, tmp_path, monkeypatch)


def world(*names):
    return pytest.mark.parametrize("unlucky", names, indirect=True)


def pieces(runs):
    """Return, by name, what makes each table and figure of chapters 02 to 06."""
    run, record = runs.runs["open"], runs.runs["open"].record
    local, official = (
        runs.scored[on]["open"].images if on in runs.scored else None
        for on in ("local", "official")
    )
    manifest = runs.experiments["open"].manifest

    def beside_the_paper(cells, profile):
        return tables.styled(tables.side_by_side(cells, runs, profile), profile)

    made = {
        "training curves": lambda: run_figures.training_curves({"open": record}),
        "block weights": lambda: run_figures.block_weights({"open": record}),
        "histogram": lambda: run_figures.score_histogram(run.predictions(), record.threshold),
        "confusion": lambda: run_figures.confusion(record),
        "thresholds": lambda: tables.threshold_table(record),
        "differences": lambda: tables.run_differences(runs.scored["local"]),
        "official errors": lambda: tables.official_errors(runs),
        "submissions": lambda: keep_submissions(runs, team="ours"),
        "sizes": lambda: size_table(runs.scored["local"], 60),
        "points": lambda: run_figures.roc_curves(runs.scored["local"]),
        "recall gain": lambda: operating_points.recall_gain(runs.scored["local"]),
        "recall at rates": lambda: tables.by_run(runs.scored["local"], transfer.recall_table),
        "calibration": lambda: tables.calibration_table(runs.scored["local"]),
        "thresholds drawn": lambda: run_figures.draw_thresholds(
            tables.calibration_table(runs.scored["local"])
        ),
        "calibration drawn": lambda: run_figures.calibration(runs.scored["local"]),
        "choice": lambda: transfer.choice_table(runs.scored["local"]),
        "F1 drawn": lambda: run_figures.f1_over_threshold(runs.scored["local"]),
        "slices": lambda: error_slices(runs),
        "slices drawn": lambda: error_figures.slices(error_slices(runs)),
        "gallery": lambda: error_gallery(manifest, local, record.threshold),
        "held out": lambda: held_out_errors(runs),
        "costs": lambda: robustness.costs(runs),
        "jpeg drawn": lambda: draw_curve(robustness.curve(runs, JPEG), runs, JPEG),
    }
    for profile in ("demo", "paper"):
        for name, cells in {"table 1": tables.TABLE_1, "table 2": tables.TABLE_2}.items():
            made[f"{name}, {profile}"] = partial(beside_the_paper, cells, profile)
    if official is not None:
        made["shift"] = lambda: run_figures.shift(local, official, record.threshold)
    return made


@world(*WORLDS)
def test_every_table_and_figure_is_shown(unlucky):
    for name, make in pieces(unlucky).items():
        text = look_at(make())
        assert "[nan" not in text and "[+nan" not in text and "<b>nan" not in text, name


# --- what is shown --------------------------------------------------------------------------------


def gallery(runs):
    open_run = runs.runs["open"].record
    manifest = runs.experiments["open"].manifest
    return error_gallery(manifest, runs.scored["local"]["open"].images, open_run.threshold)


@pytest.mark.parametrize(
    ("unlucky", "alarms", "misses"),
    [
        ("no false alarm", 0, 1),
        ("no miss", 1, 0),
        ("no error", 0, 0),
        ("equal scores", 8, 0),
        ("scores turned over", 8, 0),
        ("all called real", 0, 8),
        ("saturated", 0, 0),
        ("all at probability 1", 8, 0),
        ("all at probability 0", 8, 0),
    ],
    indirect=["unlucky"],
)
def test_the_gallery_says_which_errors_there_are_none_of(unlucky, alarms, misses):
    figure = gallery(unlucky)
    names = ("false positives", "false negatives")
    for axes, name, errors in zip(figure.axes, names, (alarms, misses), strict=True):
        assert len(axes.texts) == min(errors, CAPTIONED)
        assert (f"no {name}" in axes.get_ylabel()) == (errors == 0)


@world("two images", "three images")
def test_too_few_images_are_not_recalibrated(unlucky):
    table = tables.calibration_table(unlucky.scored["local"])
    again = [name for name in table if "recalibrated" in name] + ["half of its F1"]
    assert table[again].isna().all(axis=None) and table.drop(columns=again).notna().all(axis=None)
    _, mended = run_figures.calibration(unlucky.scored["local"]).axes
    assert [text.get_text() for text in mended.texts] == ["too few images"]
    choice = transfer.choice_table(unlucky.scored["local"])
    assert choice[["threshold", "F1"]].notna().all(axis=None)


@world("two images")
def test_one_image_of_a_class_has_no_interval(unlucky):
    for metric in ("f1", "roc_auc", "average_precision", "accuracy"):
        found = unlucky.scored["local"]["open"].interval(metric)
        assert found.estimate == 1 and np.isnan([found.low, found.high]).all()
    own = unlucky.scored["local"]
    recall = tables.by_run(own, transfer.recall_table).rename(columns={"recall": "estimate"})
    for table in (operating_points.recall_gain(own), recall):
        assert table["estimate"].notna().all() and table[["low", "high"]].isna().all(axis=None)
    html = tables.styled(tables.side_by_side(tables.TABLE_1, unlucky, "paper"), "paper").to_html()
    assert html.count("[no interval]") == 12  # the test images have their own


@world("one small image of each class")
def test_one_small_image_of_each_class_decides_nothing(unlucky):
    assert np.isnan(unlucky.scored["small"]["open"].interval("f1").low)
    assert not np.isnan(unlucky.scored["local"]["open"].interval("f1").low)
    sizes = size_table(unlucky.scored["local"], 60).set_index(["run", "shorter side"])
    small = sizes.loc[("open", "< 60 px")]
    assert (small["images"], small["f1"]) == (2, 1) and np.isnan(small["f1_low"])


@world("no small image", "small images all real")
def test_small_images_without_a_synthetic_one_define_no_f1(unlucky):
    cells = tables.side_by_side(tables.TABLE_2, unlucky, "paper").set_index(["row", "column"])
    small = cells.xs("Small F1", level="column")
    assert (small["verdict"] == "not defined").all() and small["run"].isna().all()
    sizes = size_table(unlucky.scored["local"], 60).set_index(["run", "shorter side"])
    assert sizes.loc[("open", "< 60 px"), ["f1", "roc_auc"]].isna().all()
    assert tables.by_run(unlucky.scored["small"], transfer.recall_table)["recall"].isna().all()


@pytest.mark.parametrize(
    ("unlucky", "there", "missing"),
    [
        ("test images all real", "false positives", "false negatives"),
        ("test images all synthetic", "false negatives", "false positives"),
    ],
    indirect=["unlucky"],
)
def test_official_images_of_one_class_have_that_classs_errors(unlucky, there, missing):
    errors = tables.official_errors(unlucky).xs("open", level="run")
    assert errors.loc[there, "of these"] == 4 and errors.loc[there, "share"] >= 0
    assert errors.loc[missing, "of these"] == 0 and np.isnan(errors.loc[missing, "share"])
    cells = tables.side_by_side(tables.TABLE_1, unlucky, "demo").set_index(["row", "column"])
    assert cells.loc[("Official, Open", "AUC"), "verdict"] == "not defined"
    assert 0 <= cells.loc[("Official, Open", "Acc."), "run"] <= 1
    local, official = (unlucky.scored[on]["open"].images for on in ("local", "official"))
    legends = [
        text.get_text()
        for axes in run_figures.shift(local, official, 0.5).axes
        for text in axes.get_legend().texts
    ]
    assert legends.count("official: no images") == 1


@world("test images without labels", "no test images")
def test_official_images_without_labels_are_not_measured(unlucky):
    cells = tables.side_by_side(tables.TABLE_1, unlucky, "demo")
    official = cells[cells["row"].str.startswith("Official")]
    assert (official["verdict"] == "not measured").all()
    assert tables.official_errors(unlucky)["share"].isna().all()


@world("equal scores")
def test_equal_scores_are_worth_nothing_and_say_so(unlucky):
    found = unlucky.scored["local"]["open"].interval("roc_auc")
    assert (found.estimate, found.low, found.high) == (0.5, 0.5, 0.5)
    assert unlucky("recall", "open")[0] == 1 and unlucky("precision", "open")[0] == 0.5
    assert tables.by_run(unlucky.scored["local"], transfer.recall_table)["recall"].eq(0).all()
    submissions = keep_submissions(unlucky, team="ours")
    assert submissions["mistakes"].iloc[1].startswith("prob is the same as in ours_constrained.csv")


@world("saturated", "saturated, turned over", "all at probability 1", "all at probability 0")
def test_a_threshold_of_0_or_1_is_drawn_where_probabilities_end(unlucky):
    run = unlucky.runs["open"]
    assert run.record.threshold in (0, 1)
    (axes,) = run_figures.score_histogram(run.predictions(), run.record.threshold).axes
    at = axes.lines[-1].get_xdata()[0]
    assert np.isfinite(at) and probability(at) == pytest.approx(run.record.threshold, abs=1e-15)
    assert 0 < probability(at - 1 if run.record.threshold else at + 1) < 1
    (axes,) = run_figures.f1_over_threshold(unlucky.scored["local"]).axes
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert all(np.isfinite(mark.get_xydata()).all() for mark in marks)


@world("one image of a platform", "one image of a generator")
def test_a_slice_of_one_image_has_a_wide_interval(unlucky):
    errors = error_slices(unlucky)
    lone = errors[errors["value"].isin(["Telegram", "C"])]
    assert (lone["images"] == 1).all() and len(lone) == 2
    assert (lone["high"] - lone["low"] > 0.7).all()


# --- the chapters themselves ----------------------------------------------------------------------


CHAPTERS = [name for name in chapter_paths() if name[:2] in ("02", "03", "04", "05", "06")]


@pytest.mark.parametrize("name", ["no false alarm", "two images"])
def test_chapters_come_to_their_end(name, tmp_path, monkeypatch):
    plant(WORLDS[name], tmp_path / "images", monkeypatch)
    given = {"data_root": str(tmp_path / "images"), "settings": SETTINGS}
    texts = {chapter: execute(chapter, given, monkeypatch) for chapter in CHAPTERS}
    for chapter, text in texts.items():
        assert "[nan" not in text and "<b>nan" not in text, chapter
    assert any(ALONE in text for text in texts.values())
