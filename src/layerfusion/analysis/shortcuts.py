"""The shortcut audit: how far a detector gets that never looks at what an image shows.

Two kinds are tried. One sees the manifest alone (size, bytes, format: the biases of Grommelt et
al. 2025), the other how much detail of each fineness an image has, and not where. A detector has
learnt more than these only as far as it is better than they are on the same images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.signal.windows import hann
from sklearn.ensemble import HistGradientBoostingClassifier

from layerfusion.analysis.probes import linear_probe
from layerfusion.data.loading import evaluation_crops
from layerfusion.data.manifest import Manifest, Progress
from layerfusion.errors import UserError
from layerfusion.metrics.rates import ranking_metrics, threshold_metrics
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.metrics.uncertainty import image_interval, resample_images, resampled_roc_auc
from layerfusion.settings import ImageSettings, LoaderSettings

METADATA = ["width", "height", "aspect", "megapixels", "bytes", "bytes_per_pixel", "format"]

# Red, green and blue to luminance: ITU-R BT.601, as JPEG has it.
LUMINANCE = np.array([0.299, 0.587, 0.114])

# Variance that rounding to whole grey levels adds; a flat image has no logarithm without it.
ROUNDING_VARIANCE = 1 / 12


@dataclass(frozen=True)
class ShortcutReport:
    """How well one detector tells real from synthetic, and by what.

    `roc_auc_low` and `roc_auc_high` are the 95 % interval over other images; `f1` is at the
    threshold that maximises it on these very images, as for the paper's detector.
    """

    name: str
    features: str
    roc_auc: float
    roc_auc_low: float
    roc_auc_high: float
    average_precision: float
    f1: float


def report_shortcut(name: str, features: str, label: ArrayLike, score: ArrayLike) -> ShortcutReport:
    """Return the report of a detector from its scores: also of ours, for a row beside the others.

    Parameters
    ----------
    name, features
        What the detector is called, and what it looks at.
    label
        Shape (n,): 0 real, 1 synthetic.
    score
        Shape (n,), higher for synthetic: a logit rather than a probability, which may tie.

    Raises
    ------
    UserError
        As `layerfusion.metrics.rates.ranking_metrics`.
    """
    ranking = ranking_metrics(label, score)
    roc_auc = image_interval(resampled_roc_auc(label, score, resample_images(label)))
    threshold = best_f1_threshold(label, score)
    return ShortcutReport(
        name=name,
        features=features,
        roc_auc=ranking.roc_auc,
        roc_auc_low=roc_auc.low,
        roc_auc_high=roc_auc.high,
        average_precision=ranking.average_precision,
        f1=threshold_metrics(label, np.asarray(score) >= threshold, threshold).f1,
    )


def audit(
    train: Manifest,
    validation: Manifest,
    images: ImageSettings,
    loader: LoaderSettings,
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Fit every shortcut detector on the training images and score it on the validation images.

    Parameters
    ----------
    train, validation
        What a run trains on and is validated on (`Experiment.training`, `Experiment.validation`);
        unlabelled images are left out. Every crop is read once.

    Returns
    -------
    DataFrame
        A row a detector, with the columns of `ShortcutReport`: all metadata, each of them alone,
        and the radial spectrum.

    Raises
    ------
    UserError
        If real or synthetic images are missing among either.
    ImageError
        If a file cannot be read.
    """
    train, validation = _labelled(train, "training"), _labelled(validation, "validation")
    reports = [
        *_audit_metadata(train, validation),
        _audit_spectrum(train, validation, images, loader, progress),
    ]
    return pd.DataFrame([asdict(report) for report in reports])


def metadata_features(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what a manifest's rows say of each file, in the columns of `METADATA`.

    All are float64 (width and height in px, aspect as width / height, bytes per pixel of the
    compressed file), but the format, which is a category.
    """
    width, height, size = (rows[name].astype(float) for name in ("width", "height", "bytes"))
    table = pd.DataFrame(
        {
            "width": width,
            "height": height,
            "aspect": width / height,
            "megapixels": width * height / 1e6,
            "bytes": size,
            "bytes_per_pixel": size / (width * height),
            "format": rows["format"].astype("category"),
        }
    )
    return table[METADATA]


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
    manifest: Manifest,
    images: ImageSettings,
    loader: LoaderSettings,
    *,
    progress: Progress | None = None,
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
    files = [manifest.root / path for path in manifest.rows["path"]]
    return _spectra(files, images, loader, progress)


def _audit_metadata(train: Manifest, validation: Manifest) -> Iterator[ShortcutReport]:
    """Report on all metadata together, then on each alone."""
    known, asked = metadata_features(train.rows), metadata_features(validation.rows)
    named = {"metadata": METADATA} | {f"{name} alone": [name] for name in METADATA}
    for title, names in named.items():
        # Boosted trees find what gives a set away: exact sizes (a generator's 512 px) and ranges,
        # in combination and without any scaling, where a line through the values would miss them.
        # Few leaves and small steps suit some hundred images as well as many.
        trees = HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_leaf_nodes=8,
            early_stopping=False,
            categorical_features="from_dtype",
            random_state=0,
        )
        trees.fit(known[names], _labels(train))
        score = trees.decision_function(asked[names])
        yield report_shortcut(title, ", ".join(names), _labels(validation), score)


def _audit_spectrum(
    train: Manifest,
    validation: Manifest,
    images: ImageSettings,
    loader: LoaderSettings,
    progress: Progress | None,
) -> ShortcutReport:
    files = [part.root / path for part in (train, validation) for path in part.rows["path"]]
    spectra = _spectra(files, images, loader, progress)
    known, asked = np.split(spectra, [len(train.rows)])
    probe = linear_probe(spectra.shape[1]).fit(known, _labels(train))
    return report_shortcut(
        "radial spectrum",
        f"log power at {spectra.shape[1]} radii",
        _labels(validation),
        probe.decision_function(asked),
    )


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


def _labels(manifest: Manifest) -> NDArray[np.int64]:
    return manifest.rows["label"].to_numpy(dtype=np.int64)
