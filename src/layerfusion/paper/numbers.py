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


# Table 2, local validation images throughout, by condition and run: rates in [0, 1].
TABLE_2 = {
    ("jpeg", "constrained"): {"f1": 0.7247, "roc_auc": 0.7716},
    ("jpeg", "open"): {"f1": 0.7631, "roc_auc": 0.8385},
    ("launder", "constrained"): {"f1": 0.7162, "roc_auc": 0.7826},
    ("launder", "open"): {"f1": 0.7379, "roc_auc": 0.8212},
    ("small", "constrained"): {"f1": 0.5833},
    ("small", "open"): {"f1": 0.7156},
}


# Real and synthetic images of a split. Section 3 gives the local ones; of the official ones it
# gives the sum, and the counts of section 5 leave no other division (`layerfusion.paper.audit`).
IMAGES = {"local": (5000, 5000), "official": (5000, 5000)}

# Training images of each class by run: section 3.
TRAINING_IMAGES = {"constrained": 75_000, "open": 135_000}


@dataclass(frozen=True)
class OfficialErrors:
    """Errors on the official images: section 5."""

    false_negatives: int
    false_positives: int


OFFICIAL_ERRORS = {
    "constrained": OfficialErrors(false_negatives=1334, false_positives=1789),
    "open": OfficialErrors(false_negatives=1194, false_positives=1840),
}

# What is public of other teams of the task: the best open F1 in the working notes of SSN Chennai,
# and how many of the official images a student team's submissions call synthetic, from and to.
OTHER_TEAM_F1 = 0.6997
STUDENTS_SYNTHETIC = (8686, 9968)

# Section 5 calls them "very small" and gives no number; these are from the author's public
# repository (Joshimello/syn-image-detection, commit 944f175).
THRESHOLDS = {"constrained": 0.0001303297467529, "open": 0.001220795209519565}

# The constrained recipe with two seeds, local validation, from the same repository.
SEEDS = {1337: {"f1": 0.7555, "roc_auc": 0.8114}, 2025: {"f1": 0.7530, "roc_auc": 0.8094}}

# A run of the profile `paper` agrees with the paper where it lies no further from it. Two seeds of
# the author differ by up to .0025; two trainings with a deviation of .0018 each (that over the root
# of 2) then differ by less than .0075 in 997 of 1,000 cases, and libraries and cards add to it.
# Written down before any such run.
TOLERANCE = 0.01


def table_1(split: str, run: str) -> PaperRow:
    """Return the row of Table 1 for a split (local, official) and a run (constrained, open)."""
    return next(row for row in TABLE_1 if (row.split, row.run) == (split, run))


def reported(metric: str, run: str, on: str) -> float | None:
    """Return the paper's value of a metric, or None where it gives none.

    Parameters
    ----------
    metric
        ``accuracy``, ``precision``, ``recall``, ``f1``, ``roc_auc`` or ``average_precision``;
        ``fpr`` of official images, ``threshold`` of local ones.
    run
        ``constrained`` or ``open``.
    on
        ``local`` or ``official`` (Table 1); ``jpeg``, ``launder`` or ``small`` (Table 2).
    """
    if (metric, on) == ("fpr", "official"):
        return OFFICIAL_ERRORS[run].false_positives / IMAGES[on][0]
    if (metric, on) == ("threshold", "local"):
        return THRESHOLDS[run]
    if (on, run) in {(row.split, row.run) for row in TABLE_1}:
        value: float | None = getattr(table_1(on, run), metric, None)
        return value
    return TABLE_2.get((on, run), {}).get(metric)
