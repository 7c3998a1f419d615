"""What bounds larger work, on rates small enough to follow by hand."""

import pytest

from layerfusion.analysis.projection import Rates, Work, project

RATES = Rates(
    training=10, scoring=100, training_images=4, scoring_images=30, cores=4, store=5000,
    image_bytes=10,
)  # fmt: skip
TRAINING, SCORING = Work("train", 36_000, training=True), Work("score", 3_600_000, training=False)


def test_the_slowest_part_bounds():
    table = project([TRAINING, SCORING], RATES, [1, 8]).set_index(["work", "devices"])
    assert table.loc[("train", 1), "hours"] == pytest.approx(1)  # 10 a second, not 16
    assert table.loc[("train", 1), "bound by"] == "devices"
    assert table.loc[("score", 1), "bound by"] == "devices"
    assert table.loc[("score", 8), "bound by"] == "store"  # 500 a second, not 800
    assert table.loc[("score", 8), "hours"] == pytest.approx(2)
    assert table.loc[("score", 8), "device hours"] == pytest.approx(16)


def test_cores_bound_where_they_are_few():
    few = Rates(**{**vars(RATES), "cores": 1})
    assert set(project([TRAINING, SCORING], few, [1, 4])["bound by"]) == {"cores"}


def test_at_worst_training_gains_nothing_from_more_devices():
    table = project([TRAINING, SCORING], RATES, [1, 8]).set_index(["work", "devices"])
    assert table.loc[("train", 8), "hours"] < table.loc[("train", 8), "at worst"]
    assert table.loc[("train", 8), "at worst"] == pytest.approx(table.loc[("train", 1), "hours"])
    assert (table.loc["score", "at worst"] == table.loc["score", "hours"]).all()
