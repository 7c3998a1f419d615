"""What is wrong with a submission file: every mistake, each in one sentence."""

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from layerfusion.analysis.comparison import Comparison
from layerfusion.errors import UserError
from layerfusion.events import one_line
from layerfusion.images.finding import composed
from layerfusion.metrics.probability import decide
from layerfusion.runs.conditions import CONDITIONS, obtain_together
from layerfusion.task.submission import COLUMNS, keep_submission

LONGEST_SHOWN = 80  # characters of a value that a sentence shows

_FILE_NAME = re.compile(r"[A-Za-z0-9_-]+_(constrained|open)\.csv")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def check_submission(
    path: Path, image_ids: Collection[str], other: Path | None = None
) -> list[str]:
    """Hold a submission file against the task's rules.

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
    file = _read(path)
    problems = [] if _FILE_NAME.fullmatch(path.name) else [
        f"the file's name {path.name} is not of the form TEAM_constrained.csv or TEAM_open.csv, "
        "with letters, digits, - and _ in TEAM"
    ]  # fmt: skip
    problems += file.problems
    if not file.rows:
        return problems
    rows = _Rows(file, image_ids)
    problems += rows.problems()
    if other is not None:
        others = _Rows(_read(other), image_ids)
        others.problems()  # not ours to report: that file is checked by itself
        problems += _same_probabilities(rows.probabilities, others.probabilities, other.name)
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
        As `layerfusion.task.submission.keep_submission`: two test images of the same name, for one.
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


@dataclass
class _File:
    """A file's rows as (line, text of each column by name), and what is wrong with it as a file.

    A row holds what can be told of it: a column that the file lacks is in no row, and a row with
    too few or too many fields has an image_id at most.
    """

    rows: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def _read(path: Path) -> _File:
    """Read a file as leniently as possible, so that one mistake does not hide the others."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    text, problems = _decode(data)
    if text is None:
        return _File(problems=problems)
    if not text.strip():
        return _File(problems=["the file is empty"])
    first = text.lstrip().splitlines()[0]
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    if delimiter != ",":
        name = {";": "semicolons", "\t": "tabs"}[delimiter]
        problems.append(f"columns are separated by {name}; separate them by commas")
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [(reader.line_num, fields) for fields in reader]
    except csv.Error as error:
        return _File(problems=[*problems, f"line {reader.line_num} is not CSV: {error}"])
    return _with_columns(lines, problems)


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


def _with_columns(lines: list[tuple[int, list[str]]], problems: list[str]) -> _File:
    """Name every row's fields by the header, and say what is wrong with both."""
    top = next(index for index, (_, fields) in enumerate(lines) if fields)
    header = lines[top][1]
    wrong = _header_problem(header)
    if wrong:
        problems.append(wrong)
    headless = _is_no_header(header)
    names = COLUMNS if headless else [_plain(name) for name in header]
    rows, found = [], _Findings()
    for line, fields in lines[:top] + lines[top if headless else top + 1 :]:
        row = dict(zip(names, fields, strict=False))
        if not fields:
            found.add("a row is empty", line)
            continue
        if len(fields) != len(names):
            found.add("the number of fields is wrong", line, f"{len(fields)}, not {len(names)}")
            row = {name: text for name, text in row.items() if name == "image_id"}
        rows.append((line, row))
    if not rows:
        problems.append("there is a header and no row")
    return _File(rows, [*problems, *found.sentences()])


def _header_problem(header: list[str]) -> str | None:
    """Say how a header differs from the task's; None if it does not."""
    exact = ",".join(COLUMNS)
    if header == COLUMNS:
        return None
    if _is_no_header(header):
        return f"there is no header; the first line must be exactly {exact}"
    if header[0] in ("", "Unnamed: 0") and header[1:] == COLUMNS:
        return "the first column is a row index, as pandas writes it; write with index=False"
    if sorted(header) == sorted(COLUMNS):
        return f"the columns are in another order ({','.join(header)}); it must be exactly {exact}"
    lacking = [f"lacks '{name}'" for name in COLUMNS if name not in header]
    further = [f"has {_quoted(name)} too many" for name in header if name not in COLUMNS]
    repeated = [f"has '{name}' more than once" for name in COLUMNS if header.count(name) > 1]
    return f"the header {', '.join(lacking + further + repeated)}; it must be exactly {exact}"


def _is_no_header(fields: list[str]) -> bool:
    return not {_plain(name) for name in fields} & set(COLUMNS)


def _plain(name: str) -> str:
    return name.strip().lower()


class _Findings:
    """Mistakes of rows, each kind once: how many rows have it, and the first of them."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, int, str]] = {}

    def add(self, what: str, line: int, detail: str = "") -> None:
        count, first, example = self._found.get(what, (0, line, detail))
        self._found[what] = (count + 1, first, example)

    def sentences(self) -> Iterator[str]:
        for what, (count, line, example) in self._found.items():
            rows = f"{count:,} rows, first in line {line}" if count > 1 else f"line {line}"
            yield f"{what} in {rows}" + (f": {example}" if example else "")


class _Rows:
    """The rows of a file held against the test images, value by value."""

    def __init__(self, file: _File, image_ids: Collection[str]) -> None:
        self.file = file
        self.image_ids = frozenset(map(composed, image_ids))
        self.by_stem = {PurePosixPath(name).stem: name for name in sorted(self.image_ids)}
        self.found = _Findings()
        self.lines: dict[str, int] = {}  # of every image that is there, the first
        self.probabilities: dict[str, float] = {}
        self.thresholds: list[tuple[int, float]] = []  # with their lines

    def problems(self) -> list[str]:
        """Look at every row once, and return a sentence a mistake."""
        for line, row in self.file.rows:
            name = self._check_id(line, row.get("image_id"))
            prob = self._check_number(line, "prob", row.get("prob"))
            threshold = self._check_number(line, "threshold", row.get("threshold"))
            self._check_label(line, row.get("label"), prob, threshold)
            if threshold is not None:
                self.thresholds.append((line, threshold))
            if name is not None and prob is not None:
                self.probabilities[name] = prob
        self._check_thresholds()
        return [*self.found.sentences(), *self._missing()]

    def _missing(self) -> Iterator[str]:
        missing = sorted(self.image_ids - self.lines.keys())
        if missing and any("image_id" in row for _, row in self.file.rows):
            yield (
                f"{len(missing):,} of {len(self.image_ids):,} test images are missing, first "
                f"{_quoted(missing[0])}"
            )

    def _check_id(self, line: int, text: str | None) -> str | None:
        """Return the test image of a row; None, with what is wrong noted, if it is of none."""
        if text is None:
            return None
        name = self._resolve(line, text)
        if name is None:
            self.found.add("image_id is no test image", line, _quoted(text))
        elif name in self.lines:
            before = f"{_quoted(text)}, as in line {self.lines[name]}"
            self.found.add("an image is there once more", line, before)
        else:
            self.lines[name] = line
        return name

    def _resolve(self, line: int, text: str) -> str | None:
        """Return the test image that an id means, noting if it is not written as it should be."""
        text = composed(text)
        if text in self.image_ids:
            return text
        bare = PurePosixPath(text.strip().replace("\\", "/")).name
        stem = PurePosixPath(bare).stem
        if bare in self.image_ids:
            wrong, name = "image_id is more than the file name", bare
        elif bare in self.by_stem:
            wrong, name = "image_id lacks the extension", self.by_stem[bare]
        elif stem in self.by_stem:
            wrong, name = "image_id has another extension than the file", self.by_stem[stem]
        else:
            return None
        self.found.add(wrong, line, f"{_quoted(text)} should be {_quoted(name)}")
        return name

    def _check_number(self, line: int, column: str, text: str | None) -> float | None:
        """Return a number in [0, 1]; None, with what is wrong noted, if it is not one."""
        if text is None:
            return None
        value = _number(text)
        if value is None:
            self.found.add(f"{column} is not a number", line, _quoted(text))
            return None
        if not 0 <= value <= 1:
            self.found.add(f"{column} is outside [0, 1]", line, _quoted(text))
            return None
        return value

    def _check_thresholds(self) -> None:
        """Note the rows whose threshold is not that of most rows."""
        if self.thresholds:
            most, _ = Counter(value for _, value in self.thresholds).most_common(1)[0]
            for line, value in self.thresholds:
                if value != most:
                    self.found.add(f"threshold is not that of most rows, {most},", line, f"{value}")

    def _check_label(
        self, line: int, text: str | None, prob: float | None, threshold: float | None
    ) -> None:
        if text is None:
            return
        if re.fullmatch(r"[01]\.0*", text):
            self.found.add("label is written as a float, not as 0 or 1,", line, _quoted(text))
        elif text not in ("0", "1"):
            self.found.add("label is not 0 or 1", line, _quoted(text))
            return
        if prob is None or threshold is None:
            return
        if float(text) != float(prob >= threshold):
            why = f"label {text}, prob {prob}, threshold {threshold}"
            self.found.add("label contradicts prob >= threshold", line, why)


def _quoted(text: str) -> str:
    """Return a value as a sentence can show it: in quotes, of one line, not too long."""
    shown = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."
    return f"'{one_line(shown)}'"


def _number(text: str) -> float | None:
    """Return the finite number that a text is; None if it is none. Python alone takes ``1_0``."""
    return float(text) if _NUMBER.fullmatch(text) else None


def _same_probabilities(
    ours: dict[str, float], theirs: dict[str, float], name: str
) -> Iterator[str]:
    """Say if two files give every image that both have the same probability."""
    both = ours.keys() & theirs.keys()
    if not both:
        yield f"no test image has a prob here and in {name}, so the runs cannot be compared"
    elif all(ours[image] == theirs[image] for image in both):
        yield (
            f"prob is the same as in {name} for all {len(both):,} images that both have; the two "
            "runs must be those of two detectors"
        )
