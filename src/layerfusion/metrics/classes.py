"""The two classes of images: their labels and the field's words for them."""

import pandas as pd

CLASSES = {0: "real", 1: "synthetic"}
REAL, SYNTHETIC = CLASSES
UNLABELLED = "unlabelled"
CLASS_NAMES = (*CLASSES.values(), UNLABELLED)


def class_names(label: pd.Series) -> pd.Series:
    """Return the class of each label as an ordered category of `CLASS_NAMES`.

    Parameters
    ----------
    label
        0 real, 1 synthetic, <NA> unlabelled.
    """
    names = label.map(CLASSES).astype(object).fillna(UNLABELLED)
    return names.astype(pd.CategoricalDtype(list(CLASS_NAMES), ordered=True))
