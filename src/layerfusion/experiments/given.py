"""A finished detector, of whatever kind, scores images: each is decoded once for all conditions."""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from layerfusion.arithmetic import deterministic
from layerfusion.data.tables import read_parquet
from layerfusion.errors import UserError
from layerfusion.experiments.tables import write_table
from layerfusion.experiments.variant import Given
from layerfusion.images.degradations import degradation, evaluated
from layerfusion.images.reading import read_image, read_pixels
from layerfusion.images.transforms import EvaluationTransform
from layerfusion.progress import Reporter
from layerfusion.runs.condition import condition_named
from layerfusion.settings import ImageSettings

_EVERY = 10  # images between two savings


def score_given(
    given: Given,
    root: Path,
    paths: Sequence[str],
    conditions: Sequence[str],
    *,
    place: Path | None = None,
    device: torch.device | str = "cpu",
    reporter: Reporter | None = None,
) -> pd.DataFrame:
    """Score images under conditions with a detector of a user's own.

    Parameters
    ----------
    given
        A module's crops are as its ``image_settings`` say, or 224 px of at least 256. A function
        gets files: the images themselves, or copies of them under a condition, as PNG.
    root, paths
        Where the images lie: paths below a folder.
    conditions
        Names as `layerfusion.runs.condition.condition_named` takes them, of validation images.
    place
        A Parquet file that keeps what is scored as it comes; interrupted, scoring resumes there.
        None keeps nothing.

    Returns
    -------
    DataFrame
        ``condition``, ``image_id`` and ``logit`` (float32): a row an image and condition, images in
        the order given.

    Raises
    ------
    ImageError
        If an image cannot be read.
    UserError
        If the detector does not return one number an image.
    """
    reporter = reporter or Reporter()
    if isinstance(given, nn.Module):
        given = given.to(device).eval()
    done = read_parquet(place) if place and place.is_file() else pd.DataFrame({"image_id": []})
    found, due = [done], [path for path in paths if path not in set(done["image_id"])]
    with reporter.bar("scoring under conditions", len(paths)) as bar, deterministic():
        for number, path in enumerate(due, start=1):
            logits = _logits(given, root / path, conditions, device)
            row = {"condition": list(conditions), "image_id": path, "logit": logits}
            found.append(pd.DataFrame(row))
            if place and (number % _EVERY == 0 or number == len(due)):
                place.parent.mkdir(parents=True, exist_ok=True)
                write_table(pd.concat(found, ignore_index=True), place)
            bar(len(paths) - len(due) + number, len(paths))
    together = pd.concat(found, ignore_index=True)
    order = pd.Index(paths).get_indexer(pd.Index(together["image_id"]))
    return together.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def identity_of(given: Given) -> str | None:
    """Return the sha256 of a module's tensors; None of a function, which nothing can identify."""
    if not isinstance(given, nn.Module):
        return None
    found = hashlib.sha256()
    for name, tensor in given.state_dict().items():
        found.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _logits(
    given: Given, path: Path, conditions: Sequence[str], device: torch.device | str
) -> NDArray[np.float32]:
    names = [condition_named(name).degradation for name in conditions]
    if isinstance(given, nn.Module):
        settings = getattr(given, "image_settings", None) or ImageSettings()
        pixels, transform = read_pixels(path), EvaluationTransform(settings)
        views = [
            evaluated(transform, pixels, None if name is None else degradation(name))
            for name in names
        ]
        with torch.inference_mode():
            scores = given(torch.stack(views).to(device)).cpu().numpy()
    else:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            files = [path if name is None else _degraded(path, name, folder) for name in names]
            scores = given(files)
    logits = np.asarray(scores, dtype=np.float32)
    if logits.shape != (len(conditions),):
        raise UserError(
            f"a detector must return one number an image; for {len(conditions)} images it returned "
            f"an array of shape {logits.shape}"
        )
    return logits


def _degraded(path: Path, name: str, folder: Path) -> Path:
    """Return the file of a degraded copy of an image."""
    copy = folder / f"{path.stem}-{name}.png"
    degradation(name)(read_image(path)).save(copy)
    return copy
