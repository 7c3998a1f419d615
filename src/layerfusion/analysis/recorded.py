"""Numbers made here, compared with the recorded ones: one rule, and the one place for tolerances.

Where the processor is of the recorded kind, computes in the same way and has the same libraries,
every number must be the recorded one. Elsewhere only those are judged that do not depend on a
threshold: ROC AUC, average precision, the first epoch's training loss. They may lie apart by as
much as was measured between simulated processors (`layerfusion study processors`), twice over.
Whatever comes of it is a result to show: nothing here stops a chapter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from layerfusion.arithmetic import arithmetic
from layerfusion.metrics.scored import Metric
from layerfusion.provenance import library_versions, processor
from layerfusion.runs.record import RunRecord

SPREAD = "processors.csv"  # in a reference folder: the table of `layerfusion study processors`
REFERENCE = "portable"  # the variant there that the records are made with
ROOM = 2.0  # of the largest distance that was measured

RANKING: tuple[Metric, ...] = ("roc_auc", "average_precision")
LOSS = "first_training_loss"
# The same two, as the paper's tables have them.
_MIRRORED = {
    "AUC": "roc_auc", "AP": "average_precision",
    "JPEG AUC": "roc_auc", "Launder AUC": "roc_auc",
}  # fmt: skip

Verdict = Literal["equal", "near", "not judged", "differs"]

AGREES = "What can be compared agrees with the recorded execution."
_TOLD: dict[Verdict, str] = {
    "equal": "are equal to the recorded ones",
    "near": "differ by no more than between processors",
    "not judged": "differ but depend on a threshold or on single images, which processors move",
    "differs": "differ by more than that",
}
SHOWN = 20  # rows of what is not equal, on a page
ALONE = "No execution of this profile, seed and settings is recorded: nothing to compare with."


class Difference(NamedTuple):
    """One number, here and recorded; `allowed` is None where it is not judged."""

    name: str
    recorded: Any
    here: Any
    allowed: float | None
    verdict: Verdict


def same_kind(record: RunRecord) -> bool:
    """Say whether this process computes as the recorded one did: then digits must be equal."""
    made = record.provenance
    told = ("vendor", "family", "model")
    there, here = made.get("processor"), processor()
    return (
        isinstance(there, dict)
        and all(there.get(name) is not None and there[name] == here[name] for name in told)
        and made.get("arithmetic") == arithmetic()
        and made.get("libraries") == library_versions()
    )


def tolerances(folder: Path) -> dict[str, float]:
    """Return how far each stable quantity may move, from the table of a reference folder.

    That is `ROOM` times the largest distance between a simulated processor and the reference, over
    both runs and all conditions. Empty where no such table is recorded.
    """
    path = folder / SPREAD
    return tolerances_of(pd.read_csv(path)) if path.is_file() else {}


def tolerances_of(table: pd.DataFrame) -> dict[str, float]:
    """Return the tolerances that a table of `layerfusion study processors` gives."""
    sound = table[~table["broken"]].set_index(["variant", "run"])
    found: dict[str, float] = {}
    for quantity in (LOSS, *RANKING):
        columns = [name for name in sound.columns if name.endswith(quantity)]
        apart = (sound[columns] - sound.loc[REFERENCE, columns]).abs()
        found[quantity] = ROOM * float(apart.to_numpy().max())
    return found


@dataclass(frozen=True)
class Rule:
    """How a number is judged: to the last digit, or as far as processors may differ.

    `allowed` is by quantity; what is not in it is not judged, unless `exact`.
    """

    exact: bool
    allowed: Mapping[str, float]

    def judge(self, name: str, quantity: str | None, recorded: Any, here: Any) -> Difference:
        """Compare one value with the recorded one."""
        if _equal(recorded, here):
            return Difference(name, recorded, here, None, "equal")
        if self.exact:
            return Difference(name, recorded, here, 0.0, "differs")
        if quantity is None or quantity not in self.allowed:
            return Difference(name, recorded, here, None, "not judged")
        allowed = self.allowed[quantity]
        near = bool(abs(recorded - here) <= allowed)  # False where one is not defined
        return Difference(name, recorded, here, allowed, "near" if near else "differs")


FIXED = Rule(exact=True, allowed={})


def compare_runs(recorded: RunRecord, here: RunRecord, rule: Rule) -> list[Difference]:
    """Compare what two records of one run say."""
    there, ours = (
        pd.DataFrame([{LOSS: own.history[0]["training_loss"], **own.metrics["ranking"]}]).assign(
            **own.metrics["calibrated"]
        )
        for own in (recorded, here)
    )
    return compare_tables(f"{here.run} run", there, ours, rule)


def compare_tables(
    name: str, recorded: pd.DataFrame, here: pd.DataFrame, rule: Rule
) -> list[Difference]:
    """Compare two tables as `pandas.read_csv` reads them, cell by cell.

    Columns must be the same everywhere; of the number of rows, which can depend on a threshold, and
    of other cells the rule decides.
    """
    if list(recorded.columns) != list(here.columns):
        columns = (", ".join(recorded.columns), ", ".join(here.columns))
        return [Difference(f"{name}, columns", *columns, 0.0, "differs")]
    if len(recorded) != len(here):
        return [rule.judge(f"{name}, rows", None, len(recorded), len(here))]
    quantities = _quantities(recorded)
    found = []
    for column in recorded.columns:
        pairs = zip(recorded[column], here[column], strict=True)
        for row, (there, ours) in enumerate(pairs):
            quantity = quantities.get((row, str(column)))
            found.append(rule.judge(f"{name}, {column}, row {row + 1}", quantity, there, ours))
    return found


@dataclass(frozen=True)
class RecordComparison:
    """Everything that a chapter compared; in a notebook it shows what is not equal.

    `against` says with what: the recorded execution, itself while it is being recorded, or nothing.
    """

    differences: Sequence[Difference] = ()
    against: Literal["recorded", "itself", "nothing"] = "recorded"

    @property
    def verdict(self) -> str:
        """One sentence, the same wherever the chapter agrees with its recorded execution."""
        if self.against == "nothing":
            return ALONE
        wrong = [d for d in self.differences if d.verdict == "differs"]
        if not wrong:
            return AGREES
        first = wrong[0]
        return (
            f"{len(wrong)} numbers differ from the recorded execution by more than another "
            f"processor explains, first {first.name}: {first.here} here, {first.recorded} recorded."
        )

    def table(self) -> pd.DataFrame:
        """Return the numbers that are not equal, those first that differ by too much.

        Returns
        -------
        DataFrame
            ``number``, ``recorded``, ``here``, ``may differ by`` (NaN: not judged), ``verdict``.
        """
        order: list[Verdict] = ["differs", "near", "not judged"]
        rows = [d for verdict in order for d in self.differences if d.verdict == verdict]
        columns = ["number", "recorded", "here", "may differ by", "verdict"]
        return pd.DataFrame(rows, columns=columns)

    def summary(self) -> str:
        """Say in a sentence how many numbers were compared and what came of them."""
        if self.against != "recorded":
            return "These are the recorded numbers." if self.against == "itself" else ALONE
        verdicts = [d.verdict for d in self.differences]
        told = [f"{verdicts.count(v)} {text}" for v, text in _TOLD.items() if v in verdicts]
        return f"Of {len(verdicts)} numbers, {', '.join(told)}."

    def __repr__(self) -> str:
        """Return the sentence alone, for a terminal."""
        return self.summary()

    def _repr_html_(self) -> str:
        table = self.table()
        if table.empty:
            return f"<p>{self.summary()}</p>"
        rows = table.head(SHOWN).to_html(index=False, float_format="{:.6g}".format, na_rep="")
        more = f"<p>and {len(table) - SHOWN} more</p>" if len(table) > SHOWN else ""
        return f"<p>{self.summary()}</p>{rows}{more}"


def _quantities(table: pd.DataFrame) -> dict[tuple[int, str], str]:
    """Return which cells of a table hold a stable quantity, by row and column.

    Three kinds of tables have them: a column of that name, a column ``estimate`` of rows whose
    ``metric`` is that name, and the paper's tables, whose ``column`` is the paper's name.
    """
    found = {}
    for row, cells in enumerate(table.to_dict("records")):
        for column in (LOSS, *RANKING):
            if column in cells:
                found[row, column] = column
        if cells.get("metric") in RANKING and "estimate" in cells:
            found[row, "estimate"] = str(cells["metric"])
        if cells.get("column") in _MIRRORED and "run" in cells:
            found[row, "run"] = _MIRRORED[str(cells["column"])]
    return found


def _equal(recorded: Any, here: Any) -> bool:
    if isinstance(recorded, str) or isinstance(here, str):
        return bool(recorded == here)
    # A CSV keeps all digits of a number; sums in another order are not what is looked for.
    return np.isclose(float(recorded), float(here), rtol=1e-9, atol=1e-12, equal_nan=True).item()
