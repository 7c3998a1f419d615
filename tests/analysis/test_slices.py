"""Errors by slice, against counting them one by one."""

import pytest

from layerfusion.analysis.slices import QUARTERS, error_slices
from layerfusion.metrics.probability import probability


@pytest.fixture(scope="module")
def slices(scored):
    return error_slices(scored)


def test_slices_hold_every_image_of_a_class_and_every_error(scored, slices):
    for (run, name), own in slices.groupby(["run", "class"]):
        table = scored.scored["local"][run].images
        called = probability(table["logit"]) >= scored.runs[run].record.threshold
        of_class = table["label"] == (name == "synthetic")
        wrong = int((of_class & (called != (table["label"] == 1))).sum())
        for _, part in own.groupby("by"):
            assert part["images"].sum() == of_class.sum()
            assert part["errors"].sum() == wrong
    assert slices["share"].to_numpy() == pytest.approx(slices["errors"] / slices["images"])
    assert (slices["low"] <= slices["share"]).all() and (slices["share"] <= slices["high"]).all()
    assert (slices["low"] < slices["high"]).all()


def test_properties_are_those_of_the_files_and_one_value_tells_nothing(slices):
    by = {name: list(own["by"].unique()) for name, own in slices.groupby("class")}
    assert by["real"] == ["all", "platform", "shorter side", "bytes per pixel"]
    assert by["synthetic"] == ["all", "platform", "generator", "shorter side", "bytes per pixel"]
    values = slices[slices["by"] == "bytes per pixel"]
    assert values["value"].unique().tolist() == list(QUARTERS)
    assert values["images"].tolist() == [30] * len(values)
    sizes = slices[(slices["by"] == "shorter side") & (slices["run"] == "open")]
    assert sizes["value"].unique().tolist() == ["< 100 px", "100 to 200 px"]
