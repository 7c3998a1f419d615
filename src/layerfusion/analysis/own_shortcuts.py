"""The shortcut audit of one small set: each image is scored by what was learnt on the others.

As `layerfusion.analysis.shortcuts`, which learns on training images and asks on validation images;
somebody's own labelled images are neither, and few.
"""

from dataclasses import asdict

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from layerfusion.analysis.probes import linear_probe
from layerfusion.analysis.shortcuts import (
    METADATA,
    metadata_features,
    radial_spectra,
    report_shortcut,
)
from layerfusion.data.manifest import Manifest, Progress
from layerfusion.settings import ImageSettings, LoaderSettings

FOLDS = 5
REPEATS = 5  # divisions into folds
DIGITS = 9  # of a score: its last bits would rank images that nothing tells apart

# What is looked at, by what a person calls it.
LOOKED_AT = {
    "the file format": ["format"],
    "the size in pixels": ["width", "height", "aspect", "megapixels"],
    "the size in bytes": ["bytes", "bytes_per_pixel"],
    "format and sizes": METADATA,
}
SPECTRUM = "the amount of fine detail"


def held_out_shortcuts(
    manifest: Manifest,
    images: ImageSettings,
    loader: LoaderSettings,
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return how well detectors tell the classes apart that never look at what an image shows.

    Parameters
    ----------
    manifest
        Labelled images, five or more of each class, all readable.

    Returns
    -------
    DataFrame
        The columns of `layerfusion.analysis.shortcuts.ShortcutReport`, the largest ROC AUC first.

    Raises
    ------
    ImageError
        If a file cannot be read.
    """
    labels = manifest.rows["label"].to_numpy(dtype=np.int64)
    known = metadata_features(manifest.rows)
    reports = []
    for name, columns in LOOKED_AT.items():
        numbers = pd.get_dummies(known[columns], dtype=float)
        score = _held_out(_tree(), numbers, labels)
        reports.append(report_shortcut(name, ", ".join(columns), labels, score))
    spectra = radial_spectra(manifest, images, loader, progress=progress)
    probe = linear_probe(spectra.shape[1])
    probe.set_params(logisticregression__class_weight="balanced")
    score = _held_out(probe, spectra, labels)
    reports.append(
        report_shortcut(SPECTRUM, f"log power at {spectra.shape[1]} radii", labels, score)
    )
    table = pd.DataFrame([asdict(report) for report in reports])
    return table.sort_values("roc_auc", ascending=False, kind="stable", ignore_index=True)


def _tree() -> ClassifierMixin:
    """Return a small tree, which finds sizes and ranges among few images.

    Boosted ones, as `layerfusion.analysis.shortcuts` has them, want more. Classes weigh the same:
    else folds differ by how many of each they hold, and where nothing can be learnt the images of
    different folds would be ranked by that alone.
    """
    return DecisionTreeClassifier(
        max_leaf_nodes=8, min_samples_leaf=5, class_weight="balanced", random_state=0
    )


def _held_out(
    model: ClassifierMixin, features: pd.DataFrame | NDArray[np.float64], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return each image's score, shape (n,): the mean over several divisions into folds.

    How lucky one division is says nothing of the images.
    """
    total = np.zeros(len(labels))
    for seed in range(REPEATS):
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        total += cross_val_predict(model, features, labels, cv=folds, method="predict_proba")[:, 1]
    return np.round(total / REPEATS, DIGITS)
