"""Numbers by group of images: by source, style, folder, size or whatever a column says.

One number over all images hides the source that a detector fails on, and whether it separates
photographs from generated images or photographs from drawings. ROC AUC of images of one class is
that against all images of the other class.

Means over seeds have the interval of `layerfusion.metrics.measured`; ``over`` says over what it is.
Of one source it is over other images of it and other seeds: what a source that is not there would
do, it does not know.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.measured import Measured
from layerfusion.metrics.scored import Metric, ScoredImages, with_other_class
from layerfusion.metrics.significance import groups_above_the_rest, holm
from layerfusion.metrics.uncertainty import (
    Interval,
    image_interval,
    resample_images,
    resampled_roc_auc,
    share_interval,
    with_known_spread,
)

# Styles of generated images: what each name on a page takes in. ``mixed`` sources hold photographic
# images and illustrations, nobody has said which are which, so they stand alone and are in neither.
STYLES: Mapping[str, tuple[str, ...]] = {
    "photographic": ("photo", "face"),
    "mixed": ("mixed",),
    "illustration": ("art",),
}
EVERY, UNKNOWN = "all", "unknown"

# The columns of a `MeasuredInterval`.
INTERVAL = ("estimate", "low", "high", "over", "images_low", "images_high")

# Of fewer images a group's number says too little for it to be called the worst.
FEWEST_IMAGES = 10

Members = NDArray[np.bool_]  # which images, shape (images,)
Measure = Callable[[Members], Mapping[str, Any]]


def by_group(
    images: pd.DataFrame,
    by: str | Sequence[str],
    measure: Measure,
    groups: Mapping[Any, Members] | None = None,
) -> pd.DataFrame:
    """Measure every group of images.

    Parameters
    ----------
    images
        A row an image.
    by
        The columns whose values make the groups; a missing value is `UNKNOWN`.
    measure
        Of a group's members: returns numbers by name. An interval of the name x becomes the columns
        ``x``, ``x_low`` and ``x_high``.
    groups
        Members by the value of `by`, where no column has it.

    Returns
    -------
    DataFrame
        A row a group, in the order of their values: `by`, ``images`` and what `measure` returns.
    """
    columns = [by] if isinstance(by, str) else list(by)
    if groups is None:
        groups = members_by(images, columns)
    rows = []
    for value, own in groups.items():
        key = dict(zip(columns, value if isinstance(value, tuple) else (value,), strict=True))
        rows.append(key | {"images": int(own.sum())} | _flat(measure(own)))
    return pd.DataFrame(rows)


def members_by(images: pd.DataFrame, by: Sequence[str]) -> dict[Any, Members]:
    """Return which images have each combination of values that there is, sorted by these."""
    values = images[list(by)].reset_index(drop=True).fillna(UNKNOWN)
    found = {}
    for value, rows in sorted(values.groupby(list(by)).indices.items()):
        found[value] = np.zeros(len(images), dtype=bool)
        found[value][rows] = True
    return found


def size_ranges(images: pd.DataFrame, small: int) -> dict[str, Members]:
    """Return which images have a shorter side below `small` px, up to twice as long, longer."""
    shorter = images[["width", "height"]].min(axis=1).to_numpy(dtype=np.int64)
    return {
        f"< {small} px": shorter < small,
        f"{small} to {2 * small} px": (shorter >= small) & (shorter <= 2 * small),
        f"> {2 * small} px": shorter > 2 * small,
    }


def style_groups(images: pd.DataFrame) -> dict[str, Members]:
    """Return which synthetic images are in each group of `STYLES` or `UNKNOWN` that has any."""
    synthetic = (images["label"] == 1).to_numpy(dtype=bool)
    named = {one: name for name, styles in STYLES.items() for one in styles}
    style = images["style"].map(named).fillna(UNKNOWN)
    groups = {name: synthetic & (style == name).to_numpy(dtype=bool) for name in (*STYLES, UNKNOWN)}
    return {name: own for name, own in groups.items() if own.any()}


def source_table(scored: ScoredImages) -> pd.DataFrame:
    """Compare each source's images of a class with all images of the other class.

    Returns
    -------
    DataFrame
        A row a class and source, the worst source of each class first: ``class`` (real or
        synthetic), ``source``, ``images`` (of it), ``estimate``, ``low`` and ``high`` of ROC AUC in
        [0, 1], ``seeds``.
    """
    table = by_group(_with_class(scored), ["class", "source"], _auc(scored))
    return table.sort_values(["class", "estimate"], ascending=[False, True], ignore_index=True)


def worst_sources(scored: ScoredImages) -> pd.DataFrame:
    """Return the lowest ROC AUC that a source of each class has, and of which source it is.

    Each seed has a lowest of its own, and so has every resample of the images, whichever source it
    is of. The lowest of several uncertain numbers lies too low, in the resamples lower still than
    in the images themselves: read it as what to expect at worst, not as the value of one source.

    Returns
    -------
    DataFrame
        A row a class: ``class``, ``source`` (the lowest on average over seeds), ``sources`` (how
        many with `FEWEST_IMAGES` images or more there are to choose from), then as in
        `source_table`. No row of a class without such a source.
    """
    rows, groups = [], members_by(_with_class(scored), ["class", "source"])
    for name in CLASSES.values():
        values = {
            source: scored.against_others(own)
            for (kind, source), own in groups.items()
            if kind == name and own.sum() >= FEWEST_IMAGES
        }
        if values:
            worst = min(values, key=lambda source: float(values[source].estimates.mean()))
            row = {"class": name, "source": worst, "sources": len(values)}
            lowest = replace(
                values[worst].without_sources(),
                estimates=np.fmin.reduce([own.estimates for own in values.values()]),
                replicates=np.fmin.reduce([own.replicates for own in values.values()]),
            )
            rows.append(row | _over_seeds(lowest))
    return pd.DataFrame(rows)


def style_table(scored: ScoredImages) -> pd.DataFrame:
    """Compare generated images of each style with all real images.

    Returns
    -------
    DataFrame
        A row a group of `STYLES` that there is, ``all`` before and ``unknown`` (style not said)
        after them: ``style``, ``images`` (generated ones), ``share`` of the generated images, then
        ``estimate``, ``low`` and ``high`` of ROC AUC in [0, 1], ``seeds``. The AUC of ``all`` is
        the mean of the others', weighted by their shares.
    """
    table = by_group(scored.images, "style", _auc(scored), _styles(scored))
    table.insert(2, "share", table["images"] / (scored.label == 1).sum())
    return table


def style_gaps(scored: ScoredImages) -> pd.DataFrame:
    """Return how much of the AUC comes from generated images that are drawings.

    Returns
    -------
    DataFrame
        A row a difference of ROC AUC to that of photographic images, of ``all`` (what the other
        styles add to the number over all images) and of ``illustration``, where there are such:
        ``minuend``, then ``estimate``, ``low``, ``high`` (in [-1, 1], paired over images) and
        ``seeds``.
    """
    values = {name: scored.against_others(own) for name, own in _styles(scored).items()}
    rows = [
        {"minuend": style} | _over_seeds(values[style] - values["photographic"])
        for style in (EVERY, "illustration")
        if style in values and "photographic" in values
    ]
    return pd.DataFrame(rows, columns=["minuend", *INTERVAL, "seeds"])


def size_table(scored: Mapping[str, ScoredImages], small: int) -> pd.DataFrame:
    """Measure runs on images of each size: shorter side below s, from s to 2s, above.

    Parameters
    ----------
    scored
        By run, with ``width`` and ``height``.
    small
        s in px: 512 in the paper, whose Table 2 has the first.

    Returns
    -------
    DataFrame
        Columns ``run``, ``shorter side``, ``images``, then ``f1``, ``recall``, ``roc_auc``, each
        with ``_low`` and ``_high``; NaN where a range lacks a class, bounds also where it has one
        image of a class.
    """
    parts = []
    for run, own in scored.items():
        ranges = size_ranges(own.images, small)
        found = by_group(own.images, "shorter side", partial(_rates, own), ranges)
        parts.append(found.assign(run=run))
    table = pd.concat(parts, ignore_index=True)
    return table[["run", *table.columns.drop("run")]]


def folder_table(
    folder: ArrayLike, label: ArrayLike, logit: ArrayLike, predicted: ArrayLike
) -> pd.DataFrame:
    """Return the rates of each folder, the one with most errors first.

    Parameters
    ----------
    folder, label, logit, predicted
        Where an image comes from, 0 or 1 (both of them), its score, and whether it is predicted
        synthetic; shape (n,).

    Returns
    -------
    DataFrame
        ``folder``, ``real`` and ``synthetic`` (images); for each of ``roc_auc``, ``accuracy``,
        ``recall`` (of synthetic images) and ``fpr`` (of real ones) the estimate, ``_low`` and
        ``_high``, in [0, 1], NaN where the folder has no such image. The AUC of a folder of one
        class is against all images of the other class; ``against`` says what it is against,
        ``itself`` or the other class.
    """
    labels, logits, calls = (np.asarray(one) for one in (label, logit, predicted))

    def measure(own: Members) -> dict[str, Any]:
        kinds = np.unique(labels[own])
        held = own if len(kinds) == 2 else with_other_class(labels, own)
        right = calls[own] == labels[own]
        specificity, recall = correct_by_class(labels[own], calls[own])
        return {CLASSES[kind]: int((labels[own] == kind).sum()) for kind in CLASSES} | {
            "against": "itself" if len(kinds) == 2 else f"all {CLASSES[1 - int(kinds[0])]}",
            "roc_auc": auc_interval(labels[held], logits[held]),
            "accuracy": share_interval(int(right.sum()), len(right)),
            "recall": recall,
            "fpr": specificity.complement,
        }

    table = by_group(pd.DataFrame({"folder": folder}), "folder", measure).drop(columns="images")
    return table.sort_values(["accuracy", "folder"], kind="stable", ignore_index=True)


def worst_folder(table: pd.DataFrame) -> pd.Series | None:
    """Return the row with most errors of the folders with ten images or more; None without any."""
    enough = table[table["real"] + table["synthetic"] >= FEWEST_IMAGES]
    return None if enough.empty else enough.iloc[0]


def auc_interval(label: ArrayLike, logit: ArrayLike) -> Interval:
    """Return ROC AUC with its interval over other images; its ends are NaN of a lone image."""
    labels: NDArray[np.int64] = np.asarray(label, dtype=np.int64)
    counts = with_known_spread(labels, resample_images(labels))
    return image_interval(resampled_roc_auc(labels, logit, counts))


def correct_by_class(label: ArrayLike, predicted: ArrayLike) -> tuple[Interval, Interval]:
    """Return specificity and recall: correct predictions of real and synthetic images (Wilson)."""
    labels, calls = np.asarray(label), np.asarray(predicted, dtype=bool)
    real, synthetic = (
        share_interval(int((calls[labels == kind] == kind).sum()), int((labels == kind).sum()))
        for kind in (0, 1)
    )
    return real, synthetic


def error_share(wrong: NDArray[np.bool_]) -> Measure:
    """Return what measures a group's errors, of errors of shape (seeds, images).

    ``errors`` and ``share``, means over seeds; ``low`` and ``high``, Wilson's interval of the share
    in the seed whose number of errors is nearest to that mean: over other images, not other seeds.
    """

    def measure(own: Members) -> dict[str, float]:
        errors, images = float(wrong[:, own].sum(axis=1).mean()), int(own.sum())
        found = share_interval(round(errors), images)
        low, high = min(found.low, errors / images), max(found.high, errors / images)
        return {"errors": errors, "share": errors / images, "low": low, "high": high}

    return measure


def errors_by_source(scored: ScoredImages) -> pd.DataFrame:
    """Return the share of errors at the threshold in each source, the worst of a class first.

    Returns
    -------
    DataFrame
        ``class`` (real: errors are false positives; synthetic: misses), ``source``, ``images``,
        then as `error_share`.
    """
    table = by_group(_with_class(scored), ["class", "source"], error_share(scored.wrong))
    order = ["class", "share", "source"]
    return table.sort_values(order, ascending=[True, False, True], ignore_index=True)


def errors_by_group(
    scored: Mapping[str, ScoredImages],
    properties: Callable[[pd.DataFrame], Iterable[tuple[str, pd.Series]]],
) -> pd.DataFrame:
    """Return each run's share of errors in groups of the images, class by class.

    Parameters
    ----------
    scored
        Images by run, with thresholds.
    properties
        Of the images of a class: by what they are grouped, a name and each image's value. A
        property of one value alone tells nothing and is left out, and so is one that groups images
        as one before it does; an image without a value is in none of its groups.

    Returns
    -------
    DataFrame
        A row a group, `EVERY` image first: ``run``; ``class`` (real: errors are false positives;
        synthetic: false negatives); ``by``, ``value``, ``images``; ``errors``, ``share`` (in [0,
        1]), ``low`` and ``high`` of `error_share`; ``expected``, the share if these images were as
        all of their sources, of a source as all images; ``p``, of
        `layerfusion.metrics.significance.groups_above_the_rest` within sources, of a source among
        all, NaN of all images; ``p_holm``, corrected over all groups of all runs.
    """
    parts = []
    for run, own in scored.items():
        for label, name in CLASSES.items():
            members = own.label == label
            if members.any():
                images = own.images[members]
                found = _errors(own.wrong[:, members], properties(images), _source(images))
                found.insert(0, "run", run)
                found.insert(1, "class", name)
                parts.append(found)
    table = pd.concat(parts, ignore_index=True)
    return table.assign(p_holm=holm(table["p"].to_numpy()))


def worst_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Return, of each class and run, all images' row and that of the group with most errors.

    Parameters
    ----------
    table
        Of `errors_by_group`. A group of fewer than `FEWEST_IMAGES` is not called the worst.

    Returns
    -------
    DataFrame
        Two rows a run and class, or one where no group is large enough.
    """
    parts = []
    for _, own in table.groupby(["run", "class"], sort=False):
        groups = own[(own["by"] != EVERY) & (own["images"] >= FEWEST_IMAGES)]
        parts += [own[own["by"] == EVERY], groups.nlargest(1, "share")]
    return pd.concat(parts, ignore_index=True)


def _errors(
    wrong: NDArray[np.bool_], properties: Iterable[tuple[str, pd.Series]], source: pd.Series
) -> pd.DataFrame:
    """Return the rows of one run and class, of errors of shape (seeds, images)."""
    share, groups = wrong.mean(axis=0), {(EVERY, EVERY): np.ones(wrong.shape[1], dtype=bool)}
    names = source.fillna(UNKNOWN).to_numpy(dtype=str)
    seen = set()
    for by, values in properties:
        partition = pd.factorize(values)[0].tobytes()  # numbered as they come, so that names differ
        if values.nunique() > 1 and partition not in seen:
            seen.add(partition)
            for value in values.astype("category").cat.remove_unused_categories().cat.categories:
                groups[by, str(value)] = (values == value).to_numpy(dtype=bool, na_value=False)

    table = by_group(pd.DataFrame(), ["by", "value"], error_share(wrong), groups)
    members, whole = np.stack(list(groups.values())), table["by"].isin([EVERY, "source"]).to_numpy()
    p = np.empty(len(table))
    p[whole] = groups_above_the_rest(share, members[whole])
    p[~whole] = groups_above_the_rest(share, members[~whole], names)
    of_source = pd.Series(share).groupby(names).transform("mean").to_numpy()
    expected = np.where(whole, share.mean(), [of_source[own].mean() for own in groups.values()])
    table.insert(list(table).index("share") + 1, "expected", expected)
    return table.assign(p=np.where(table["by"] == EVERY, np.nan, p))


def _source(images: pd.DataFrame) -> pd.Series:
    """Return the source of each image; one for all where nobody says it."""
    return images.get("source", pd.Series(UNKNOWN, images.index))


def _with_class(scored: ScoredImages) -> pd.DataFrame:
    return scored.images.assign(**{"class": scored.classes})


def _styles(scored: ScoredImages) -> dict[str, Members]:
    return {EVERY: scored.label == 1} | style_groups(scored.images)


def _auc(scored: ScoredImages) -> Measure:
    return lambda own: _over_seeds(scored.against_others(own))


def _rates(scored: ScoredImages, own: Members) -> dict[str, Interval]:
    """Return a group's F1, recall and ROC AUC, of the first seed."""
    part = scored.subset(own)
    shown: tuple[Metric, ...] = ("f1", "recall", "roc_auc")
    return {name: image_interval(part.values(name)[0]) for name in shown}


def _over_seeds(measured: Measured) -> dict[str, Any]:
    return measured.interval().row() | {"seeds": len(measured.estimates)}


def _flat(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return intervals as three numbers each, everything else as it is."""
    flat: dict[str, Any] = {}
    for name, value in measured.items():
        if isinstance(value, Interval):
            flat |= value.columns(name)
        else:
            flat[name] = value
    return flat
