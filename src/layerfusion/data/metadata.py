"""Metadata leakage: what files say of their images' classes before a pixel is looked at."""

from collections.abc import Iterator

import pandas as pd

from layerfusion.data.manifest import SPLITS, Manifest
from layerfusion.metrics.classes import class_names

METADATA = ["width", "height", "aspect", "megapixels", "bytes", "bytes_per_pixel", "format"]

# Differences between the classes beyond which `manifest_warnings` speaks.
MOST_SHARE_DIFFERENCE = 0.2
LEAST_LONE_SHARE = 0.01
MOST_MEDIAN_RATIO = 1.25


def metadata_features(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what a manifest's rows say of each file, in the columns of `METADATA`.

    All are float64 (width and height in px, aspect as width / height, bytes per pixel of the
    compressed file), but the format, which is a category.
    """
    width, height, size = (rows[name].astype(float) for name in ("width", "height", "bytes"))
    table = pd.DataFrame(
        {
            "width": width,
            "height": height,
            "aspect": width / height,
            "megapixels": width * height / 1e6,
            "bytes": size,
            "bytes_per_pixel": size / (width * height),
            "format": rows["format"].astype("category"),
        }
    )
    return table[METADATA]


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
    table.insert(0, "split", rows["split"].astype(pd.CategoricalDtype(list(SPLITS), ordered=True)))
    return table


def metadata_by_class(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what the files of each class in each split have in common.

    Parameters
    ----------
    rows
        A manifest's rows.

    Returns
    -------
    DataFrame
        Index: split and class. Columns: ``images``; the share of each format, in [0, 1], such as
        ``JPEG``; medians of ``width``, ``height`` and ``shorter_side`` (px) and
        ``bytes_per_pixel``; ``commonest_size`` (such as ``256 x 256``, of several the
        first as text) and
        ``share_of_it``, in [0, 1].
    """
    files = file_properties(rows)
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


def manifest_warnings(manifest: Manifest) -> list[str]:
    """Return, a sentence each, what should be known before a number is believed.

    That is: files that were left out, and for each split with both classes whether format, shorter
    side or bytes per pixel separate them.
    """
    found = []
    if len(manifest.skipped):
        first = manifest.skipped.iloc[0]
        found.append(
            f"{len(manifest.skipped)} of the files found cannot be read and are left out, "
            f"the first of them {first['path']}: {first['reason']}"
        )
    for split in SPLITS:
        rows = manifest.rows[manifest.rows["split"] == split]
        if rows["label"].nunique() == 2:
            found += _leaks(split, metadata_by_class(rows), sorted(rows["format"].unique()))
    return found


def _leaks(split: str, table: pd.DataFrame, formats: list[str]) -> Iterator[str]:
    """Yield the properties of files that separate the classes of a split."""
    real, synthetic = table.loc[split, :].loc["real"], table.loc[split, :].loc["synthetic"]
    for name in formats:
        low, high = sorted([real[name], synthetic[name]])
        if high - low > MOST_SHARE_DIFFERENCE or (low == 0 and high >= LEAST_LONE_SHARE):
            yield (
                f"{split}: {real[name]:.0%} of real and {synthetic[name]:.0%} of synthetic images "
                f"are {name}, so that a detector can learn the format instead"
            )
    for name, what, unit in (
        ("shorter_side", "shorter side", " px"),
        ("bytes_per_pixel", "file size", " bytes per pixel"),
    ):
        low, high = sorted([real[name], synthetic[name]])
        if high > low * MOST_MEDIAN_RATIO:
            yield (
                f"{split}: the median {what} is {real[name]:.3g}{unit} for real and "
                f"{synthetic[name]:.3g}{unit} for synthetic images, so that a detector can learn "
                f"the {what} instead"
            )
