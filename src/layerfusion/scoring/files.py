"""Scoring anybody's images with a calibrated detector: paths in, one table out."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import torch

from layerfusion.data.loading import end_if_imported_by_worker
from layerfusion.data.manifest import Progress
from layerfusion.data.tables import csv_text
from layerfusion.errors import UserError
from layerfusion.files import named_by_user
from layerfusion.metrics.probability import decide, published_probability
from layerfusion.model.detector import Detector
from layerfusion.parallel.processes import Processes
from layerfusion.scoring.detectors import detector_folder
from layerfusion.scoring.inputs import find_images
from layerfusion.scoring.predictions import score_files
from layerfusion.settings import LoaderSettings

NO_NUMBER = "the detector's score is not a number"


def score(
    paths: str | Path | Iterable[str | Path],
    detector: Detector | str | Path | None = None,
    *,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Score image files, or all images below folders: what ``layerfusion score`` does.

    Parameters
    ----------
    paths
        Files and folders, one or several.
    detector
        A calibrated detector, or the folder of one, such as ``detector`` of a finished run. None
        is the package's detector of photographs, which needs CLIP's weights (``layerfusion weights
        get clip-vit-b-16-int8``); ``"demo"`` is its toy, which needs nothing, and whose scores mean
        nothing for real photographs.
    device
        Where the detector computes; it is left there.

    Returns
    -------
    DataFrame
        As `score_images`.

    Raises
    ------
    UserError
        If the detector's weights are not on this machine, a path does not exist, no image is found,
        or the detector cannot be read or was not calibrated.
    """
    end_if_imported_by_worker()
    if not isinstance(detector, Detector):
        detector = Detector.load(detector_folder(detector))
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if "" in given:
        raise UserError("a path is empty; name a file or a folder, such as '.'")
    images, _ = find_images([Path(path) for path in given])
    return score_images(detector, images, device=device)


def score_images(
    detector: Detector,
    images: dict[str, Path],
    *,
    loader: LoaderSettings | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    processes: Processes | None = None,
) -> pd.DataFrame:
    """Score image files with a calibrated detector; an unreadable one is a row with its reason.

    Parameters
    ----------
    images
        Files by image id.
    processes
        As in `layerfusion.scoring.predictions.score_files`.

    Returns
    -------
    DataFrame
        A row an image, in the given order: ``image_id``; ``logit`` (float64, NaN where there is no
        score); ``probability`` (float64 in [0, 1], as
        `layerfusion.metrics.probability.published_probability`); ``predicted`` (nullable integer,
        1, synthetic, where ``probability >= threshold``); ``threshold``; ``error`` (why there is no
        score, or None); and, if the detector has a notice, ``warning``.

    Raises
    ------
    UserError
        If the detector has no threshold.
    """
    threshold = threshold_of(detector)
    scored = score_files(
        detector.to(device),
        list(images.values()),
        detector.image_settings,
        loader or LoaderSettings(),
        device=device,
        progress=progress,
        processes=processes,
    )
    logit = scored["logit"]
    error = scored["error"].mask(logit.isna() & scored["error"].isna(), NO_NUMBER)
    predicted = pd.Series(decide(logit, threshold), dtype="Int8")
    table = pd.DataFrame(
        {
            "image_id": list(images),
            "logit": logit,
            "probability": published_probability(logit, threshold),
            "predicted": predicted.mask(error.notna()),
            "threshold": threshold,
            "error": error,
        }
    )
    return table if detector.notice is None else table.assign(warning=detector.notice)


def threshold_of(detector: Detector) -> float:
    """Return a detector's threshold, a probability; a UserError if it was not calibrated."""
    if detector.threshold is None:
        raise UserError("this detector has no threshold yet; it must be calibrated first")
    return detector.threshold


def write_scores(table: pd.DataFrame, path: Path) -> None:
    """Write a score table as CSV, floats in full; `path` is complete or what it was before.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    with named_by_user(path, "the scores") as partial:
        partial.write_text(csv_text(table), encoding="utf-8", newline="")
