"""A finished run's predictions under the paper's conditions; computed once, then found again."""

import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from layerfusion.arithmetic import deterministic
from layerfusion.data.manifest import Manifest, Split
from layerfusion.model.detector import Detector
from layerfusion.model.prefix_cache import open_prefix_cache
from layerfusion.parallel.processes import join_processes, open_fabric
from layerfusion.progress import Reporter
from layerfusion.provenance import code_sha256, library_versions
from layerfusion.runs.experiment import Experiment
from layerfusion.runs.record import Run
from layerfusion.scoring.predictions import predict, write_predictions
from layerfusion.settings import Profile, digest

FOLDER = "conditions"  # in a run's folder

# What predictions depend on that a run does not: part of their key.
MODULES = ("runs/conditions.py", "images/degradations.py")


@dataclass(frozen=True)
class Condition:
    """Which images are looked at, and what befalls them first.

    Attributes
    ----------
    split
        ``val``, the paper's *local*, or ``test``, its *official*.
    degradation
        A name of `layerfusion.images.degradations`, or None.
    small
        Whether only images count whose shorter side is below the profile's
        ``training.small_side`` (512 px in the paper).
    """

    split: Split = "val"
    degradation: str | None = None
    small: bool = False


# The conditions of Tables 1 and 2, by the paper's words.
CONDITIONS = {
    "local": Condition(),
    "official": Condition(split="test"),
    "jpeg": Condition(degradation="jpeg-85"),
    "launder": Condition(degradation="launder"),
    "small": Condition(small=True),
}


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
        As `layerfusion.scoring.predictions.predict`, in the manifest's order; all images of the
        split, for ``small`` is a choice of rows that metrics make. ``attrs["seconds"]`` is how long
        scoring took, 0 for what training had scored.

    Raises
    ------
    ImageError
        If a file cannot be read any more, or not be degraded.
    UserError
        If the run's detector or the encoder's weights are damaged or missing.
    """
    images, processes = experiment.manifest.select(split=condition.split), join_processes()
    if condition.split == "val" and condition.degradation is None:
        table = processes.only_first(run.predictions)
        table.attrs["seconds"] = 0.0
    else:
        path = _place(run, images, condition)
        if not processes.only_first(path.is_file):
            _score(experiment, run, images, condition, path, reporter or Reporter())
        table = processes.only_first(lambda: pd.read_parquet(path))
    # Paired comparisons subtract row by row.
    return table.set_index("image_id").loc[images.rows["path"]].reset_index(names="image_id")


def _place(run: Run, images: Manifest, condition: Condition) -> Path:
    key = digest(
        {
            "run": run.record.key,
            "images": images.digest(),
            "degradation": condition.degradation,
            "code": code_sha256(MODULES),
            "libraries": library_versions(),
        }
    )
    name = f"{condition.split}-{condition.degradation or 'clean'}-{key[:10]}.parquet"
    return run.directory / FOLDER / name


def _score(
    experiment: Experiment,
    run: Run,
    images: Manifest,
    condition: Condition,
    path: Path,
    reporter: Reporter,
) -> None:
    begun, detector, profile = time.perf_counter(), run.detector(), experiment.profile
    predictions = score_condition(
        detector, images, condition, profile, profile.training.precision, reporter
    )
    predictions.attrs["seconds"] = time.perf_counter() - begun  # kept in the file's metadata
    join_processes().only_first(lambda: _keep(predictions, path))


def score_condition(
    detector: Detector,
    images: Manifest,
    condition: Condition,
    profile: Profile,
    precision: str,
    reporter: Reporter,
) -> pd.DataFrame:
    """Score images under a condition's degradation; what frozen blocks give is kept, if it is set.

    Returns
    -------
    DataFrame
        As `layerfusion.scoring.predictions.predict`.

    Raises
    ------
    ImageError
        If a file cannot be read any more, or not be degraded.
    """
    title = f"{condition.split}, {condition.degradation or 'as it is'}"
    fabric = open_fabric(precision)
    detector.prefix_cache = open_prefix_cache(profile.loader, reporter.say)
    with deterministic(), reporter.bar(title, len(images.rows)) as bar:
        return predict(
            fabric.setup_module(detector),
            images,
            profile.images,
            profile.loader,
            device=fabric.device,
            degradation=condition.degradation,
            progress=bar,
            processes=join_processes(),
        )


def _keep(predictions: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    write_predictions(predictions, path)
