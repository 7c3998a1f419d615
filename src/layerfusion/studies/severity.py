"""One detector under many conditions: each image is decoded once and scored under all of them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict

from layerfusion.analysis.severity import CLEAN
from layerfusion.arithmetic import deterministic
from layerfusion.data.manifest import Manifest
from layerfusion.data.parquet import read_parquet
from layerfusion.errors import UserError
from layerfusion.files import in_place_of, read_record, write_record
from layerfusion.images.degradations import degradation, evaluated
from layerfusion.images.reading import read_pixels
from layerfusion.images.transforms import EvaluationTransform
from layerfusion.model.detector import Detector, tensors_file
from layerfusion.paths import runs_root
from layerfusion.progress import Reporter
from layerfusion.provenance import provenance
from layerfusion.recipe import RECIPE
from layerfusion.settings import digest
from layerfusion.studies.predictions import describe_images, read_table

# By kind: the strengths that its curve is drawn through, from none to most.
CURVES = {
    "jpeg": (95, 85, 70, 50, 30),
    "webp": (90, 75, 50),
    "avif": (80, 60, 40),
    "shrink": (75, 50, 35),
    "crop": (80, 60),
    "blur": (5, 10, 20),
    "noise": (2, 5, 10),
    "screenshot": (150, 80, 60),
}
# By platform: what an upload goes through. Longest sides of Facebook and X are what Harmon (2021)
# measured; Telegram's, and all qualities, are assumptions.
PLATFORMS = {
    "Facebook": "bound-1920+jpeg-77",
    "Telegram": "bound-1280+jpeg-87",
    "X": "bound-4096+jpeg-85",
}
CHAINS = ("shrink-50+jpeg-75", "screenshot-80+jpeg-85", "jpeg-75+jpeg-85", "crop-80+webp-75")

CONDITIONS = (
    CLEAN,
    *(f"{kind}-{strength}" for kind, strengths in CURVES.items() for strength in strengths),
    *PLATFORMS.values(),
    *CHAINS,
)

RECORD, PREDICTIONS = "severity.json", "severity.parquet"
DTYPES = {
    "condition": "str", "image_id": "str", "label": "Int8", "logit": "float32",
    "width": "Int32", "height": "Int32", "source": "str", "style": "str",
}  # fmt: skip
_EVERY = 10  # images between two savings


class SeverityRecord(BaseModel):
    """What is reported of a study; `severity.json` in its folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str
    command: str
    detector: str
    threshold: float
    per_class: int
    seed: int
    conditions: list[str]
    date: str
    provenance: dict[str, Any]


@dataclass(frozen=True)
class FinishedSeverity:
    """A record, and predictions with the columns of `DTYPES`, a row a condition and image."""

    record: SeverityRecord
    predictions: pd.DataFrame


def chosen_images(images: Manifest, per_class: int, seed: int) -> pd.DataFrame:
    """Return rows of so many images of each class, drawn from a manifest, in its order.

    Raises
    ------
    UserError
        If a class has fewer.
    """
    counts = images.rows["label"].value_counts()
    if counts.reindex([0, 1], fill_value=0).min() < per_class:
        raise UserError(
            f"{per_class} images of each class are asked for, and one class has "
            f"{counts.reindex([0, 1], fill_value=0).min()}; ask for fewer with --images"
        )
    drawn = images.rows.groupby("label").sample(per_class, random_state=seed)
    return drawn.sort_index()


def severity_study(
    folder: Path,
    images: Manifest,
    *,
    profile: str,
    per_class: int,
    seed: int,
    command: str,
    device: torch.device | str = "cpu",
    reporter: Reporter | None = None,
) -> FinishedSeverity:
    """Score images under every condition with a detector; stopped, it goes on where it was.

    Parameters
    ----------
    folder
        Of the detector, calibrated.
    images
        Labelled ones.
    per_class
        How many of each class are drawn, with `seed`.

    Raises
    ------
    UserError
        As `chosen_images`, or if the detector cannot be used.
    ImageError
        If an image cannot be read any more.
    """
    detector = Detector.load(folder).to(device)
    if detector.threshold is None:
        raise UserError("this detector has no threshold yet; it must be calibrated first")
    rows = chosen_images(images, per_class, seed)
    known = hashlib.sha256(tensors_file(folder).read_bytes()).hexdigest()
    key = digest(
        {
            "detector": known,
            "images": rows["sha256"].tolist(),
            "conditions": CONDITIONS,
            "recipe": RECIPE,
        }
    )
    place = runs_root() / profile / f"severity-{key[:10]}.parquet"
    reporter = reporter or Reporter()
    place.parent.mkdir(parents=True, exist_ok=True)
    with reporter.keep(place.with_suffix(".log.txt")):
        reporter.detail(f"{len(rows)} images under {len(CONDITIONS)} conditions")
        scored = _scored(detector, images.root, rows, place, device, reporter)
    about = describe_images(images).loc[scored["image_id"], ["source", "style"]]
    predictions = pd.concat([scored, about.reset_index(drop=True)], axis=1)
    record = SeverityRecord(
        profile=profile,
        command=command,
        detector=known,
        threshold=detector.threshold,
        per_class=per_class,
        seed=seed,
        conditions=list(CONDITIONS),
        date=datetime.now(UTC).date().isoformat(),
        provenance=provenance(),
    )
    return FinishedSeverity(record, predictions[list(DTYPES)].astype(DTYPES))


def _scored(
    detector: Detector,
    root: Path,
    rows: pd.DataFrame,
    place: Path,
    device: torch.device | str,
    reporter: Reporter,
) -> pd.DataFrame:
    """Return a row a condition and image, kept at `place` while they come."""
    done = read_parquet(place) if place.is_file() else pd.DataFrame({"image_id": []})
    found, due = [done], rows[~rows["path"].isin(done["image_id"])]
    with reporter.bar("scoring under conditions", len(rows)) as bar, deterministic():
        for number, row in enumerate(due.itertuples(), start=1):
            logits = _logits(detector, root / str(row.path), device)
            found.append(
                pd.DataFrame(
                    {
                        "condition": CONDITIONS, "image_id": row.path, "label": row.label,
                        "logit": logits, "width": row.width, "height": row.height,
                    }
                )
            )  # fmt: skip
            if number % _EVERY == 0 or number == len(due):
                with in_place_of(place) as partial:
                    pd.concat(found, ignore_index=True).to_parquet(partial)
            bar(len(rows) - len(due) + number, len(rows))
    together = read_parquet(place)
    order = pd.Index(rows["path"]).get_indexer(together["image_id"])
    in_order: pd.DataFrame = together.iloc[order.argsort(kind="stable")]
    return in_order.reset_index(drop=True)


def _logits(detector: Detector, path: Path, device: torch.device | str) -> list[float]:
    batch = torch.stack(list(_views(detector, path)))
    with torch.inference_mode():
        logits: list[float] = detector(batch.to(device)).cpu().tolist()
    return logits


def _views(detector: Detector, path: Path) -> Iterator[torch.Tensor]:
    pixels, transform = read_pixels(path), EvaluationTransform(detector.image_settings)
    for name in CONDITIONS:
        yield (
            transform(pixels) if name == CLEAN else evaluated(transform, pixels, degradation(name))
        )


def publish(finished: FinishedSeverity, folder: Path) -> list[Path]:
    """Write record and predictions into a folder; return the files."""
    record, table = folder / RECORD, folder / PREDICTIONS
    with in_place_of(table) as partial:
        finished.predictions.to_parquet(partial, index=False, compression="zstd")
    write_record(finished.record, record)
    return [record, table]


def read_severity(folder: Path) -> FinishedSeverity:
    """Read a study from where it was published.

    Raises
    ------
    UserError
        If a file is missing, damaged, or not of the other.
    """
    record = read_record(SeverityRecord, folder / RECORD, "study of conditions")
    table = read_table(folder / PREDICTIONS, DTYPES, "predictions under conditions")
    if len(table) != 2 * record.per_class * len(record.conditions):
        raise UserError(f"{folder / PREDICTIONS} is not the table of {RECORD} beside it")
    return FinishedSeverity(record, table)
