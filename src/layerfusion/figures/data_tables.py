"""Tables of the chapter on data: the paper's data sets as facts, the images at hand as counts."""

import html
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
from pandas.io.formats.style import Styler

from layerfusion.analysis.measures import RUNS
from layerfusion.data.sources.published import PUBLISHED
from layerfusion.errors import UserError
from layerfusion.experiments.shortcuts import run_shortcuts
from layerfusion.figures.html_tables import lay_out_text, pivoted
from layerfusion.metrics.classes import CLASS_NAMES, class_names
from layerfusion.paper import numbers as paper
from layerfusion.progress import Reporter
from layerfusion.runs.experiment import Experiment

# What images are for, in the order of the counts.
CONSTRAINED = "training, constrained run"
ADDED = "training, added for the open run"
LOCAL = "local validation"
OFFICIAL = "official test"
UNUSED = "training, in neither run"
HELD_OUT = "held out, in no run"


DATA_SETS = tuple(PUBLISHED.values())


def public_data_sets() -> pd.DataFrame:
    """Return the facts of `DATA_SETS`, a row each: data_set, fact, value and source, all text."""
    rows = []
    for data_set in DATA_SETS:
        for name, fact in data_set.facts.items():
            rows.append((data_set.name, name, fact.text, fact.source))
    return pd.DataFrame(rows, columns=["data_set", "fact", "value", "source"])


def styled_data_sets(facts: pd.DataFrame) -> Styler:
    """Lay `public_data_sets` out with a row a data set; small numbers lead to the sources below."""
    numbers = {source: number for number, source in enumerate(facts["source"].unique(), start=1)}
    cells = [
        f"{html.escape(value)}&nbsp;<sup>{numbers[source]}</sup>"
        for value, source in zip(facts["value"], facts["source"], strict=True)
    ]
    listed = "; ".join(f"{number} {html.escape(source)}" for source, number in numbers.items())
    caption = (
        "What others say of these sets: nothing here was measured by this project. "
        f"Said by: {listed}."
    )
    wide = pivoted(facts.assign(cell=cells), "data_set", "fact", "cell")
    return lay_out_text(wide, "data-sets", caption)


def mirrored_counts(experiment: Experiment) -> pd.DataFrame:
    """Return how many images the paper and a profile have, by what they are for and by source.

    A source of training images belongs to the constrained run if that trains on it, else to the
    open run. Of a source, those images count that the run's selection takes; the others are in
    neither run.

    Returns
    -------
    DataFrame
        Index: ``part`` (what the images are for) and ``of`` (``the paper``, or the profile), the
        paper's first in each part. Columns: ``source`` (text; ``none`` where a part has no images)
        and the numbers of images, ``real``, ``synthetic`` and ``unlabelled`` (int).
    """
    columns = ["part", "source", "real", "synthetic"]
    theirs = pd.DataFrame(_paper_counts(), columns=columns).assign(of="the paper", unlabelled=0)
    ours = _counts(experiment).assign(of=f"{experiment.profile.name} profile")
    table = pd.concat([theirs, ours])
    order = {part: number for number, part in enumerate((CONSTRAINED, ADDED, LOCAL, OFFICIAL))}
    table = table.sort_values("part", key=lambda part: part.map(order), kind="stable")
    return table.set_index(["part", "of"])[["source", *CLASS_NAMES]]


def audit_runs(experiment: Experiment) -> pd.DataFrame:
    """Fit shortcut baselines on the training images of both runs, score the same validation images.

    A run whose training images are not there, or that the profile does not have, is left out.

    Returns
    -------
    DataFrame
        ``run``, then the columns of `layerfusion.analysis.shortcuts.report_shortcut`, a row a
        detector.

    Raises
    ------
    UserError
        If that leaves no run.
    ImageError
        If a file cannot be read.
    """
    runs = [run for run in RUNS if _is_there(replace(experiment, run=run))]
    if not runs:
        raise UserError(
            f"{experiment.manifest.root} has the training images of neither run: nothing to audit"
        )
    return run_shortcuts(experiment, runs, Reporter())


def duplicate_counts(duplicates: pd.DataFrame) -> pd.DataFrame:
    """Return how many pairs of equal or nearly equal images lie in each two splits.

    Parameters
    ----------
    duplicates
        As `layerfusion.data.duplicates.find_duplicates` returns them.

    Returns
    -------
    DataFrame
        Columns kind, split_a, split_b, ``pairs`` and ``of_other_class``, the pairs of one real and
        one synthetic image (int).
    """
    # A missing label is no other class.
    other = (duplicates["label_a"] != duplicates["label_b"]).fillna(False).astype(int)
    grouped = duplicates.assign(other=other).groupby(["kind", "split_a", "split_b"], sort=False)
    return grouped["other"].agg(pairs="size", of_other_class="sum").reset_index()


def _is_there(experiment: Experiment) -> bool:
    """Say whether the profile has the run, and the data root its images."""
    try:
        experiment.profile.run(experiment.run)
        experiment.check()
    except UserError:
        return False
    return True


def _paper_counts() -> Iterator[tuple[str, str, int, int]]:
    """Yield part, data set, real and synthetic images of the paper."""
    each = paper.TRAINING_IMAGES["constrained"]
    added = paper.TRAINING_IMAGES["open"] - each
    yield CONSTRAINED, PUBLISHED["coco"].name, each, 0
    yield CONSTRAINED, PUBLISHED["corvi"].name, 0, each
    yield ADDED, PUBLISHED["truefake"].name, added, added
    yield LOCAL, PUBLISHED["itw_sm"].name, *paper.IMAGES["local"]
    yield OFFICIAL, PUBLISHED["mediaeval_test"].name, *paper.IMAGES["official"]


def _counts(experiment: Experiment) -> pd.DataFrame:
    """Return part, source and images of each class of a profile; source none of an empty part."""
    rows = experiment.manifest.rows
    others = {"train": UNUSED, "val": LOCAL, "test": OFFICIAL, "heldout": HELD_OUT}
    part = rows["split"].map(others)
    for run, name in (("open", ADDED), ("constrained", CONSTRAINED)):
        if run in experiment.profile.runs:
            chosen = replace(experiment, run=run).selection.rows
            part[rows["path"].isin(chosen["path"])] = name
    by = [part.rename("part"), rows["source"]]
    counts = pd.crosstab(by, class_names(rows["label"]).astype(str))
    table = counts.reindex(columns=list(CLASS_NAMES), fill_value=0).reset_index()
    empty = [name for name in (CONSTRAINED, ADDED, LOCAL, OFFICIAL) if name not in set(part)]
    nothing = pd.DataFrame({"part": empty, "source": "none", **dict.fromkeys(CLASS_NAMES, 0)})
    return pd.concat([table, nothing])
