"""The images at hand: the paper's data sets as facts, counts, formats, sizes, shortcuts."""

import html
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter
from numpy.typing import NDArray
from pandas.io.formats.style import Styler

from layerfusion.analysis.measures import RUNS
from layerfusion.data.card import IMAGES, SOURCES, WHAT
from layerfusion.data.manifest import Manifest
from layerfusion.data.metadata import file_properties
from layerfusion.data.sources.published import PUBLISHED
from layerfusion.data.tables import read_parquet
from layerfusion.errors import UserError
from layerfusion.experiments.shortcuts import run_shortcuts
from layerfusion.images.reading import read_image
from layerfusion.images.transforms import EvaluationTransform
from layerfusion.metrics.classes import CLASS_NAMES, class_names
from layerfusion.metrics.uncertainty import LEVEL
from layerfusion.pages.figures.formatting import SENTENCES, lay_out, pivoted, rate_cells
from layerfusion.pages.figures.intervals import draw_band, interval_panels
from layerfusion.pages.figures.style import COLOURS, SHADES, finish
from layerfusion.paper import numbers as paper
from layerfusion.progress import Reporter
from layerfusion.runs.experiment import Experiment
from layerfusion.settings import ImageSettings

# What images are for, in the order of the counts.
CONSTRAINED = "training, constrained run"
ADDED = "training, added for the open run"
LOCAL = "local validation"
OFFICIAL = "official test"
UNUSED = "training, in neither run"
HELD_OUT = "held out, in no run"

# The classes on every figure here, told apart by line too.
LINES: dict[Any, Any] = dict(zip(CLASS_NAMES, ("-", "--", ":"), strict=True))

# What the shortcut baselines of `layerfusion.analysis.shortcuts` look at, in a reader's words.
FEATURES = {
    "metadata": "all metadata together",
    "width alone": "width",
    "height alone": "height",
    "aspect alone": "aspect ratio",
    "megapixels alone": "number of pixels",
    "bytes alone": "size of the file",
    "bytes_per_pixel alone": "bytes per pixel",
    "format alone": "file format",
    "radial spectrum": "radial spectrum",
}

TITLE: dict[str, Any] = {"loc": "left", "fontweight": "bold", "fontsize": "medium"}

# Beyond this ratio of largest to smallest value an axis is logarithmic.
WIDE = 20


def public_data_sets() -> pd.DataFrame:
    """Return the facts of `PUBLISHED`, a row each: data_set, fact, value and source, all text."""
    rows = [
        (data_set.name, name, fact.text, fact.source)
        for data_set in PUBLISHED.values()
        for name, fact in data_set.facts.items()
    ]
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
    return lay_out(wide, "data-sets", caption, SENTENCES)


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
    """Fit the shortcut baselines on the training images of each run; score the validation images.

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
    runs = []
    for run in RUNS:
        with suppress(UserError):
            replace(experiment, run=run).check()
            runs.append(run)
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


def sources_table(folder: Path) -> pd.DataFrame:
    """Return the sources of a card, those of real images first, each class by its images.

    Returns
    -------
    DataFrame
        Columns source, class (``real``, ``generated`` or ``both``), generators (empty where none is
        known), train and val (numbers of images, int64) and licence (text).

    Raises
    ------
    UserError
        If there is no card in the folder.
    """
    sources = _card(folder, lambda: pd.read_csv(folder / SOURCES, keep_default_na=False))
    sources["class"] = sources["what"].astype(pd.CategoricalDtype(list(WHAT), ordered=True))
    sources["images"] = -(sources["train"] + sources["val"])
    sources = sources.sort_values(["class", "images", "source"], ignore_index=True)
    return sources[["source", "class", "generators", "train", "val", "licence"]]


def counts_table(folder: Path) -> pd.DataFrame:
    """Return how many labelled images of a card are in each split, class and style.

    Returns
    -------
    DataFrame
        Index: split and class. Columns: the styles, sorted (``unknown`` where none is said), and
        ``all``; int64.

    Raises
    ------
    UserError
        If there is no card in the folder.
    """
    images = _card(folder, lambda: read_parquet(folder / IMAGES))
    kinds = [images["split"], class_names(images["label"]).astype(str).rename("class")]
    counts = pd.crosstab(kinds, images["style"].replace("", "unknown"))
    return counts.assign(all=counts.sum(axis=1)).rename_axis(columns=None)


def metadata_leakage(manifest: Manifest) -> Figure:
    """Draw formats, shorter sides and bytes per pixel of each class, a row of panels a split.

    Where the curves of the two classes lie apart, a file's size or compression tells its class.
    """
    files = file_properties(manifest.rows)
    splits = files.groupby("split", observed=True)
    figure, grid = plt.subplots(
        len(splits), 3, figsize=(7.5, 0.6 + 1.5 * len(splits)), width_ratios=(0.7, 1, 1),
        layout="constrained", sharex="col", squeeze=False,
    )  # fmt: skip
    formats = sorted(files["format"].unique(), reverse=True)
    for (split, members), panels in zip(splits, grid, strict=True):
        _formats(panels[0], members, formats)
        panels[0].set_title(split, **TITLE)
        for panel, column in zip(panels[1:], ("shorter_side", "bytes_per_pixel"), strict=True):
            _curves(panel, members, column)
            _scale(panel, files[column])
        panels[1].set_ylabel("images at or below")
        panels[2].tick_params(labelleft=False)
    labels = ("share of images", "shorter side (px)", "bytes per pixel of the file")
    for panel, label in zip(grid[-1], labels, strict=True):
        panel.set_xlabel(label)
    present = [name for name in CLASS_NAMES if (files["class"] == name).any()]
    keys = [
        Line2D([], [], color=SHADES[name], linestyle=LINES[name], label=name) for name in present
    ]
    figure.legend(handles=keys, loc="outside upper right", ncols=3, frameon=False)
    return finish(figure)


def metadata_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return `layerfusion.data.metadata.metadata_by_class` as texts, narrow enough for a page."""
    names = ["images", "width", "height", "shorter_side", "bytes_per_pixel"]
    formats = table.drop(columns=[*names, "commonest_size", "share_of_it"])
    cells = {
        "images": table["images"],
        "formats": [
            ", ".join(f"{share:.0%} {name}" for name, share in row.items() if share)
            for row in formats.to_dict("records")
        ],
        "median width (px)": table["width"],
        "median height (px)": table["height"],
        "bytes per pixel": table["bytes_per_pixel"].map("{:.3f}".format),
        "most frequent size": [
            f"{size} ({share:.1%})"
            for size, share in zip(table["commonest_size"], table["share_of_it"], strict=True)
        ],
    }
    return pd.DataFrame(cells, index=table.index).astype(str)


def spectra_beside_images(
    manifest: Manifest, spectra: NDArray[np.float64], settings: ImageSettings
) -> Figure:
    """Draw a typical image of each class beside the radial spectra of the classes.

    Typical is the image whose spectrum is nearest to the median of its class.

    Parameters
    ----------
    manifest
        Images of both classes.
    spectra
        Shape (images, radii), as `layerfusion.analysis.shortcuts.radial_spectra` returns them.
    settings
        How an image is cropped for evaluation.
    """
    figure, (*squares, axes) = plt.subplots(
        1, 3, figsize=(7.5, 2.6), width_ratios=(1, 1, 1.9), dpi=160, layout="constrained"
    )
    names = class_names(manifest.rows["label"])
    for square, (name, colour) in zip(squares, COLOURS.items(), strict=True):
        own = np.flatnonzero(names == name)
        low, median, high = np.quantile(spectra[own], (0.25, 0.5, 0.75), axis=0)
        typical = own[np.abs(spectra[own] - median).sum(axis=1).argmin()]
        crop = EvaluationTransform(settings)(read_image(manifest.files[typical]))
        square.imshow(crop.permute(1, 2, 0).numpy(), interpolation="nearest")
        square.set_axis_off()
        square.set_title(name, color=colour)
        band = {"radius": np.arange(1, spectra.shape[1] + 1), "log": median}
        table = pd.DataFrame(band | {"low": low, "high": high})
        draw_band(axes, table, "radius", "log", color=colour, linestyle=LINES[name], label=name)
    axes.set(xlabel="radius: from coarse to fine detail", ylabel=r"$\log_{10}$ of power")
    axes.legend(frameon=False)
    return finish(figure)


def shortcut_audit(audit: pd.DataFrame) -> Figure:
    """Draw the ROC AUC of every shortcut baseline with its interval, by the run it learned from.

    Parameters
    ----------
    audit
        As `layerfusion.experiments.shortcuts.run_shortcuts` returns it.
    """
    table = audit.assign(name=audit["name"].map(FEATURES), panel="dotted: chance")
    label = f"ROC AUC on validation images, {LEVEL:.0%} interval over images"
    return interval_panels(table, "roc_auc", label, rows="name", panels="panel", line=0.5)


def shortcut_cells(audit: pd.DataFrame) -> pd.DataFrame:
    """Return the audit as texts, indexed by ``run`` and the feature as `FEATURES` names it."""
    index = [audit["run"], audit["name"].map(FEATURES).rename("feature")]
    return pd.DataFrame(rate_cells(audit)).set_index(index)


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


def _card(folder: Path, read: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    try:
        return read()
    except (OSError, ValueError, UserError):
        message = f"there is no data card in {folder}; `layerfusion data card` writes one"
        raise UserError(message) from None


def _formats(axes: Axes, files: pd.DataFrame, formats: list[str]) -> None:
    """Draw the share of each format among each class."""
    shares = pd.crosstab(files["format"], files["class"].astype(str), normalize="columns")
    present = [name for name in reversed(CLASS_NAMES) if name in shares]  # the first on top
    shares = shares[present].reindex(formats, fill_value=0.0)
    shares.plot.barh(ax=axes, color=SHADES, width=0.65, legend=False, xlim=(0, 1), ylabel="")
    margin = 1.0 if len(formats) == 1 else 0.55  # a single bar as wide as its panel is no bar
    axes.set_ylim(-margin, len(formats) - 1 + margin)
    axes.xaxis.set_major_formatter(PercentFormatter(1))


def _curves(axes: Axes, files: pd.DataFrame, column: str) -> None:
    """Draw the share of each class's images at or below each value."""
    for name, own in files.groupby("class", observed=True):
        # Not Axes.ecdf: with equal values its `compress` ends below 1 (seen in matplotlib 3.11.2).
        style = {"color": SHADES[name], "linestyle": LINES[name], "linewidth": 1.6}
        sns.ecdfplot(x=own[column], ax=axes, **style)
    axes.set(xlabel="", ylabel="", ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def _scale(axes: Axes, values: pd.Series) -> None:
    """Make the horizontal axis logarithmic where values differ by orders of magnitude."""
    if values.max() > WIDE * values.min():
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
