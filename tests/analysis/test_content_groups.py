"""Groups of like images, of embeddings whose groups are known."""

import numpy as np
import pytest

from layerfusion.analysis.content import content_groups


@pytest.fixture(scope="module")
def embedding():
    """Three directions with 30, 20 and 10 images about them, of any length."""
    rng = np.random.default_rng(3)
    kind = rng.permutation(np.repeat([0, 1, 2], [10, 30, 20]))
    rows = np.eye(3, 12)[kind] + rng.normal(0, 0.05, (60, 12))
    return kind, rows * rng.uniform(1, 50, (60, 1))


def test_like_images_are_together_and_the_largest_group_is_the_first(embedding):
    kind, rows = embedding
    found = content_groups(rows, 3)
    assert np.array_equal(found.group, np.array([3, 1, 2])[kind])
    assert np.bincount(found.group)[1:].tolist() == [30, 20, 10]
    assert (found.distance < 0.5).all() and found.distance.dtype == np.float32
    assert content_groups(rows, 3).equals(found)


def test_fewer_images_than_groups_have_one_each():
    found = content_groups(np.eye(3), 8)
    assert sorted(found.group) == [1, 2, 3] and found.distance.to_numpy() == pytest.approx(
        np.zeros(3)
    )


@pytest.mark.parametrize(("rows", "groups"), [(np.empty((0, 4)), 3), (np.eye(4), 0)])
def test_nothing_to_group_is_refused(rows, groups):
    with pytest.raises(ValueError, match="an image and a group at least"):
        content_groups(rows, groups)
