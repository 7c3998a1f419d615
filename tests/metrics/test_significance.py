"""What several tests at once are worth: Holm's correction against its definitions."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerfusion.metrics.significance import holm


def test_holm_by_the_worked_example():
    # .005 x 4, .01 x 3, .03 x 2, and .04 not below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, np.nan, 0.9]) == pytest.approx([0.02, np.nan, 0.9], nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_is_the_closed_test_of_bonferroni(p):
    """A hypothesis falls if all sets with it fall, each by its smallest p times its size."""
    members = range(len(p))
    sets = [s for size in range(1, len(p) + 1) for s in combinations(members, size)]
    closed = [max(min(1, len(s) * min(p[i] for i in s)) for s in sets if one in s)
              for one in members]  # fmt: skip
    assert holm(p) == pytest.approx(closed)


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.1, 1.2])
