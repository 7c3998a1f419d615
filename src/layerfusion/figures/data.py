"""Figures of the images at hand: samples, what files give away, the audit of short cuts."""

from collections.abc import Hashable
from pathlib import Path
from textwrap import shorten
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter
from numpy.typing import NDArray
from PIL import Image, ImageOps

from layerfusion.data.manifest import SPLITS, Manifest
from layerfusion.errors import UserError
from layerfusion.figures.data_tables import CLASS_NAMES, UNLABELLED, class_names, file_properties
from layerfusion.figures.style import COLOURS, RUN_STYLES, finish
from layerfusion.images.reading import ImageError, read_image

Picture = NDArray[np.uint8]

SIDE = 128  # px of a picture on the sheet
GAP = 4  # px between pictures
LONGEST_NAME = 24

# The classes on every figure here, told apart by line and marker too.
SHADES = COLOURS | {UNLABELLED: "0.35"}
LINES: dict[str, Any] = dict(zip(CLASS_NAMES, ("-", "--", ":"), strict=True))
MARKERS = dict(zip(CLASS_NAMES, ("o", "x", "+"), strict=True))

# Beyond this ratio of largest to smallest value an axis is logarithmic.
WIDE = 20


def sample_sheet(manifest: Manifest, *, seed: int = 0, columns: int = 8) -> Figure:
    """Draw a row of random images for each split, source and class.

    Of an image its central square is shown. A row with fewer images than columns is shorter; of a
    file that cannot be decoded there is a grey tile.

    Parameters
    ----------
    seed
        Which images: of the same rows the same, whatever their order and whatever else there is.
    columns
        Images to a row.

    Raises
    ------
    UserError
        If there are no images.
    """
    rows = manifest.rows.assign(name=class_names(manifest.rows["label"]))
    rows["split"] = pd.Categorical(rows["split"], SPLITS, ordered=True)
    groups = list(rows.groupby(["split", "source", "name"], observed=True))
    if not groups:
        raise UserError(f"there are no images in {manifest.root} to be shown")
    size = (1.05 * columns + 1.8, 1.08 * len(groups))
    figure, axes = plt.subplots(
        len(groups), 1, figsize=size, dpi=110, layout="constrained", squeeze=False
    )
    for axis, (group, members) in zip(axes.flat, groups, strict=True):
        members = members.sort_values("path")
        chosen = members.sample(min(columns, len(members)), random_state=seed)
        pictures = [square_picture(manifest.root / path) for path in chosen["path"]]
        axis.imshow(_strip(pictures, columns), interpolation="nearest")
        axis.set_axis_off()
        _name_row(axis, group, len(members))
    return finish(figure)


def square_picture(path: Path) -> Picture:
    """Return the central square of an image, shape (SIDE, SIDE, 3); grey if it is damaged."""
    try:
        image = read_image(path)
    except ImageError:
        return np.full((SIDE, SIDE, 3), 200, dtype=np.uint8)
    return np.asarray(ImageOps.fit(image, (SIDE, SIDE), Image.Resampling.LANCZOS))


def file_giveaways(manifest: Manifest) -> Figure:
    """Draw formats, shorter sides and bytes per pixel of each class, a row of panels a split.

    Where the curves of the two classes lie apart, a file's size or compression tells its class.
    """
    files = file_properties(manifest.rows)
    splits = [split for split in SPLITS if (files["split"] == split).any()]
    figure, axes = plt.subplots(
        len(splits),
        3,
        figsize=(9, 0.6 + 1.8 * len(splits)),
        width_ratios=(0.7, 1, 1),
        layout="constrained",
        sharex="col",
        squeeze=False,
    )
    formats = sorted(files["format"].unique(), reverse=True)
    for split, panels in zip(splits, axes, strict=True):
        members = files[files["split"] == split]
        _formats(panels[0], members, formats)
        panels[0].set_title(split, loc="left", fontweight="bold", fontsize="medium")
        for panel, column in zip(panels[1:], ("shorter_side", "bytes_per_pixel"), strict=True):
            _curves(panel, members, column)
            _scale(panel, files[column])
        panels[1].set_ylabel("images at or below")
        panels[2].tick_params(labelleft=False)
    axes[-1, 0].set_xlabel("share of images")
    axes[-1, 1].set_xlabel("shorter side (px)")
    axes[-1, 2].set_xlabel("bytes per pixel of the file")
    figure.legend(handles=_keys(files), loc="outside upper right", ncols=3, frameon=False)
    return finish(figure)


def image_sizes(manifest: Manifest) -> Figure:
    """Draw width and height of the images, a panel a split; the larger a mark, the more of a size.

    Generators make images of few sizes: these stand out as large marks.
    """
    files = file_properties(manifest.rows)
    splits = [split for split in SPLITS if (files["split"] == split).any()]
    figure, axes = plt.subplots(
        1,
        len(splits),
        figsize=(3.1 * len(splits) + 0.4, 3.6),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    sides = pd.concat([files["width"], files["height"]])
    limits = (0.92 * sides.min(), 1.08 * sides.max())
    for split, axis in zip(splits, axes.flat, strict=True):
        members = files[files["split"] == split]
        for name, own in members.groupby("class", observed=True):
            sizes = own.groupby(["width", "height"]).size().reset_index(name="images")
            axis.scatter(
                sizes["width"], sizes["height"], s=12 + 400 * sizes["images"] / len(own),
                **_mark(str(name)),
            )  # fmt: skip
        axis.axline((100, 100), (200, 200), color="0.8", linewidth=0.8, zorder=0)
        axis.set(xlabel="width (px)", aspect="equal", xlim=limits, ylim=limits)
        axis.set_title(split, loc="left", fontweight="bold", fontsize="medium")
        _scale(axis, sides)
        if axis.get_xscale() == "log":
            axis.set_yscale("log")
            _plain_ticks(axis.yaxis)
    axes[0, 0].set_ylabel("height (px)")
    keys = [
        Line2D([], [], linestyle="", label=name, markersize=6, **_key_mark(name))
        for name in CLASS_NAMES
        if (files["class"] == name).any()
    ]
    figure.legend(handles=keys, loc="outside upper right", ncols=3, frameon=False)
    return finish(figure)


def shortcut_audit(audit: pd.DataFrame) -> Figure:
    """Draw the ROC AUC of every short cut with its interval, for each run's training images.

    Parameters
    ----------
    audit
        As `layerfusion.figures.data_tables.audit_runs` returns it.
    """
    names = list(audit["name"].unique())
    runs = list(audit["run"].unique())
    figure, axes = plt.subplots(figsize=(7.5, 0.9 + 0.36 * len(names)), layout="constrained")
    for number, run in enumerate(runs):
        own = audit[audit["run"] == run]
        place = np.array([names.index(name) for name in own["name"]], dtype=float)
        place += 0.26 * (number - (len(runs) - 1) / 2)
        errors = [own["roc_auc"] - own["roc_auc_low"], own["roc_auc_high"] - own["roc_auc"]]
        style: dict[str, Any] = dict(RUN_STYLES.get(run, {}))
        axes.errorbar(
            own["roc_auc"], place, xerr=errors, label=f"{run} run", linestyle="",
            elinewidth=1.4, markersize=5, **style,
        )  # fmt: skip
    axes.axvline(0.5, color="0.5", linestyle=":")
    axes.text(0.5, -0.75, "chance", ha="center", va="bottom", color="0.4", fontsize="small")
    axes.set_ylim(len(names) - 0.5, -0.7)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.tick_params(axis="y", length=0)
    for line in np.arange(len(names) - 1) + 0.5:
        axes.axhline(line, color="0.93", linewidth=0.8, zorder=0)
    axes.set(xlabel="ROC AUC on validation images, 95 % interval over images")
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    return finish(figure)


def _strip(pictures: list[Picture], columns: int) -> Picture:
    """Lay pictures side by side on white."""
    strip = np.full((SIDE, columns * (SIDE + GAP) - GAP, 3), 255, dtype=np.uint8)
    for number, picture in enumerate(pictures):
        left = number * (SIDE + GAP)
        strip[:, left : left + SIDE] = picture
    return strip


def _name_row(axis: Axes, group: Hashable, images: int) -> None:
    split, source, name = (str(part) for part in group)  # type: ignore[attr-defined]
    place = shorten(f"{split}, {source}", LONGEST_NAME, placeholder="...")
    beside: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    beside |= {"ha": "right", "annotation_clip": False}
    axis.annotate(place, (0, 0.5), (-8, 10), va="center", **beside)
    axis.annotate(
        name, (0, 0.5), (-8, -3), va="center", color=SHADES[name], fontweight="bold", **beside
    )
    axis.annotate(
        f"{images:,} images", (0, 0.5), (-8, -16), va="center", color="0.4", fontsize=8, **beside
    )


def _formats(axis: Axes, files: pd.DataFrame, formats: list[str]) -> None:
    """Draw the share of each format among each class."""
    present = [name for name in CLASS_NAMES if (files["class"] == name).any()]
    height = 0.7 / len(present)
    for number, name in enumerate(present):
        own = files.loc[files["class"] == name, "format"]
        shares = own.value_counts(normalize=True).reindex(formats, fill_value=0.0)
        place = np.arange(len(formats)) + height * ((len(present) - 1) / 2 - number)
        axis.barh(place, shares, height=0.9 * height, color=SHADES[name])
    axis.set_yticks(range(len(formats)), formats)
    margin = 1.0 if len(formats) == 1 else 0.55  # a single bar as wide as its panel is no bar
    axis.set_ylim(-margin, len(formats) - 1 + margin)
    axis.set_xlim(0, 1)
    axis.xaxis.set_major_formatter(PercentFormatter(1))


def _curves(axis: Axes, files: pd.DataFrame, column: str) -> None:
    """Draw the share of each class's images at or below each value."""
    for name, own in files.groupby("class", observed=True):
        style: dict[str, Any] = {"color": SHADES[str(name)], "linestyle": LINES[str(name)]}
        # Not Axes.ecdf: with equal values its `compress` ends below 1 (seen in matplotlib 3.11.2).
        values, images = np.unique(own[column], return_counts=True)
        shares = np.concatenate([[0.0], np.cumsum(images) / len(own)])
        axis.step(np.append(values[:1], values), shares, where="post", linewidth=1.6, **style)
    axis.set_ylim(0, 1.02)
    axis.yaxis.set_major_formatter(PercentFormatter(1))


def _scale(axis: Axes, values: pd.Series) -> None:
    """Make an axis logarithmic where values differ by orders of magnitude."""
    if values.max() > WIDE * values.min():
        axis.set_xscale("log")
        _plain_ticks(axis.xaxis)


def _plain_ticks(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _mark(name: str) -> dict[str, Any]:
    """Return how a class's images are marked: photographs as rings, others as crosses."""
    if MARKERS[name] == "o":
        return {"marker": "o", "facecolors": "none", "edgecolors": SHADES[name], "alpha": 0.7}
    return {"marker": MARKERS[name], "color": SHADES[name], "alpha": 0.7}


def _key_mark(name: str) -> dict[str, Any]:
    return {"marker": MARKERS[name], "color": SHADES[name], "markerfacecolor": "none"}


def _keys(files: pd.DataFrame) -> list[Line2D]:
    present = [name for name in CLASS_NAMES if (files["class"] == name).any()]
    return [
        Line2D([], [], color=SHADES[name], linestyle=LINES[name], linewidth=2, label=name)
        for name in present
    ]
