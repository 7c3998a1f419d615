"""Figures of probes and spectra, drawn from their tables and arrays; nothing here runs a model."""

from textwrap import shorten
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from layerfusion.data.manifest import Manifest
from layerfusion.errors import UserError
from layerfusion.metrics.uncertainty import LEVEL
from layerfusion.pages.figures.formatting import rate_cells
from layerfusion.pages.figures.intervals import draw_band, interval_panels
from layerfusion.pages.figures.style import COLOURS, finish

# Neither a class's colour nor a run's: a probe is about both.
LINE = "0.25"
REFERENCE = "0.55"

# More lines than these, or of fewer images, say nothing; they still count for the synthetic mean.
MOST_GENERATORS = 5
LEAST_IMAGES = 10
LONGEST_NAME = 32


def probes_over_depth(content: pd.DataFrame | None, forensic: pd.DataFrame) -> Figure:
    """Draw how well content and origin can be read off each block, side by side.

    Parameters
    ----------
    content, forensic
        Tables as `layerfusion.analysis.probes.probe_blocks` returns them: of what the images show,
        None where nobody knows, and of whether they are synthetic.
    """
    titles = {"what the image shows": content, "real or synthetic": forensic}
    known = {title: table for title, table in titles.items() if table is not None}
    figure, panels = plt.subplots(
        1, len(known), figsize=(3.2 * len(known) + 1.4, 2.8), layout="constrained", squeeze=False
    )
    for axes, (title, table) in zip(panels.flat, known.items(), strict=True):
        _depth(axes, table)
        axes.set_title(title, fontsize="medium")
    lines = panels.flat[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside right center", frameon=False, fontsize="small")
    return finish(figure)


def radial_spectra(manifest: Manifest, spectra: NDArray[np.float64]) -> Figure:
    """Draw mean radial spectra, and how those of each generator differ from those of real images.

    Parameters
    ----------
    manifest
        The images; unlabelled ones are not drawn.
    spectra
        Shape (images, radii), as `layerfusion.analysis.shortcuts.radial_spectra` returns them.

    Raises
    ------
    UserError
        If real or synthetic images are missing.
    """
    label = manifest.rows["label"].to_numpy(dtype=float, na_value=np.nan)
    real = spectra[label == 0]
    if not len(real) or not (label == 1).any():
        raise UserError("spectra are compared between real and synthetic images; one is missing")
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3), layout="constrained")
    # Cycles per pixel: half a cycle is the finest detail that pixels can show.
    frequency = np.arange(1, spectra.shape[1] + 1) / spectra.shape[1] / 2
    for line in _lines(manifest.rows, label):
        mean = spectra[line.members].mean(axis=0)
        name = f"{line.name} ({line.members.sum()})"
        left.plot(frequency, mean, line.style, color=line.colour, label=name)
        # Of the mean's difference: the error of the real images' mean is part of it.
        squared = _squared_error(spectra[line.members])
        band = 1.96 * np.sqrt(squared + (0 if line.name == "real" else _squared_error(real)))
        mean = mean - real.mean(axis=0)
        right.plot(frequency, mean, line.style, color=line.colour)
        right.fill_between(
            frequency, mean - band, mean + band, color=line.colour, alpha=0.12, linewidth=0
        )
    left.set(xlabel="frequency (cycles per pixel)", ylabel="log10 power")
    right.set(xlabel="frequency (cycles per pixel)", ylabel="difference from real (95 %)")
    figure.legend(loc="outside right center", frameon=False, fontsize="small")
    return finish(figure)


def shortcuts_beside(table: pd.DataFrame) -> Figure:
    """Draw the ROC AUC of shortcut baselines, and of a detector in the last row, with intervals.

    Parameters
    ----------
    table
        Rows as `layerfusion.analysis.shortcuts.report_shortcut` returns them.
    """
    panel = "dotted: chance"
    named = table.assign(name=table["name"].str.replace("_", " "), panel=panel)
    label = f"ROC AUC on validation images, {LEVEL:.0%} interval over images"
    styles = {panel: {"color": LINE, "marker": "o"}}
    return interval_panels(
        named, "roc_auc", label, rows="name", panels="panel", by="panel", line=0.5, styles=styles
    )


def shortcut_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `shortcuts_beside` in text, indexed by ``detector``."""
    cells = {
        "detector": table["name"].str.replace("_", " "),
        "reads": table["features"].str.replace("_", " "),
    } | rate_cells(table)
    return pd.DataFrame(cells).set_index("detector")


class _Line(NamedTuple):
    """Images that are drawn together, as a mask of all."""

    name: str
    members: NDArray[np.bool_]
    colour: str
    style: str


def _depth(axes: Axes, table: pd.DataFrame) -> None:
    """Draw one probe's scores over the blocks, with what they are to be compared with."""
    blocks, together = table[table["block"].notna()], table[table["block"].isna()].iloc[0]
    blocks = blocks.astype({"block": int})
    draw_band(axes, blocks, "block", "score", color=LINE, marker="o", label="one block")
    axes.axhline(
        blocks["score"].iloc[-1], color=LINE, linewidth=1, linestyle="-.", label="last block"
    )
    axes.axhspan(together["low"], together["high"], color=REFERENCE, alpha=0.1, linewidth=0)
    axes.axhline(together["score"], color=REFERENCE, linestyle="--", label="all blocks")
    axes.axhline(together["chance"], color="0.7", linestyle=":", label="chance")
    axes.set(xlabel="transformer block $l$", ylabel=f"{together['measure']} of a linear probe")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _lines(rows: pd.DataFrame, label: NDArray[np.float64]) -> list[_Line]:
    """Return both classes, then the commonest generators where there are several."""
    lines = [
        _Line(name, label == value, colour, "-")
        for value, (name, colour) in enumerate(COLOURS.items())
    ]
    generators = rows["generator"].where(label == 1)
    counts = generators.value_counts()
    names = sorted(counts[counts >= LEAST_IMAGES].index[:MOST_GENERATORS])
    if len(counts) < 2 or not names:
        return lines
    shades = sns.blend_palette(["#F0B080", COLOURS["synthetic"], "#4A2000"], len(names)).as_hex()
    for name, shade in zip(names, shades, strict=True):
        members = (generators == name).to_numpy(dtype=bool, na_value=False)
        lines.append(_Line(shorten(name, LONGEST_NAME, placeholder=" ..."), members, shade, "--"))
    return lines


def _squared_error(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared standard error of the mean of rows; 0 of a single one."""
    return np.asarray(values.var(axis=0, ddof=min(1, len(values) - 1)) / len(values))
