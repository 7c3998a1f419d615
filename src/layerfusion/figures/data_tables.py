"""Tables of the chapter on data: the paper's data sets as facts, the images at hand as counts."""

import html
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
from pandas.io.formats.style import Styler

from layerfusion.analysis.measures import RUNS
from layerfusion.analysis.shortcuts import audit, metadata_features
from layerfusion.data.manifest import SPLITS, Manifest
from layerfusion.data.sources.published import PUBLISHED
from layerfusion.errors import UserError
from layerfusion.figures.html_tables import lay_out_text, pivoted
from layerfusion.metrics.classes import CLASSES
from layerfusion.paper import numbers as paper
from layerfusion.runs.experiment import Experiment

UNLABELLED = "unlabelled"
CLASS_NAMES = (*CLASSES.values(), UNLABELLED)

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


def class_names(label: pd.Series) -> pd.Series:
    """Return the class of each label as an ordered category of `CLASS_NAMES`.

    Parameters
    ----------
    label
        A manifest's column: 0 real, 1 synthetic, <NA> unlabelled.
    """
    names = label.map(CLASSES).astype(object).fillna(UNLABELLED)
    return names.astype(pd.CategoricalDtype(list(CLASS_NAMES), ordered=True))


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


def file_properties(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what each file says of itself, beside its split and class.

    Parameters
    ----------
    rows
        A manifest's rows.

    Returns
    -------
    DataFrame
        In the order of `rows`: ``split`` and ``class`` (ordered categories), ``format`` (text),
        ``width``, ``height`` and ``shorter_side`` (px) and ``bytes_per_pixel`` (of the compressed
        file), float64.
    """
    table = metadata_features(rows)[["format", "width", "height", "bytes_per_pixel"]]
    table["format"] = table["format"].astype("str")
    table.insert(3, "shorter_side", table[["width", "height"]].min(axis=1))
    table.insert(0, "class", class_names(rows["label"]))
    splits = pd.CategoricalDtype(list(SPLITS), ordered=True)
    table.insert(0, "split", rows["split"].astype(splits))
    return table


def giveaways(manifest: Manifest) -> pd.DataFrame:
    """Return what the files of each class in each split have in common.

    Returns
    -------
    DataFrame
        Index: split and class. Columns: ``images``; the share of each format, in [0, 1], such as
        ``JPEG``; medians of ``width``, ``height`` and ``shorter_side`` (px) and
        ``bytes_per_pixel``; ``commonest_size`` (such as ``256 x 256``, of several the
        first as text) and
        ``share_of_it``, in [0, 1].
    """
    files = file_properties(manifest.rows)
    files["size"] = [f"{w:.0f} x {h:.0f}" for w, h in files[["width", "height"]].to_numpy()]
    grouped = files.groupby(["split", "class"], observed=True)
    shares = grouped["format"].value_counts(normalize=True).unstack().fillna(0.0)
    medians = grouped[["width", "height", "shorter_side", "bytes_per_pixel"]].median()
    # Of equally common sizes the first in order, or it would depend on the files' names.
    sizes = {group: own.value_counts().sort_index() for group, own in grouped["size"]}
    table = pd.concat([grouped.size().rename("images"), shares, medians], axis=1)
    table["commonest_size"] = [str(sizes[group].idxmax()) for group in table.index]
    table["share_of_it"] = [sizes[group].max() / sizes[group].sum() for group in table.index]
    table.index = pd.MultiIndex.from_tuples(
        [(str(split), str(name)) for split, name in table.index], names=["split", "class"]
    )
    return table


def audit_runs(experiment: Experiment) -> pd.DataFrame:
    """Audit the short cuts in the training images of both runs, on the same validation images.

    A run whose training images are not there, or that the profile does not have, is left out.

    Returns
    -------
    DataFrame
        ``run``, then the columns of `layerfusion.analysis.shortcuts.ShortcutReport`, a row a
        detector.

    Raises
    ------
    UserError
        If that leaves no run.
    ImageError
        If a file cannot be read.
    """
    tables = []
    for run in RUNS:
        other = replace(experiment, run=run)
        try:
            other.profile.run(run)
            other.check()
        except UserError:
            continue
        profile = other.profile
        table = audit(other.training, other.validation, profile.images, profile.loader)
        table.insert(0, "run", run)
        tables.append(table)
    if not tables:
        raise UserError(
            f"{experiment.manifest.root} has the training images of neither run: nothing to audit"
        )
    return pd.concat(tables, ignore_index=True)


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
