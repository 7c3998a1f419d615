"""What an ablation leaves behind: its predictions and a record, and the table that they make."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from layerfusion.analysis.claims import Values, resamples_of
from layerfusion.data.parquet import read_parquet
from layerfusion.errors import UserError
from layerfusion.files import in_place_of, read_record, write_record
from layerfusion.metrics.uncertainty import resampled_roc_auc, seed_interval
from layerfusion.studies.variants import ABLATIONS

FOLDER = "ablations"  # in a profile's folder of what is committed

DTYPES = {"seed": "int64", "variant": "str", "image_id": "str", "label": "int8", "logit": "float32"}


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VariantEntry(_Record):
    """A variant, as `layerfusion.studies.variants.Variant` describes it."""

    name: str
    text: str
    run: str
    overrides: dict[str, Any]
    against: str | None


class VariantRun(_Record):
    """One run of a variant: what it was trained on, how long, and what came of it."""

    variant: str
    seed: int
    key: str
    training_images: int
    trained_parameters: int
    threshold: float
    best_epoch: int
    epochs: int
    block_weights: list[float]
    training_seconds: float


class AblationRecord(_Record):
    """Everything that is known of an ablation beside its predictions; ``<name>.json``.

    `settings` are those of its first variant; `code_sha256` is of all modules that numbers depend
    on.
    """

    name: str
    question: str
    profile: str
    key: str
    command: str
    seeds: list[int]
    settings: dict[str, Any]
    manifest_sha256: str
    resamples: int
    variants: list[VariantEntry]
    runs: list[VariantRun]
    code_sha256: str
    provenance: dict[str, Any]


@dataclass(frozen=True)
class FinishedAblation:
    """An ablation's record and its predictions, as `variant_predictions` returns them."""

    directory: Path
    record: AblationRecord
    predictions: pd.DataFrame


def variant_predictions(
    tables: Mapping[tuple[int, str], pd.DataFrame], order: Sequence[str]
) -> pd.DataFrame:
    """Return the predictions of all runs as one table, with the columns of `DTYPES`.

    Parameters
    ----------
    tables
        By seed and variant: predictions of the validation images, as
        `layerfusion.runs.record.Run.predictions` returns them.
    order
        Paths of these images in the manifest's order, which resampling goes by.
    """
    parts = [
        table.set_index("image_id").loc[list(order), ["label", "logit"]].reset_index().assign(
            seed=seed, variant=variant
        )
        for (seed, variant), table in tables.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)[list(DTYPES)].astype(DTYPES)


def ablation_table(ablation: FinishedAblation) -> pd.DataFrame:
    """Return what each variant scored and how far it is from what it is held against.

    Returns
    -------
    DataFrame
        Indexed by the variant's name, in the record's order: ``run``; ``variant``, in words;
        ``images``, how many it was trained on; ``roc_auc``, ``low`` and ``high`` (mean over seeds
        with its 95 % interval over seeds and images); ``against``, in words; ``difference``,
        ``difference_low``, ``difference_high`` (variant minus that, paired by seed and image; NaN
        where it is held against nothing).
    """
    record = ablation.record
    by_name = {variant.name: variant for variant in record.variants}
    images = {run.variant: run.training_images for run in record.runs}
    values, rows = _auc_by_variant(ablation), []
    for variant in record.variants:
        own = values[variant.name]
        found = seed_interval(own)
        row = [variant.run, variant.text, images[variant.name]]
        row += [found.estimate, found.low, found.high]
        if variant.against is None:
            row += ["", np.nan, np.nan, np.nan]
        else:
            apart = seed_interval(own - values[variant.against])
            other = by_name[variant.against]
            row += [other.text, apart.estimate, apart.low, apart.high]
        rows.append(row)
    columns = ["run", "variant", "images", "roc_auc", "low", "high"]
    columns += ["against", "difference", "difference_low", "difference_high"]
    return pd.DataFrame(rows, columns=columns, index=pd.Index(list(by_name), name="name"))


def _auc_by_variant(ablation: FinishedAblation) -> dict[str, Values]:
    """Return each variant's ROC AUC, shape (seeds, 1 + resamples), on the same resamples."""
    labels = _one_run(ablation)["label"].reset_index(drop=True)
    counts = resamples_of({"val": labels})["val"]
    found: dict[str, list[Values]] = {variant.name: [] for variant in ablation.record.variants}
    for (_, variant), rows in ablation.predictions.groupby(["seed", "variant"], sort=True):
        logit = rows["logit"].to_numpy(dtype=np.float64)
        found[str(variant)].append(
            resampled_roc_auc(labels.to_numpy(dtype=np.int64), logit, counts)
        )
    return {variant: np.stack(values) for variant, values in found.items()}


def _one_run(ablation: FinishedAblation) -> pd.DataFrame:
    first, table = ablation.record.runs[0], ablation.predictions
    return table[(table["variant"] == first.variant) & (table["seed"] == first.seed)]


def write_ablation(record: AblationRecord, predictions: pd.DataFrame, directory: Path) -> None:
    """Write predictions and record into a folder; each by rename, the record last."""
    directory.mkdir(parents=True, exist_ok=True)
    with in_place_of(directory / f"{record.name}.parquet") as partial:
        predictions.to_parquet(partial, index=False, compression="zstd")
    write_record(record, directory / f"{record.name}.json")


def read_ablation(directory: Path, name: str) -> FinishedAblation:
    """Read an ablation from its folder, or from where it was published.

    Raises
    ------
    UserError
        If there is none, it is not a record of this version, or its predictions are missing or not
        those of the record.
    """
    path = directory / f"{name}.json"
    record = read_record(AblationRecord, path, "ablation")
    table = path.with_suffix(".parquet")
    try:
        predictions = read_parquet(table, DTYPES)
    except FileNotFoundError:
        raise UserError(f"there is no ablation at {path}: {table} is missing") from None
    _check(record, predictions, path)
    return FinishedAblation(directory, record, predictions)


def published_ablations(folder: Path) -> dict[str, FinishedAblation]:
    """Return the ablations that lie in a profile's folder, such as ``runs/reference/photographs``.

    By name, in the order of `layerfusion.studies.variants.ABLATIONS`.

    Raises
    ------
    UserError
        As `read_ablation`.
    """
    there = [name for name in ABLATIONS if (folder / FOLDER / f"{name}.json").is_file()]
    return {name: read_ablation(folder / FOLDER, name) for name in there}


def _check(record: AblationRecord, predictions: pd.DataFrame, path: Path) -> None:
    """Raise a UserError unless every run has the same images, in the same order."""
    own = {(run.seed, run.variant) for run in record.runs}
    first: pd.DataFrame | None = None
    found = set()
    for names, rows in predictions.groupby(["seed", "variant"], sort=False):
        seed, variant = cast(tuple[int, str], names)
        found.add((seed, variant))
        images = rows[["image_id", "label"]].reset_index(drop=True)
        first = images if first is None else first
        if not images.equals(first):
            raise UserError(f"{path}: {variant}, seed {seed}, has other images than the first run")
    if found != own:
        raise UserError(f"{path}: record and predictions are of different runs")


def publish_ablation(ablation: FinishedAblation, folder: Path) -> list[Path]:
    """Copy record and predictions into a profile's folder, such as ``runs/reference/demo``."""
    target = folder / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    return [
        Path(shutil.copyfile(ablation.directory / name, target / name))
        for name in (f"{ablation.record.name}.parquet", f"{ablation.record.name}.json")
    ]
