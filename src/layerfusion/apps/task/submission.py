"""The task's submission file: a row a test image, one threshold for all of them."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pandas as pd

from layerfusion.arithmetic import deterministic
from layerfusion.data.manifest import Progress
from layerfusion.errors import UserError
from layerfusion.metrics.probability import published_probability
from layerfusion.model.detector import Detector
from layerfusion.parallel.processes import open_fabric
from layerfusion.runs.record import RECORD, Run, RunRecord, read_record
from layerfusion.scoring.files import score_images, write_scores
from layerfusion.scoring.inputs import find_images
from layerfusion.settings import LoaderSettings

COLUMNS = ["image_id", "prob", "label", "threshold"]
RUNS = ("constrained", "open")  # the task's two kinds of run
FOLDER = "submission"  # in a run's folder
MOST_NAMED = 10  # files that one sentence names

# What a line of a CSV cannot hold: control characters, and bytes that are not UTF-8.
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def submission_name(team: str, run: str) -> str:
    """Return the name that the task gives a run's file, such as ``<team>_constrained.csv``.

    Raises
    ------
    UserError
        If the team's name has other characters than letters, digits, ``-`` and ``_``, or the task
        knows no such run.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", team):
        raise UserError(
            f"the team name '{team}' becomes part of a file's name; use letters, digits, - and _"
        )
    if run not in RUNS:
        raise UserError(f"the task has the runs {' and '.join(RUNS)}, not '{run}'")
    return f"{team}_{run}.csv"


def find_test_images(folder: Path) -> tuple[dict[str, Path], int]:
    """Find the test images of a folder, and below it.

    Returns
    -------
    images
        By file name, in the order of their paths: the order in which an experiment scores them.
    passed_over
        Number of other files.

    Raises
    ------
    UserError
        If there is no such folder, it has no images, or two of them have the same file name.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give the one that holds the test images")
    images, passed_over = find_images([folder])
    return dict(zip(_file_names(images), images.values(), strict=True)), passed_over


def score_test_images(
    detector: Detector,
    images: dict[str, Path],
    *,
    precision: str = "fp32",
    loader: LoaderSettings | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score test images as `runs.conditions.obtain_predictions` does, number for number.

    Parameters
    ----------
    precision
        That of the detector's training: its threshold was chosen on scores of this precision.
    loader
        That of the run's profile, whose batch size moves the last bits.

    Returns
    -------
    DataFrame
        As `layerfusion.scoring.files.score_images`.

    Raises
    ------
    UserError
        If the detector has no threshold, or the precision needs a GPU and there is none.
    """
    fabric = open_fabric(precision)
    with deterministic(), fabric.autocast():
        return score_images(
            detector, images, loader=loader, device=fabric.device, progress=progress
        )


def with_every_image(scored: pd.DataFrame, unreadable_as: float | None = None) -> pd.DataFrame:
    """Return scored images as predictions without a gap, as `submission_table` takes them.

    Parameters
    ----------
    scored
        A table as `score_test_images` returns it.
    unreadable_as
        The probability of images that cannot be read; None to have none such.

    Returns
    -------
    DataFrame
        Columns ``image_id`` and ``probability`` (float64 in [0, 1]), a row an image.

    Raises
    ------
    UserError
        If an image could not be read and nothing says what it counts as: the task wants every
        image, and leaving one out or guessing is not for a program to decide.
    """
    unreadable = scored.loc[scored["error"].notna(), ["image_id", "error"]]
    if len(unreadable) and unreadable_as is None:
        named = [f"{name} ({why})" for name, why in unreadable.head(MOST_NAMED).values.tolist()]
        more = [f"{len(unreadable) - MOST_NAMED} more"] if len(unreadable) > MOST_NAMED else []
        raise UserError(
            f"{len(unreadable)} of {len(scored)} test images cannot be read and the task wants a "
            f"row for each: mend {', '.join(named + more)}, or choose their probability with "
            "--unreadable-as"
        )
    predictions = scored[["image_id", "probability"]].copy()
    if unreadable_as is not None:
        predictions["probability"] = predictions["probability"].fillna(unreadable_as)
    return predictions


def submission_table(predictions: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Return the task's table of predictions; nothing is scored again.

    Parameters
    ----------
    predictions
        Columns ``image_id`` (a path or a file name) and ``probability``, a row a test image, as
        `layerfusion.scoring.files.score_images` returns them.
    threshold
        Probability from which an image is called synthetic, in [0, 1].

    Returns
    -------
    DataFrame
        `COLUMNS`, sorted by ``image_id``, the file name with its extension; ``prob`` and
        ``threshold`` as float64, ``label`` 1 where ``prob >= threshold``, else 0.

    Raises
    ------
    UserError
        If there is no image, a probability or the threshold is none, or two images have the same
        file name or one that a CSV cannot hold.
    """
    if not len(predictions):
        raise UserError("there are no test images to submit; put them into the split 'test'")
    if not 0 <= threshold <= 1:
        raise UserError(f"the threshold {threshold} is not a probability; calibrate the detector")
    probabilities = predictions["probability"].to_numpy(dtype="float64")
    table = pd.DataFrame(
        {
            "image_id": _file_names(predictions["image_id"]),
            "prob": probabilities,
            "label": (probabilities >= threshold).astype("int64"),
            "threshold": float(threshold),
        }
    )
    for name in table.loc[~table["prob"].between(0, 1), "image_id"]:
        raise UserError(f"test image {name} has no probability in [0, 1]; score it again")
    return table.sort_values("image_id", ignore_index=True)


def keep_submission(run: Run, predictions: pd.DataFrame, *, team: str) -> Path:
    """Write the submission of a finished run into its folder, and return where.

    `predictions` are those of the test images, as `submission_table` takes them; an earlier file
    of the same team is replaced.

    Raises
    ------
    UserError
        As `submission_name`, `submission_table` and `write_scores`.
    """
    path = run.place / FOLDER / submission_name(team, run.record.run)
    threshold = run.record.threshold
    published = published_probability(predictions["logit"], threshold)
    table = submission_table(predictions.assign(probability=published), threshold)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_scores(table, path)
    return path


def record_beside(detector: Path) -> RunRecord | None:
    """Return the record of the run whose folder a detector's lies in; None if it lies elsewhere."""
    path = detector.absolute().parent / RECORD
    return read_record(path) if path.is_file() else None


def other_run(path: Path) -> Path | None:
    """Return the file of the team's other run in the same folder; None if there is none."""
    for ours, others in (RUNS, RUNS[::-1]):
        stem = path.stem.removesuffix(f"_{ours}")
        other = path.with_name(f"{stem}_{others}.csv")
        if stem != path.stem and other.is_file():
            return other
    return None


def _file_names(paths: Iterable[str]) -> list[str]:
    """Return the file names of paths, which must differ: nothing else names an image."""
    seen: dict[str, str] = {}
    for path in paths:
        name = PurePosixPath(path).name
        if name in seen:
            raise UserError(
                f"two test images are named {name}, {seen[name]} and {path}; the task knows an "
                "image by its file name alone, so rename one"
            )
        if _UNWRITABLE.search(name):
            raise UserError(f"the file name {name!a} cannot be a line of a CSV; rename the file")
        seen[name] = path
    return list(seen)
