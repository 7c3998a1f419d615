"""The paper's own numbers, once, each with its place in the working notes.

Nothing here was computed by this project; pages that show these values say that they are the
paper's.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    """A row of Table 1: rates in [0, 1]."""

    split: str
    run: str
    accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    average_precision: float


TABLE_1 = (
    PaperRow("local", "constrained", 0.7318, 0.6941, 0.8288, 0.7555, 0.8114, 0.7963),
    PaperRow("local", "open", 0.7640, 0.7087, 0.8964, 0.7916, 0.8643, 0.8541),
    PaperRow("official", "constrained", 0.6877, 0.6720, 0.7332, 0.7013, 0.7589, 0.7665),
    PaperRow("official", "open", 0.6966, 0.6741, 0.7612, 0.7150, 0.7686, 0.7607),
)


def table_1(split: str, run: str) -> PaperRow:
    """Return the row of Table 1 for a split (local, official) and a run (constrained, open)."""
    return next(row for row in TABLE_1 if (row.split, row.run) == (split, run))
