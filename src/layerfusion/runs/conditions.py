"""A finished run's predictions under the paper's conditions; computed once, then found again."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from layerfusion.arithmetic import deterministic
from layerfusion.data.manifest import Manifest
from layerfusion.data.tables import read_parquet
from layerfusion.model.detector import Detector, SharedEncoder, share_encoder
from layerfusion.model.prefix_cache import open_prefix_cache
from layerfusion.parallel.processes import join_processes, open_fabric
from layerfusion.progress import Reporter
from layerfusion.provenance import library_versions
from layerfusion.recipe import RECIPE
from layerfusion.runs.condition import Condition
from layerfusion.runs.experiment import Experiment
from layerfusion.runs.record import CONDITIONS as CONDITIONS_FOLDER
from layerfusion.runs.record import Run
from layerfusion.scoring.predictions import predict_each, write_predictions
from layerfusion.settings import Profile, digest


def obtain_predictions(
    experiment: Experiment, run: Run, condition: Condition, reporter: Reporter | None = None
) -> pd.DataFrame:
    """Return a run's predictions of the images of a condition's split, degraded as it says.

    The validation images as they are were scored in training. Everything else is scored now, in the
    precision of training, and kept as Parquet in the run's folder, under a key of run, images,
    degradation, code and libraries: asked again, it is read from there. Several processes share
    the scoring; all of them return the table.

    Returns
    -------
    DataFrame
        As `layerfusion.scoring.predictions.predict_each`; all images of the
        split, for ``small`` is a choice of rows that metrics make. ``attrs["seconds"]`` is how long
        scoring took, 0 for what training had scored.

    Raises
    ------
    ImageError
        If a file cannot be read any more, or not be degraded.
    UserError
        If the run's detector or the encoder's weights are damaged or missing.
    """
    return obtain_together(experiment, {"run": run}, condition, reporter)["run"]


def obtain_together(
    experiment: Experiment,
    runs: Mapping[str, Run],
    condition: Condition,
    reporter: Reporter | None = None,
) -> dict[str, pd.DataFrame]:
    """Return the predictions of several runs, each as `obtain_predictions` does.

    What is not there yet is computed in one pass: images are read and degraded once, and frozen
    blocks that runs share see them once. Numbers are those of one run after the other.

    Parameters
    ----------
    experiment
        Any of those that the runs are of; they may differ in training images and seed.
    """
    images, processes = experiment.manifest.select(split=condition.split), join_processes()
    if condition.split == "val" and condition.degradation is None:
        tables = {name: processes.only_first(run.predictions) for name, run in runs.items()}
        for table in tables.values():
            table.attrs["seconds"] = 0.0
    else:
        paths = {name: _place(run, images, condition) for name, run in runs.items()}
        missing = processes.only_first(lambda: [n for n in runs if not paths[n].is_file()])
        if missing:
            due = [(runs[name], paths[name]) for name in missing]
            _score(experiment, due, images, condition, reporter or Reporter())
        tables = {
            name: processes.only_first(partial(read_parquet, path)) for name, path in paths.items()
        }
    # Paired comparisons subtract row by row.
    order = images.rows["path"]
    return {
        name: table.set_index("image_id").loc[order].reset_index(names="image_id")
        for name, table in tables.items()
    }


def _place(run: Run, images: Manifest, condition: Condition) -> Path:
    key = digest(
        {
            "run": run.record.key,
            "images": images.digest(),
            "degradation": condition.degradation,
            "recipe": RECIPE,
            "libraries": library_versions(),
        }
    )
    name = f"{condition.split}-{condition.degradation or 'clean'}"
    if run.recorded:
        committed = run.directory / CONDITIONS_FOLDER / f"{name}.parquet"
        if committed.is_file():
            return committed
    return run.place / CONDITIONS_FOLDER / f"{name}-{key[:10]}.parquet"


def _score(
    experiment: Experiment,
    due: Sequence[tuple[Run, Path]],
    images: Manifest,
    condition: Condition,
    reporter: Reporter,
) -> None:
    """Score the images for runs, each to be kept at a path; together if they share a prefix."""
    profile = experiment.profile
    waiting = [(run.detector(), path) for run, path in due]
    groups = [waiting] if share_encoder([d for d, _ in waiting]) else [[one] for one in waiting]
    for group in groups:
        begun = time.perf_counter()
        detectors = [detector for detector, _ in group]
        precision = profile.training.precision
        scored = score_condition(detectors, images, condition, profile, precision, reporter)
        seconds = (time.perf_counter() - begun) / len(group)
        for predictions, (_, path) in zip(scored, group, strict=True):
            predictions.attrs["seconds"] = seconds  # each one's part; kept in the file's metadata
            join_processes().only_first(partial(write_predictions, predictions, path))


def score_condition(
    detectors: Sequence[Detector],
    images: Manifest,
    condition: Condition,
    profile: Profile,
    precision: str,
    reporter: Reporter,
) -> list[pd.DataFrame]:
    """Score images under a condition's degradation, by detectors with the same frozen blocks.

    Returns
    -------
    list
        A table a detector, as `layerfusion.scoring.predictions.predict_each`.

    Raises
    ------
    ImageError
        If a file cannot be read any more, or not be degraded.
    """
    title = f"{condition.split}, {condition.degradation or 'as it is'}"
    fabric, model = open_fabric(precision), SharedEncoder(detectors)
    detectors[0].prefix_cache = open_prefix_cache(profile.loader, reporter.say)
    with deterministic(), reporter.bar(title, len(images.rows)) as bar:
        return predict_each(
            fabric.setup_module(model),
            images,
            profile.images,
            profile.loader,
            device=fabric.device,
            degradation=condition.degradation,
            progress=bar,
            processes=join_processes(),
        )
