"""A detector evaluated on a custom data set: shortcuts, threshold, folders."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import torch

from layerfusion.analysis.shortcuts import shortcut_baselines
from layerfusion.apps.release.own_images import OwnImages
from layerfusion.apps.release.seen_images import count_seen
from layerfusion.errors import UserError
from layerfusion.metrics.groups import auc_interval, folder_table
from layerfusion.metrics.threshold_choice import Optimism, ThresholdChoice, choose, optimism
from layerfusion.metrics.uncertainty import Interval
from layerfusion.model.detector import Detector
from layerfusion.progress import Reporter
from layerfusion.scoring.files import score_images, threshold_of
from layerfusion.settings import LoaderSettings


@dataclass(frozen=True, eq=False)
class Calibration:
    """All that was measured of a detector on labelled images.

    Attributes
    ----------
    images
        What was found.
    seen
        How many of them the detector was trained on and chosen on, as
        `layerfusion.apps.release.seen_images.count_seen` returns it.
    shortcuts
        As `layerfusion.analysis.shortcuts.shortcut_baselines` returns it, the largest ROC AUC
        first.
    scored
        A row an image: ``label``, ``logit``.
    roc_auc
        Of the detector, in [0, 1].
    choice
        The threshold, and how it does on images that did not choose it.
    optimism
        How far the rates of `choice` are optimistically biased: subtracted in all reports.
    folders
        As `layerfusion.metrics.groups.folder_table` returns it, of the decisions of `choice`.
    images_sha256
        Of the list of images: of a line "label sha256" each, sorted. 64 hex digits.
    date
        The day, as ISO 8601 has it, UTC.
    """

    images: OwnImages
    seen: dict[str, int | None]
    shortcuts: pd.DataFrame
    scored: pd.DataFrame
    roc_auc: Interval
    choice: ThresholdChoice
    optimism: Optimism
    folders: pd.DataFrame
    images_sha256: str
    date: str


def calibrate(
    detector: Detector,
    images: OwnImages,
    *,
    seen: pd.DataFrame | None = None,
    device: torch.device | str = "cpu",
    reporter: Reporter | None = None,
) -> Calibration:
    """Measure a detector on labelled images, and choose its threshold for them.

    Parameters
    ----------
    detector
        One that has a threshold. It is left as it is, on `device`.
    seen
        Which images it has seen, as `layerfusion.apps.release.seen_images.read_seen` returns it.

    Raises
    ------
    UserError
        If the detector has no threshold, or a score is not a number.
    ImageError
        If a file cannot be read any more.
    """
    threshold, reporter, rows = threshold_of(detector), reporter or Reporter(), images.manifest.rows
    with reporter.bar("looking for shortcuts", len(rows)) as bar:
        shortcuts = shortcut_baselines(
            images.manifest, detector.image_settings, LoaderSettings(), progress=bar
        )
    shortcuts = shortcuts.sort_values("roc_auc", ascending=False, kind="stable", ignore_index=True)
    with reporter.bar("scoring", len(rows)) as bar:
        named = dict(zip(rows["path"], images.manifest.files, strict=True))
        found = score_images(detector, named, device=device, progress=bar)
    for path, error in found.loc[found["error"].notna(), ["image_id", "error"]].values:
        raise UserError(f"{path} has no score: {error}")
    label, folder = rows["label"].to_numpy(dtype=np.int64), rows["source"].to_numpy(dtype=object)
    logit = found["logit"].to_numpy()
    choice = choose(label, logit, threshold, folder)
    return Calibration(
        images=images,
        seen=count_seen(seen, rows),
        shortcuts=shortcuts,
        scored=pd.DataFrame({"label": label, "logit": logit}),
        roc_auc=auc_interval(label, logit),
        choice=choice,
        optimism=optimism(label, logit, threshold, changed=choice.changed),
        folders=folder_table(folder, label, logit, choice.predicted),
        images_sha256=_list_sha256(rows),
        date=datetime.now(UTC).date().isoformat(),
    )


def _list_sha256(rows: pd.DataFrame) -> str:
    lines = sorted(f"{label} {sha256}\n" for label, sha256 in rows[["label", "sha256"]].values)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
