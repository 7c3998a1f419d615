"""The tables of a chapter: saved as CSV, and compared with the recorded ones."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from layerfusion.analysis.recorded import (
    FIXED,
    Difference,
    RecordComparison,
    Rule,
    compare_runs,
    compare_tables,
    same_kind,
    tolerances,
)
from layerfusion.files import in_place_of
from layerfusion.pages.chapters.parameters import PUBLISHING
from layerfusion.paths import reference_folder, runs_root
from layerfusion.runs.record import RECORD, Run, recorded_run
from layerfusion.settings import load_profile

if TYPE_CHECKING:  # it loads torch, which takes seconds
    from layerfusion.runs.experiment import Experiment


class ChapterTables:
    """What a chapter shows in numbers, at full precision.

    Pages show rounded numbers, so notebooks are compared by their text only where this is exact;
    the tables themselves are what `compare` compares with the recorded ones.

    Parameters
    ----------
    chapter
        Its name, such as ``02_constrained_run``.
    experiment
        That of its parameters; of a chapter that reads committed tables alone, the parameters.
    """

    def __init__(self, chapter: str, experiment: "Experiment | Mapping[str, Any]") -> None:
        pd.set_option("display.max_colwidth", None)  # a page has room for a sentence
        self._chapter, self._fixed = chapter, dict[str, bool]()
        self._experiment = None if isinstance(experiment, Mapping) else experiment
        if isinstance(experiment, Mapping):
            profile = load_profile(experiment["profile"], experiment["settings"]).name
        else:
            profile = experiment.profile.name
        published = os.environ.get(PUBLISHING)
        self._folder = Path(published or runs_root() / profile / "chapters")
        self._recorded = reference_folder(profile)

    def keep(self, name: str, table: pd.DataFrame, *, fixed: bool = False) -> pd.DataFrame:
        """Write a table as CSV, ``<chapter>-<name>.csv``, and return it, to be shown.

        A chapter that is being published writes to where the publication is laid together, any
        other below ``runs/<profile>/chapters``.

        Parameters
        ----------
        name
            Of the table, within the chapter.
        table
            What is shown.
        fixed
            Whether neither a run nor an image is in it: then it is the same on every machine.
        """
        path = self._path(self._folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with in_place_of(path, shared=True) as partial:
            table.to_csv(partial)
        self._fixed[name] = fixed
        return table

    def compare(self, *runs: Run) -> RecordComparison:
        """Compare the tables, and runs, with what is recorded of their profile, seed and settings.

        Returns
        -------
        RecordComparison
            For the page. A chapter that is being published becomes the record: it is compared with
            nothing, and says what a comparison will say.
        """
        if PUBLISHING in os.environ:
            for run in runs:
                shutil.copyfile(run.directory / RECORD, self._folder / f"{run.name}.json")
            return RecordComparison(against="itself")
        found, rule, experiment = list[Difference](), FIXED, self._experiment
        if experiment is not None:
            there = recorded_run(experiment.profile, experiment.run, experiment.seed)
            if there is None:
                return RecordComparison(against="nothing")
            rule = Rule(same_kind(there.record), tolerances(self._recorded))
            found = [d for run in runs for d in compare_runs(there.record, run.record, rule)]
        elif not self._recorded.is_dir():
            return RecordComparison(against="nothing")
        for name, fixed in self._fixed.items():
            found += self._compare(name, FIXED if fixed else rule)
        return RecordComparison(found)

    def _compare(self, name: str, rule: Rule) -> list[Difference]:
        here, there = self._path(self._folder, name), self._path(self._recorded, name)
        if not there.is_file():
            return [Difference(f"{name}, file", "none", here.name, 0.0, "differs")]
        return compare_tables(name, pd.read_csv(there), pd.read_csv(here), rule)

    def _path(self, folder: Path, name: str) -> Path:
        return folder / "tables" / f"{self._chapter}-{name}.csv"
