"""Labels and scores as hypothesis draws them: few distinct scores, so that ties are common."""

import numpy as np
from hypothesis import strategies as st

# Rows of label and score; both classes.
labelled_scores = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-4, 4).map(lambda n: n / 2)), min_size=2, max_size=30
).filter(lambda rows: 0 < sum(label for label, _ in rows) < len(rows))


def columns(rows):
    """Return labels and scores as arrays, shape (n,)."""
    label, score = zip(*rows, strict=True)
    return np.array(label), np.array(score, dtype=float)
