"""The page on speed reads results that are committed, whatever they say."""

import pandas as pd
import pytest

from layerfusion.analysis.projection import Work, project
from layerfusion.pages.figures import benchmarks


@pytest.fixture(scope="module")
def preparation():
    return benchmarks.read_result(benchmarks.PREPARATION)


def test_each_row_of_the_preparation_is_shown_with_its_ratio(preparation):
    table = benchmarks.measured_table("preparation", preparation)
    assert len(table) == len(preparation["preparation"])
    assert (table["least"] <= table["times"]).all() and (table["times"] <= table["most"]).all()


def test_tables_of_steps_decoders_and_encoder(preparation):
    assert benchmarks.steps_table(preparation)["ms"].is_monotonic_decreasing
    assert "pillow" in benchmarks.decoders_table(preparation).index
    gpu, cpu = (benchmarks.read_result(name) for name in (benchmarks.GPU, benchmarks.CPU))
    table = benchmarks.encoder_table(gpu, cpu)
    assert len(table) == len(gpu["measured"]) + len(cpu["measured"])
    measured = benchmarks.measured_on(on_gpu=gpu, on_cpu=cpu)["measured"]
    assert gpu["date"] in measured["on, gpu"] and "H100" in measured["on, gpu"]
    assert cpu["date"] in measured["on, cpu"] and "EPYC" in measured["on, cpu"]


def test_scoring_is_shown_beside_the_forward_pass():
    table = benchmarks.measured_table("scoring", benchmarks.read_result(benchmarks.SCORING))
    assert {"score, from files, an image", "forward pass alone, an image"} <= set(table.index)


def test_training_is_shown_beside_the_reference():
    result = benchmarks.read_result(benchmarks.TRAINING)
    table = benchmarks.measured_table("training", result)
    assert list(table.index) == ["forward pass", "training step", "training from files"]
    assert (table["least"] <= table["times"]).all() and (table["times"] <= table["most"]).all()
    assert result["logits_differ_by"] < 1e-4


def test_rates_are_the_measured_ones(preparation):
    gpu = benchmarks.read_result(benchmarks.GPU)
    rates = benchmarks.rates(gpu, preparation)
    table = project([Work("score", 10**6, training=False)], rates, [1])
    assert isinstance(table, pd.DataFrame) and table["hours"].item() > 0
    shown = benchmarks.shown_projection(table)
    assert shown.loc[("score", 1), "images"] == "1,000,000"
    assert float(shown.loc[("score", 1), "hours"]) == pytest.approx(table["hours"].item(), rel=0.05)
    assert rates.store == benchmarks.STORE_IN_GB * 1e9


def test_ratios_are_drawn_as_measured_a_panel_a_table(preparation):
    table = benchmarks.measured_table("preparation", preparation).xs("640 x 480")
    figure = benchmarks.draw_ratios({"small": table, "again": table}, "times")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["small", "again"]
    for axes in figure.axes:
        (marks, *_) = axes.containers[0]
        assert list(marks.get_xdata()) == table["times"].tolist()
        assert [tick.get_text() for tick in axes.get_yticklabels()] == table.index.tolist()
        assert axes.get_xscale() == "log"


def test_the_encoder_is_drawn_for_every_device_and_precision():
    gpu = benchmarks.read_result(benchmarks.GPU)
    table = benchmarks.encoder_table(gpu)
    speed, share = benchmarks.draw_encoder(table).axes
    assert speed.get_yticklabels()[0].get_text() == "NVIDIA H100 80GB HBM3, QuickGELU, fp32"
    assert list(speed.lines[0].get_xdata()) == table["training", "images/s"].tolist()
    assert list(share.lines[1].get_xdata()) == table["scoring", "of the matmul rate"].tolist()


def test_the_papers_runs_see_each_image_once_an_epoch():
    work = {piece.name: piece.images for piece in benchmarks.papers_work(3)}
    assert work["constrained run, 3 epochs"] == 3 * (75_000 + 75_000)
    assert work["open run, 3 epochs"] == 3 * (75_000 + 60_000 + 75_000 + 60_000)
