"""What is wrong with a submission file: a table of rules, each with its sentence."""

import csv
import io
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath

import pandas as pd

from layerfusion.analysis.comparison import Comparison
from layerfusion.apps.task.submission import COLUMNS, keep_submission
from layerfusion.errors import UserError, reason
from layerfusion.events import one_line
from layerfusion.files import check_regular
from layerfusion.images.finding import composed
from layerfusion.metrics.probability import decide
from layerfusion.runs.condition import CONDITIONS
from layerfusion.runs.conditions import obtain_together

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
        As `layerfusion.apps.task.submission.keep_submission`, for one: two test images of a name.
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
