"""Shortcut baselines: how far a detector gets that never looks at what an image shows.

There are two kinds. One sees the manifest alone (size, bytes, format: the biases of Grommelt et
al. 2025), the other how much detail of each fineness an image has, and not where. A detector has
learnt more than these only as far as it is better than they are on the same images.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.signal.windows import hann
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

from layerfusion.analysis.probes import linear_probe
from layerfusion.data.loading import evaluation_crops
from layerfusion.data.manifest import Manifest, Progress
from layerfusion.data.metadata import METADATA, metadata_features
from layerfusion.errors import UserError
from layerfusion.metrics.rates import evaluate
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.metrics.uncertainty import Interval
from layerfusion.settings import ImageSettings, LoaderSettings

# The baselines of metadata and the columns that each sees: where training and validation images are
# given, and in words for a user's own images.
COLUMNS = {"metadata": METADATA} | {f"{name} alone": [name] for name in METADATA}
OWN_COLUMNS = {
    "the file format": ["format"],
    "the size in pixels": ["width", "height", "aspect", "megapixels"],
    "the size in bytes": ["bytes", "bytes_per_pixel"],
    "format and sizes": METADATA,
}
SPECTRUM, OWN_SPECTRUM = "radial spectrum", "the amount of fine detail"

FOLDS = 5
REPEATS = 5  # divisions into folds
DIGITS = 9  # of a score: its last bits would rank images that nothing separates

# Red, green and blue to luminance: ITU-R BT.601, as JPEG has it.
LUMINANCE = np.array([0.299, 0.587, 0.114])

# Variance that rounding to whole grey levels adds; a flat image has no logarithm without it.
ROUNDING_VARIANCE = 1 / 12


def report_shortcut(name: str, features: str, label: ArrayLike, score: ArrayLike) -> dict[str, Any]:
    """Return how well a detector separates the classes: also ours, for a row beside the others.

    Parameters
    ----------
    name, features
        What the detector is called, and what it looks at.
    label
        Shape (n,): 0 real, 1 synthetic.
    score
        Shape (n,), higher for synthetic: a logit rather than a probability, which may tie.

    Returns
    -------
    dict
        ``name``, ``features``; ``roc_auc`` with ``roc_auc_low`` and ``roc_auc_high``, the 95 %
        interval over other images; ``average_precision``; and ``f1`` at the threshold that
        maximises it on these very images, as for the paper's detector.

    Raises
    ------
    UserError
        As `layerfusion.metrics.rates.evaluate`.
    """
    found = evaluate(label, score, best_f1_threshold(label, score))
    auc = Interval(*found.loc["roc_auc", ["estimate", "low", "high"]])
    others = {metric: found.loc[metric, "estimate"] for metric in ("average_precision", "f1")}
    return {"name": name, "features": features} | auc.columns("roc_auc") | others


def shortcut_baselines(
    train: Manifest,
    images: ImageSettings,
    loader: LoaderSettings,
    *,
    validation: Manifest | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Fit every shortcut baseline and score it on images that it was not fitted on.

    Parameters
    ----------
    train
        What a run trains on (`Experiment.training`). Unlabelled images are left out.
    validation
        The images that are scored (`Experiment.validation`). None: those of `train`, each by what
        was learnt on the others, for a small set that is not divided: five or more of each class.
        Its baselines then have the names and columns of `OWN_COLUMNS`.

    Returns
    -------
    DataFrame
        A row a baseline, with the columns of `report_shortcut`: those of metadata, then the radial
        spectrum. Every crop is read once.

    Raises
    ------
    UserError
        If real or synthetic images are missing among either.
    ImageError
        If a file cannot be read.
    """
    own = validation is None
    parts = [_labelled(train, "training")]
    if validation is not None:
        parts.append(_labelled(validation, "validation"))
    labels = [part.rows["label"].to_numpy(dtype=np.int64) for part in parts]
    tables = [metadata_features(part.rows) for part in parts]
    spectra = _spectra([file for part in parts for file in part.files], images, loader, progress)
    probe = linear_probe(spectra.shape[1])
    probe.set_params(logisticregression__class_weight="balanced" if own else None)
    baselines: list[tuple[str, str, ClassifierMixin, Sequence[Any]]] = [
        (name, ", ".join(columns), _small_tree() if own else _boosted_trees(),
         [table[columns] for table in tables])
        for name, columns in (OWN_COLUMNS if own else COLUMNS).items()
    ]  # fmt: skip
    radii = f"log power at {spectra.shape[1]} radii"
    of_parts = np.split(spectra, np.cumsum([len(part.rows) for part in parts])[:-1])
    baselines.append((OWN_SPECTRUM if own else SPECTRUM, radii, probe, of_parts))
    return pd.DataFrame(
        report_shortcut(name, features, labels[-1], _held_out_scores(model, seen, labels))
        for name, features, model, seen in baselines
    )


def metadata_scores(train: Manifest, scored: Manifest) -> "pd.Series[float]":
    """Return the scores of the baseline that sees size, bytes and format alone, by path.

    Parameters
    ----------
    train
        What it is fitted on, as in `shortcut_baselines`.
    scored
        Images of any split; their labels are not read.

    Raises
    ------
    UserError
        If real or synthetic training images are missing.
    """
    fitted = _labelled(train, "training")
    model = _boosted_trees().fit(metadata_features(fitted.rows), fitted.rows["label"].astype(int))
    scores = model.decision_function(metadata_features(scored.rows))
    return pd.Series(scores, index=scored.rows["path"], dtype=np.float64)


def radial_spectrum(luminance: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the log power spectrum of square images, averaged over all directions.

    The power of an image Y of s x s pixels at the frequency (u, v), in cycles per image, is

        P(u, v) = |sum_xy w(x, y) (Y(x, y) - mean Y) exp(-2 pi i (u x + v y) / s)|^2 / sum_xy w^2

    with the Hann window w, without which the jump between opposite borders would cover the faint
    high frequencies. White noise of variance v has P = v. The spectrum at radius k is

        S(k) = log10(1/12 + mean of P(u, v) where k - 1/2 <= sqrt(u^2 + v^2) < k + 1/2)

    The radial profile as evidence of up-sampling is from Durall, Keuper and Keuper, "Watch your
    Up-Convolution" (CVPR 2020, arXiv:2003.01826); they use neither window nor rounding variance.

    Parameters
    ----------
    luminance
        Shape (n, s, s), in grey levels, 0 to 255.

    Returns
    -------
    ndarray
        S, shape (n, s // 2), float64: the radii 1, ..., s // 2, the last of them Nyquist's.
    """
    side = luminance.shape[-1]
    window = np.outer(hann(side, sym=False), hann(side, sym=False))
    varying = luminance - luminance.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.fft2(window * varying)) ** 2 / (window**2).sum()
    frequency = np.fft.fftfreq(side, 1 / side)
    radius = np.floor(np.hypot(frequency[:, None], frequency) + 0.5)
    rings = np.arange(1, side // 2 + 1)
    profile = np.stack([ndimage.mean(image, radius, rings) for image in power])
    return np.log10(ROUNDING_VARIANCE + profile)


def radial_spectra(
    manifest: Manifest, images: ImageSettings, loader: LoaderSettings
) -> NDArray[np.float64]:
    """Return the radial spectrum of the luminance of every image's evaluation crop.

    Returns
    -------
    ndarray
        Shape (images, crop // 2), float64, in the manifest's order: see `radial_spectrum`.

    Raises
    ------
    UserError
        If there are no images.
    ImageError
        If a file cannot be read.
    """
    return _spectra(manifest.files, images, loader, None)


def _boosted_trees() -> ClassifierMixin:
    """Return boosted trees, which find what gives a set away among some hundred images and more.

    That is exact sizes (a generator's 512 px) and ranges, in combination and without any scaling,
    where a line through the values would miss them; few leaves and small steps suit any number.
    """
    return HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_leaf_nodes=8,
        early_stopping=False,
        categorical_features="from_dtype",
        random_state=0,
    )


def _small_tree() -> ClassifierMixin:
    """Return a small tree, which finds sizes and ranges among few images.

    Classes weigh the same: else folds differ by how many of each they hold, and where nothing can
    be learnt the images of different folds would be ranked by that alone.
    """
    tree = DecisionTreeClassifier(
        max_leaf_nodes=8, min_samples_leaf=5, class_weight="balanced", random_state=0
    )
    return make_pipeline(FunctionTransformer(pd.get_dummies, kw_args={"dtype": float}), tree)


def _held_out_scores(
    model: ClassifierMixin,
    features: Sequence[pd.DataFrame | NDArray[np.float64]],
    labels: Sequence[NDArray[np.int64]],
) -> NDArray[np.float64]:
    """Return the scores of the last part's images by a model that has not seen them, shape (n,).

    Of two parts, the model is fitted on the first. Of one, each image's score is the mean over
    several divisions into folds: how lucky one division is says nothing of the images.
    """
    if len(features) == 2:
        fitted = model.fit(features[0], labels[0])
        return np.asarray(fitted.decision_function(features[1]), dtype=np.float64)
    total = np.zeros(len(labels[0]))
    for seed in range(REPEATS):
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        both = cross_val_predict(model, features[0], labels[0], cv=folds, method="predict_proba")
        total += both[:, 1]
    return np.round(total / REPEATS, DIGITS)


def _spectra(
    files: Sequence[Path], images: ImageSettings, loader: LoaderSettings, progress: Progress | None
) -> NDArray[np.float64]:
    """Return the radial spectrum of each file's evaluation crop, (files, crop // 2)."""
    crops = evaluation_crops(files, images, loader, progress=progress)
    return np.concatenate(
        [radial_spectrum(np.tensordot(LUMINANCE, batch.numpy(), axes=(0, 1))) for batch in crops]
    )


def _labelled(manifest: Manifest, what: str) -> Manifest:
    """Return a manifest's labelled images, or raise the UserError that a class is missing."""
    rows = manifest.rows[manifest.rows["label"].notna()].reset_index(drop=True)
    if rows["label"].nunique() < 2:
        raise UserError(
            f"the shortcut audit needs real and synthetic {what} images, and one of them is missing"
        )
    return Manifest(manifest.root, rows, manifest.skipped)
