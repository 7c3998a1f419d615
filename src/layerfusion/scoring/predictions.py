"""From images to the one table of predictions that every reported number is computed from."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from layerfusion.data.loading import EvaluationImages, scoring_batches
from layerfusion.data.manifest import Manifest, Progress
from layerfusion.files import in_place_of
from layerfusion.images.reading import ImageError
from layerfusion.parallel.processes import Processes
from layerfusion.settings import ImageSettings, LoaderSettings

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
    processes: Processes | None = None,
) -> pd.DataFrame:
    """Score image files.

    Several processes score whole batches in turn, so that every image is in the same batch, and
    gets the same bits, however many there are. All of them return the whole table.

    Parameters
    ----------
    model
        Maps uint8 images (batch, 3, crop, crop) on `device` to logits (batch,), or (batch, k) of k
        detectors at once; put into evaluation mode here and left in it.
    degradation
        Corruption of every image before it is scored, by its name in
        `layerfusion.images.degradations`.
    processes
        The processes that share the work; None for this one alone.

    Returns
    -------
    DataFrame
        A row a file, in order: ``logit`` (float64, NaN where unreadable), of several detectors
        ``logit_0`` and so on; ``error`` (reason, or None).

    Raises
    ------
    UserError
        If the processes were given different files, or `progress` raises one.
    """
    processes = processes or Processes()
    of_batch, total = loader.evaluation_batch_size, len(files)
    share = [i for i in range(total) if i // of_batch % processes.size == processes.rank]

    def show(done: int) -> None:
        if progress:
            progress(min(done * processes.size, total), total)

    processes.check_same([str(file) for file in files], "images to score")
    with processes.together(patient=True):
        mine = EvaluationImages([files[i] for i in share], images, degradation=degradation)
        scored = _score(model, mine, loader, device, show)
    scored.index = pd.Index(share, dtype="int64")
    shares = processes.gather(scored)
    # One without an image does not know how many detectors there are.
    return pd.concat([own for own in shares if len(own)] or shares).sort_index(ignore_index=True)


def _score(
    model: nn.Module,
    dataset: EvaluationImages,
    loader: LoaderSettings,
    device: torch.device | str,
    show: Callable[[int], None],
) -> pd.DataFrame:
    """Score the files of a dataset in this process, as `score_files` does."""
    model.eval()
    count = len(dataset)
    logits: NDArray[np.float64] = np.full(count, np.nan)
    errors: list[str | None] = [None] * count
    done = 0
    for batch in scoring_batches(dataset, loader):
        for index, error in batch.errors.items():
            errors[index] = error.reason
        if batch.images is not None:
            with torch.inference_mode():
                scores = model(batch.images.to(device, non_blocking=True)).cpu().double().numpy()
            if scores.ndim != logits.ndim:  # the first of several detectors
                logits = np.full((count, scores.shape[1]), np.nan)
            logits[batch.readable] = scores
        done += len(batch.readable) + len(batch.errors)
        show(done)
    named = (
        {"logit": logits}
        if logits.ndim == 1
        else {f"logit_{n}": own for n, own in enumerate(logits.T)}
    )
    return pd.DataFrame(named | {"error": pd.Series(errors, dtype="str")})


def predict_each(
    model: nn.Module,
    manifest: Manifest,
    images: ImageSettings,
    loader: LoaderSettings,
    *,
    device: torch.device | str = "cpu",
    degradation: str | None = None,
    progress: Progress | None = None,
    processes: Processes | None = None,
) -> list[pd.DataFrame]:
    """Score a manifest's images, with several detectors at once (`model.shared_encoder`).

    Parameters
    ----------
    model, degradation, processes
        As in `score_files`.

    Returns
    -------
    list
        A table a detector, a row an image in the manifest's order: ``image_id`` (path below the
        root), ``logit`` (float64), then what slices need: label, split, source, generator,
        platform, width, height, format.

    Raises
    ------
    ImageError
        If a file cannot be read: metrics over what is left would be those of another data set.
    """
    files = manifest.files
    processes = processes or Processes()
    scored = score_files(
        model,
        files,
        images,
        loader,
        device=device,
        degradation=degradation,
        progress=progress,
        processes=processes,
    )
    with processes.together():
        for file, error in zip(files, scored["error"], strict=True):
            if not pd.isna(error):
                raise ImageError(file, error)
    return [predictions_of(manifest, scored[name]) for name in scored if name != "error"]


def predictions_of(manifest: Manifest, logits: NDArray[np.float64] | pd.Series) -> pd.DataFrame:
    """Return the table of `predict_each` for logits that are known, shape (images,), in order."""
    rows = manifest.rows.reset_index(drop=True)
    return pd.concat(
        [rows["path"].rename("image_id"), pd.Series(logits, name="logit"), rows[CARRIED]], axis=1
    )


def write_predictions(predictions: pd.DataFrame, path: Path) -> None:
    """Write a table of predictions as Parquet; `path` is complete or what it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with in_place_of(path, shared=True) as partial:
        predictions.to_parquet(partial, index=False)
