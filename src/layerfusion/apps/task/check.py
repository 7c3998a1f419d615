"""The task's submission file: made of predictions, and checked by a table of rules."""

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath

import pandas as pd

from layerfusion.analysis.comparison import Comparison
from layerfusion.arithmetic import deterministic
from layerfusion.data.manifest import Progress
from layerfusion.errors import UserError, reason
from layerfusion.files import check_regular
from layerfusion.images.finding import composed
from layerfusion.metrics.probability import decide, published_probability
from layerfusion.model.detector import Detector
from layerfusion.parallel.processes import open_fabric
from layerfusion.progress import one_line
from layerfusion.runs.condition import CONDITIONS
from layerfusion.runs.conditions import obtain_together
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


LONGEST_SHOWN = 80  # characters of a value that a sentence shows
EXACTLY = f"it must be exactly {','.join(COLUMNS)}"

_FILE_NAME = re.compile(r"[A-Za-z0-9_-]+_(constrained|open)\.csv")
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"  # Python takes ``1_0``
_UTF16 = (b"\xff\xfe", b"\xfe\xff")

# Of the file's bytes: what must not be, and its sentence.
FILE_RULES: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda data: not data.strip(), "the file is empty"),
    (
        lambda data: data.startswith((*_UTF16, b"\xef\xbb\xbf")) or not _is_utf8(data),
        "the file is not UTF-8 without a byte-order mark (BOM), as Excel writes one; save it so",
    ),
    (lambda data: b"\r" in data, "lines end in CR LF or CR, as on Windows; end them in LF alone"),
)

# Of rows: the columns that a rule needs, what is wrong, and in which rows. Beside the columns of
# the file, which are text, a row has `image`, the test image that it means, and its numbers in
# [0, 1], `p` and `t`; each is missing where it is none.
ROW_RULES: tuple[tuple[list[str], str, Callable[[pd.DataFrame], pd.Series]], ...] = (
    (
        ["image_id"],
        "image_id is not the file name of a test image, with its extension,",
        lambda rows: rows["image"].isna(),
    ),
    (
        ["image_id"],
        "an image is there once more",
        lambda rows: rows["image"].notna() & rows["image"].duplicated(),
    ),
    (["prob"], "prob is not a number in [0, 1]", lambda rows: rows["p"].isna()),
    (["threshold"], "threshold is not a number in [0, 1]", lambda rows: rows["t"].isna()),
    (
        ["threshold"],
        "threshold is not that of most rows",
        lambda rows: rows["t"].notna() & ~rows["t"].isin(rows["t"].mode()[:1]),
    ),
    (["label"], "label is not 0 or 1", lambda rows: ~rows["label"].isin(["0", "1"])),
    (
        ["label", "prob", "threshold"],
        "label contradicts prob >= threshold",
        lambda rows: (
            rows["label"].isin(["0", "1"])
            & rows[["p", "t"]].notna().all(axis=1)
            & ((rows["label"] == "1") != (rows["p"] >= rows["t"]))
        ),
    ),
)


def check_submission(
    path: Path, image_ids: Collection[str], other: Path | None = None
) -> list[str]:
    """Compare a submission file with the task's rules.

    It is read as leniently as possible, so that one mistake does not hide the others.

    Parameters
    ----------
    path
        The file.
    image_ids
        The file names of all test images.
    other
        The file of the team's other run, whose probabilities must not be the same.

    Returns
    -------
    list of str
        A sentence a mistake; of a mistake that many rows have, how many and the first of them, by
        its line in the file (the header is line 1). Empty if the file can be submitted.

    Raises
    ------
    UserError
        If a file cannot be read at all, or `other` is the same file.
    """
    if other is not None and other.resolve() == path.resolve():
        raise UserError(f"{path} cannot be compared with itself; name the other run's file")
    names = set(map(composed, image_ids))
    rows, problems = _read(path, names)
    if not _FILE_NAME.fullmatch(path.name):
        problems.insert(
            0,
            f"the file's name {path.name} is not of the form TEAM_constrained.csv or "
            "TEAM_open.csv, with letters, digits, - and _ in TEAM",
        )
    whole = rows[rows["whole"]]
    for columns, what, broken in ROW_RULES:
        if len(whole) and set(columns) <= set(whole.columns):
            problems += _sentence(what, whole[broken(whole)], columns)
    if len(rows) and (missing := sorted(names - set(rows["image"]))):
        first = _quoted(missing[0])
        problems.append(
            f"{len(missing):,} of {len(names):,} test images are missing, first {first}"
        )
    if other is not None and len(rows):  # its own mistakes are not ours to report
        problems += _same_probabilities(rows, _read(other, names)[0], other.name)
    return problems


def keep_submissions(comparison: Comparison, *, team: str) -> pd.DataFrame:
    """Write both runs' submission files into the runs' folders, check them, and say what they hold.

    Returns
    -------
    DataFrame
        Index: ``run``. Columns: ``file`` (its name), ``images``, ``called synthetic``,
        ``threshold`` and ``mistakes``, the sentences of `check_submission` (empty if there is
        none). No row if there are no test images.

    Raises
    ------
    UserError
        As `layerfusion.apps.task.check.keep_submission`, for one: two test images of a name.
    """
    rows: dict[str, dict[str, object]] = {}
    before: Path | None = None
    columns = ["file", "images", "called synthetic", "threshold", "mistakes"]
    experiment = next(iter(comparison.experiments.values()))
    if experiment.manifest.select(split="test").rows.empty:
        return pd.DataFrame(columns=columns).rename_axis("run")
    scored = obtain_together(experiment, comparison.runs, CONDITIONS["official"])
    for name, predictions in scored.items():
        run = comparison.runs[name]
        path = keep_submission(run, predictions, team=team)
        names = [PurePosixPath(image).name for image in predictions["image_id"]]
        called = decide(predictions["logit"], run.record.threshold)
        rows[name] = {
            "file": path.name,
            "images": len(names),
            "called synthetic": int(called.sum()),
            "threshold": run.record.threshold,
            "mistakes": "; ".join(check_submission(path, names, before)),
        }
        before = path
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("run")


def _read(path: Path, names: set[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return a file's rows, as `ROW_RULES` has them, and what is wrong with it as a file.

    Rows have their ``line`` in the file, and are ``whole`` if they have a field a column.
    """
    try:
        check_regular(path)
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {reason(error)}") from None
    problems = [sentence for broken, sentence in FILE_RULES if broken(data)]
    text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig", errors="replace")
    top = next(iter(text.lstrip().splitlines()), "")
    delimiter = max(",;\t", key=top.count)
    if delimiter != ",":
        problems.append(f"columns are separated by {delimiter!r}; separate them by commas")
    lined = io.StringIO(text if text.strip() else "", newline="")
    reader = csv.reader(lined, delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, fields) for fields in reader]
    except csv.Error as error:
        lines = []
        problems.append(f"line {reader.line_num} is not CSV: {error}")
    header = next((fields for _, fields in lines if fields), [])
    has_header = bool({name.strip().lower() for name in header} & set(COLUMNS))
    if header and header != COLUMNS:
        problems.append(f"the first line is {_quoted(','.join(header))}; {EXACTLY}")
    columns = header if has_header else COLUMNS
    below = [(line, fields) for line, fields in lines if not (has_header and fields is header)]
    if header and not below:
        problems.append("there is a header and no row")
    rows = _table(below, columns, names)
    wrong = rows[~rows["whole"]]
    problems += _sentence(f"a row has not {len(columns)} fields", wrong, ["fields"])
    return rows, problems


def _table(lines: list[tuple[int, list[str]]], columns: list[str], names: set[str]) -> pd.DataFrame:
    """Return rows of text by column, with what `ROW_RULES` and `_read` say beside it."""
    known = [name for name in COLUMNS if name in columns]
    fields = [dict(zip(columns, own, strict=False)) for _, own in lines]
    rows = pd.DataFrame(fields, columns=known, dtype="str").fillna("")
    counts = [len(own) for _, own in lines]
    rows = rows.assign(line=[line for line, _ in lines], fields=counts)
    rows["whole"] = rows["fields"] == len(columns)
    nothing = pd.Series("", rows.index, dtype="str")
    image = rows.get("image_id", nothing).map(composed)
    rows["image"] = image.where(image.isin(names))
    for number, column in (("p", "prob"), ("t", "threshold")):
        texts = rows.get(column, nothing)
        value = texts.where(texts.str.fullmatch(_NUMBER)).map(float, na_action="ignore")
        rows[number] = value.astype(float).where(lambda own: own.between(0, 1))
    return rows


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _sentence(what: str, rows: pd.DataFrame, columns: list[str]) -> Iterator[str]:
    """Yield the sentence of a rule, if rows break it: how many, and what the first of them has."""
    if len(rows):
        first = rows.iloc[0]
        where = f"line {first['line']}"
        if len(rows) > 1:
            where = f"{len(rows):,} rows, first in {where}"
        has = ", ".join(f"{column} {_quoted(str(first[column]))}" for column in columns)
        yield f"{what} in {where}: {has}"


def _quoted(text: str) -> str:
    """Return a value as a sentence can show it: in quotes, of one line, not too long."""
    shown = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."
    return f"'{one_line(shown)}'"


def _same_probabilities(rows: pd.DataFrame, others: pd.DataFrame, name: str) -> Iterator[str]:
    """Say if two files give every image that both have the same probability."""
    ours, theirs = (
        own.dropna(subset=["image", "p"]).drop_duplicates("image") for own in (rows, others)
    )
    both = ours.merge(theirs, on="image")
    if both.empty:
        yield f"no test image has a prob here and in {name}, so the runs cannot be compared"
    elif (both["p_x"] == both["p_y"]).all():
        yield (
            f"prob is the same as in {name} for all {len(both):,} images that both have; the two "
            "runs must be those of two detectors"
        )
