"""The tables of a chapter: written down as CSV, and held against the committed ones."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from layerfusion.chapters import PUBLISHING, TOLERANCE, reference_folder, reference_record
from layerfusion.errors import UserError
from layerfusion.experiment import Experiment
from layerfusion.paths import runs_root

# Counts move with the threshold, by some of their size.
RELATIVE_TOLERANCE = 0.1


class ChapterTables:
    """What a chapter shows in numbers, at full precision.

    Pages show rounded numbers, so notebooks are compared by their figures only where these are
    exact; the tables themselves are what `compare` holds against the committed ones.
    """

    def __init__(self, chapter: str, experiment: Experiment) -> None:
        pd.set_option("display.max_colwidth", None)  # a page has room for a sentence
        self._chapter, self._experiment = chapter, experiment
        self._tables: dict[str, pd.DataFrame] = {}
        profile = experiment.profile.name
        published = os.environ.get(PUBLISHING)
        self._folder = Path(published or runs_root() / profile / "chapters")
        self._committed = reference_folder(profile)

    def keep(self, name: str, table: pd.DataFrame) -> pd.DataFrame:
        """Write a table as CSV, ``<chapter>-<name>.csv``, and return it, to be shown.

        A run that is being published writes to where the publication is laid together, any other
        below ``runs/<profile>/chapters``.
        """
        path = self._path(self._folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path)
        self._tables[name] = table
        return table

    def compare(self) -> str:
        """Compare the tables with the committed ones of the same profile, seed and settings.

        Returns
        -------
        str
            A sentence for the page: what was compared, or that there is nothing to compare with.

        Raises
        ------
        UserError
            If a table is missing there, has other rows or columns, or a number differs by more than
            `TOLERANCE` and more than a tenth of it.
        """
        if PUBLISHING not in os.environ:  # otherwise these tables become the committed ones
            if reference_record(self._experiment) is None:
                return "No tables of this profile, seed and settings are committed."
            for name in self._tables:
                self._compare(name)
        return f"{len(self._tables)} tables agree with the committed ones within {TOLERANCE}."

    def _compare(self, name: str) -> None:
        here, there = self._path(self._folder, name), self._path(self._committed, name)
        try:
            committed = pd.read_csv(there)
        except FileNotFoundError:
            raise UserError(f"{there.name} is not committed; publish the chapter anew") from None
        different = first_difference(pd.read_csv(here), committed)
        if different is not None:
            raise UserError(f"{there.name} differs from the committed table: {different}")

    def _path(self, folder: Path, name: str) -> Path:
        return folder / "tables" / f"{self._chapter}-{name}.csv"


def first_difference(here: pd.DataFrame, there: pd.DataFrame) -> str | None:
    """Say where two tables differ first, or return None where they agree within tolerance."""
    if list(here.columns) != list(there.columns) or len(here) != len(there):
        return f"its rows or columns are others ({here.shape} here, {there.shape} there)"
    for column in here.columns:
        a, b = here[column], there[column]
        if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
            near = np.isclose(a, b, atol=TOLERANCE, rtol=RELATIVE_TOLERANCE, equal_nan=True)
        else:
            near = ((a == b) | (a.isna() & b.isna())).to_numpy()
        if not near.all():
            row = int(np.flatnonzero(~near)[0])
            return f"{column}, row {row + 1}, is {a.iloc[row]} here and {b.iloc[row]} there"
    return None
