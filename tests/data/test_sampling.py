"""The sampler: balanced labels, heavier small images, and nothing but (seed, epoch) decides."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerfusion.data.loading import draw_epoch, sampling_weights, stream_seed


def rows_of(*images):
    return pd.DataFrame(images, columns=["label", "width", "height"])


def test_small_images_weigh_more_within_their_label():
    rows = rows_of((0, 600, 511), (0, 512, 600), (1, 9, 900), (1, 900, 900), (1, 512, 512))
    weights = sampling_weights(rows, small_side=512, small_weight=1.25)
    np.testing.assert_allclose(weights[:2], np.array([1.25, 1]) / 2.25 / 2)
    np.testing.assert_allclose(weights[2:], np.array([1.25, 1, 1]) / 3.25 / 2)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 999), st.integers(1, 999)), min_size=1),
    st.floats(0.1, 10),
)
def test_labels_are_drawn_equally_often(images, small_weight):
    rows = rows_of(*images)
    weights = sampling_weights(rows, small_side=512, small_weight=small_weight)
    assert weights.sum() == pytest.approx(1)
    present = rows["label"].unique()
    for label in present:
        assert weights[rows["label"] == label].sum() == pytest.approx(1 / len(present))


def test_an_epoch_has_as_many_draws_as_images_with_replacement():
    weights = np.full(500, 1 / 500)
    draws = draw_epoch(weights, seed=1, epoch=2)
    assert [draw.position for draw in draws] == list(range(500))
    assert {draw.epoch for draw in draws} == {2}
    assert 250 < len({draw.row for draw in draws}) < 400  # about 1 - 1/e of them


def test_draws_follow_the_weights():
    draws = draw_epoch(np.array([0.7, 0.2, 0.1] + [0.0] * 9997), seed=3, epoch=0)
    shares = np.bincount([draw.row for draw in draws], minlength=3) / len(draws)
    np.testing.assert_allclose(shares[:3], [0.7, 0.2, 0.1], atol=0.02)


def test_seed_and_epoch_decide_the_draws_and_nothing_else():
    weights = np.full(50, 1 / 50)
    first = draw_epoch(weights, seed=1, epoch=0)
    assert draw_epoch(weights, seed=1, epoch=0) == first
    assert [d.row for d in draw_epoch(weights, seed=2, epoch=0)] != [d.row for d in first]
    assert [d.row for d in draw_epoch(weights, seed=1, epoch=1)] != [d.row for d in first]


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=4))
def test_stream_seeds_are_torch_seeds(parts):
    assert 0 <= stream_seed(*parts) < 2**63
    assert stream_seed(*parts) != stream_seed(*parts[:-1], parts[-1] + 1)
