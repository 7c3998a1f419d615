"""What is wrong with a submission file: every mistake, each in one sentence."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from layerfusion.analysis.comparison import Comparison
from layerfusion.apps.task.submission import COLUMNS, keep_submission
from layerfusion.errors import UserError
from layerfusion.events import one_line
from layerfusion.files import check_regular
from layerfusion.images.finding import composed
from layerfusion.metrics.probability import decide
from layerfusion.runs.condition import CONDITIONS
from layerfusion.runs.conditions import obtain_together

LONGEST_SHOWN = 80  # characters of a value that a sentence shows

_FILE_NAME = re.compile(r"[A-Za-z0-9_-]+_(constrained|open)\.csv")
Mistake = tuple[str, int, str]  # what is wrong, in which line, an example
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Row(NamedTuple):
    """A row of a file: what can be told of it.

    Attributes
    ----------
    line
        Its line; the header is line 1.
    text
        Of each column by name. A column that the file lacks is in no row, and a row with too few or
        too many fields has an image_id at most.
    image
        The test image that its image_id means, if any.
    wrong
        How the image_id is written wrongly, if it is.
    """

    line: int
    text: dict[str, str]
    image: str | None
    wrong: str | None

    def fraction(self, column: str) -> float | None:
        """Return the number in [0, 1] that a column holds; None if it is none."""
        text = self.text.get(column, "")
        value = float(text) if _NUMBER.fullmatch(text) else -1.0  # Python takes ``1_0``
        return value if 0 <= value <= 1 else None


def check_submission(
    path: Path, image_ids: Collection[str], other: Path | None = None
) -> list[str]:
    """Compare a submission file with the task's rules.

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
    resolve = _resolver(image_ids)
    rows, problems = _read(path, resolve)
    if not _FILE_NAME.fullmatch(path.name):
        problems.insert(
            0,
            f"the file's name {path.name} is not of the form TEAM_constrained.csv or "
            "TEAM_open.csv, with letters, digits, - and _ in TEAM",
        )
    if not rows:
        return problems
    problems += _sentences(_mistakes(rows))
    problems += _missing(rows, image_ids)
    if other is not None:  # its own mistakes are not ours to report
        problems += _same_probabilities(rows, _read(other, resolve)[0], other.name)
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


Resolve = Callable[[str | None], tuple[str | None, str | None]]


def _read(path: Path, resolve: Resolve) -> tuple[list[Row], list[str]]:
    """Return a file's rows, and what is wrong with it as a file.

    It is read as leniently as possible, so that one mistake does not hide the others.
    """
    try:
        check_regular(path)
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    text, problems = _decode(data)
    if text is None:
        return [], problems
    if not text.strip():
        return [], ["the file is empty"]
    first = text.lstrip().splitlines()[0]
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    if delimiter != ",":
        name = {";": "semicolons", "\t": "tabs"}[delimiter]
        problems.append(f"columns are separated by {name}; separate them by commas")
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [(reader.line_num, fields) for fields in reader]
    except csv.Error as error:
        return [], [*problems, f"line {reader.line_num} is not CSV: {error}"]
    rows, wrong = _with_columns(lines, resolve)
    return rows, problems + wrong


def _decode(data: bytes) -> tuple[str | None, list[str]]:
    """Return the text of a file, None if it is none, and what is wrong with its bytes."""
    problems = []
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        problems.append("the file is encoded as UTF-16; save it as UTF-8 without a byte-order mark")
        text = data.decode("utf-16", errors="replace")
    elif b"\0" in data:
        return None, ["the file is not text (it holds zero bytes); give the CSV itself"]
    else:
        if data.startswith(b"\xef\xbb\xbf"):
            problems.append(
                "the file begins with a byte-order mark (BOM), as Excel writes it; save it as "
                "UTF-8 without one"
            )
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            problems.append(f"the file is not UTF-8 from line {line} on; save it as UTF-8")
            text = data.decode("utf-8-sig", errors="replace")
    if "\r" in text:
        problems.append("lines end in CR LF or CR, as on Windows; end them in LF alone")
    return text, problems


def _with_columns(
    lines: list[tuple[int, list[str]]], resolve: Resolve
) -> tuple[list[Row], list[str]]:
    """Name every row's fields by the header, and say what is wrong with both."""
    top = next(index for index, (_, fields) in enumerate(lines) if fields)
    header = lines[top][1]
    problems = list(_header_problem(header))
    headless = _is_no_header(header)
    names = COLUMNS if headless else [_plain(name) for name in header]
    rows: list[Row] = []
    mistakes: list[Mistake] = []
    for line, fields in lines[:top] + lines[top if headless else top + 1 :]:
        row = dict(zip(names, fields, strict=False))
        if not fields:
            mistakes.append(("a row is empty", line, ""))
            continue
        if len(fields) != len(names):
            count = f"{len(fields)}, not {len(names)}"
            mistakes.append(("the number of fields is wrong", line, count))
            row = {name: text for name, text in row.items() if name == "image_id"}
        rows.append(Row(line, row, *resolve(row.get("image_id"))))
    if not rows:
        problems.append("there is a header and no row")
    return rows, [*problems, *_sentences(mistakes)]


def _header_problem(header: list[str]) -> Iterator[str]:
    """Say how a header differs from the task's."""
    exact = ",".join(COLUMNS)
    if header == COLUMNS:
        return
    if _is_no_header(header):
        yield f"there is no header; the first line must be exactly {exact}"
    elif header[0] in ("", "Unnamed: 0") and header[1:] == COLUMNS:
        yield "the first column is a row index, as pandas writes it; write with index=False"
    elif sorted(header) == sorted(COLUMNS):
        named = ",".join(header)
        yield f"the columns are in another order ({named}); it must be exactly {exact}"
    else:
        wrong = [f"lacks '{name}'" for name in COLUMNS if name not in header]
        wrong += [f"has {_quoted(name)} too many" for name in header if name not in COLUMNS]
        wrong += [f"has '{name}' more than once" for name in COLUMNS if header.count(name) > 1]
        yield f"the header {', '.join(wrong)}; it must be exactly {exact}"


def _is_no_header(fields: list[str]) -> bool:
    return not {_plain(name) for name in fields} & set(COLUMNS)


def _plain(name: str) -> str:
    return name.strip().lower()


def _resolver(image_ids: Collection[str]) -> Resolve:
    """Return what finds the test image that an id means, and how it is written wrongly if so."""
    names = frozenset(map(composed, image_ids))
    by_stem = {PurePosixPath(name).stem: name for name in sorted(names)}

    def resolve(text: str | None) -> tuple[str | None, str | None]:
        if text is None:
            return None, None
        text = composed(text)
        bare = PurePosixPath(text.strip().replace("\\", "/")).name
        stem = PurePosixPath(bare).stem
        if text in names:
            return text, None
        if bare in names:
            return bare, "image_id is more than the file name"
        if bare in by_stem:
            return by_stem[bare], "image_id lacks the extension"
        if stem in by_stem:
            return by_stem[stem], "image_id has another extension than the file"
        return None, "image_id is no test image"

    return resolve


def _mistakes(rows: Sequence[Row]) -> Iterator[Mistake]:
    """Compare rows with the test images, value by value."""
    first: dict[str, int] = {}  # of every image that is there, its line
    thresholds = Counter(row.fraction("threshold") for row in rows)
    del thresholds[None]
    usual = thresholds.most_common(1)[0][0] if thresholds else None
    for row in rows:
        text, line = row.text.get("image_id", ""), row.line
        if row.wrong:
            meant = f" should be {_quoted(row.image)}" if row.image else ""
            yield row.wrong, line, _quoted(text) + meant
        if row.image and first.setdefault(row.image, line) != line:
            before = f"{_quoted(text)}, as in line {first[row.image]}"
            yield "an image is there once more", line, before
        for column in ("prob", "threshold"):
            if column in row.text and row.fraction(column) is None:
                number = row.text[column]
                wrong = "is outside [0, 1]" if _NUMBER.fullmatch(number) else "is not a number"
                yield f"{column} {wrong}", line, _quoted(number)
        threshold = row.fraction("threshold")
        if threshold not in (None, usual):
            yield f"threshold is not that of most rows, {usual},", line, f"{threshold}"
        if "label" in row.text:
            yield from _label_mistakes(row, row.text["label"])


def _label_mistakes(row: Row, label: str) -> Iterator[Mistake]:
    if re.fullmatch(r"[01]\.0*", label):
        yield "label is written as a float, not as 0 or 1,", row.line, _quoted(label)
    elif label not in ("0", "1"):
        yield "label is not 0 or 1", row.line, _quoted(label)
        return
    prob, threshold = row.fraction("prob"), row.fraction("threshold")
    if prob is not None and threshold is not None and float(label) != float(prob >= threshold):
        why = f"label {label}, prob {prob}, threshold {threshold}"
        yield "label contradicts prob >= threshold", row.line, why


def _sentences(mistakes: Iterable[Mistake]) -> Iterator[str]:
    """Return a sentence for each kind of mistake: how many rows have it, and the first of them."""
    kinds: dict[str, list[tuple[int, str]]] = {}
    for what, line, example in mistakes:
        kinds.setdefault(what, []).append((line, example))
    for what, found in kinds.items():
        line, example = found[0]
        rows = f"{len(found):,} rows, first in line {line}" if len(found) > 1 else f"line {line}"
        yield f"{what} in {rows}" + (f": {example}" if example else "")


def _missing(rows: Sequence[Row], image_ids: Collection[str]) -> Iterator[str]:
    given = {row.image for row in rows if "image_id" in row.text}
    missing = sorted(set(map(composed, image_ids)) - given)
    if given and missing:
        yield (
            f"{len(missing):,} of {len(image_ids):,} test images are missing, first "
            f"{_quoted(missing[0])}"
        )


def _quoted(text: str) -> str:
    """Return a value as a sentence can show it: in quotes, of one line, not too long."""
    shown = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."
    return f"'{one_line(shown)}'"


def _same_probabilities(rows: Sequence[Row], others: Sequence[Row], name: str) -> Iterator[str]:
    """Say if two files give every image that both have the same probability."""
    ours, theirs = (
        {row.image: row.fraction("prob") for row in own if row.image} for own in (rows, others)
    )
    both = [one for one in ours if ours[one] is not None and theirs.get(one) is not None]
    if not both:
        yield f"no test image has a prob here and in {name}, so the runs cannot be compared"
    elif all(ours[image] == theirs[image] for image in both):
        yield (
            f"prob is the same as in {name} for all {len(both):,} images that both have; the two "
            "runs must be those of two detectors"
        )
