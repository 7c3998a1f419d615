"""From images to the one table of predictions that every reported number is computed from."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from layerfusion.data.loading import EvaluationImages, scoring_batches
from layerfusion.data.manifest import Manifest
from layerfusion.images import ImageError
from layerfusion.metrics import Report, probability, report
from layerfusion.settings import ImageSettings, LoaderSettings

Progress = Callable[[int, int], None]

# What a prediction keeps of the manifest, for slices by size, source and platform.
CARRIED = ["label", "split", "source", "generator", "platform", "width", "height", "format"]


def score_files(
    model: nn.Module,
    files: Sequence[Path],
    images: ImageSettings,
    loader: LoaderSettings,
    *,
    device: torch.device | str = "cpu",
    degradation: str | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score image files.

    Parameters
    ----------
    model
        Maps uint8 images (batch, 3, crop, crop) on `device` to logits (batch,); put into
        evaluation mode here and left in it.
    degradation
        What befalls every image before it is scored, by its name in `layerfusion.degradations`.

    Returns
    -------
    DataFrame
        A row a file, in order: ``logit`` (float64, NaN where unreadable), ``probability``
        (float64), ``width`` and ``height`` (px, upright), ``error`` (reason, or None).
    """
    model.eval()
    logits = np.full(len(files), np.nan)
    sizes = np.zeros((len(files), 2), dtype=np.int32)
    errors: list[str | None] = [None] * len(files)
    done = 0
    for batch in scoring_batches(EvaluationImages(files, images, degradation=degradation), loader):
        sizes[batch.indices] = batch.sizes
        for index, error in batch.errors.items():
            errors[index] = error.reason
        if batch.images is not None:
            with torch.inference_mode():
                scores = model(batch.images.to(device, non_blocking=True))
            logits[batch.readable] = scores.cpu().double().numpy()
        done += len(batch.indices)
        if progress:
            progress(done, len(files))
    return pd.DataFrame(
        {
            "logit": logits,
            "probability": probability(logits),
            "width": sizes[:, 0],
            "height": sizes[:, 1],
            "error": pd.Series(errors, dtype="str"),
        }
    )


def predict(
    model: nn.Module,
    manifest: Manifest,
    images: ImageSettings,
    loader: LoaderSettings,
    *,
    device: torch.device | str = "cpu",
    degradation: str | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score a manifest's images: a row an image, in the manifest's order.

    `model` and `degradation` are as in `score_files`.

    Returns
    -------
    DataFrame
        ``image_id`` (path below the root), ``logit`` and ``probability`` (float64), then what
        slices need: label, split, source, generator, platform, width, height, format.

    Raises
    ------
    ImageError
        If a file cannot be read: metrics over what is left would be those of another data set.
    """
    files = [manifest.root / path for path in manifest.rows["path"]]
    scored = score_files(
        model, files, images, loader, device=device, degradation=degradation, progress=progress
    )
    for file, error in zip(files, scored["error"], strict=True):
        if not pd.isna(error):
            raise ImageError(file, error)
    carried = manifest.rows[CARRIED].reset_index(drop=True)
    ids = manifest.rows["path"].reset_index(drop=True).rename("image_id")
    return pd.concat([ids, scored[["logit", "probability"]], carried], axis=1)


def report_predictions(predictions: pd.DataFrame, threshold: float) -> Report:
    """Return every reported number of a table of predictions, at a threshold on the probability.

    Raises
    ------
    UserError
        If the table is empty, unlabelled or holds one class only.
    """
    return report(
        predictions["label"].to_numpy(dtype=float, na_value=np.nan),
        predictions["logit"].to_numpy(),
        threshold,
    )


def write_predictions(predictions: pd.DataFrame, path: Path) -> None:
    """Write a table of predictions as Parquet; `path` is complete or what it was before."""
    partial = path.with_suffix(".partial")
    predictions.to_parquet(partial, index=False)
    partial.replace(path)
