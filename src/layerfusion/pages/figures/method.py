"""Figures of the method: the paper's Figure 1, the two activations, the augmentations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from layerfusion.analysis.architecture import describe_layer
from layerfusion.images.transforms import TrainingTransform, image_rng
from layerfusion.model.detector import Detector
from layerfusion.model.encoder import ClassTokenEncoder
from layerfusion.model.fusion import LayerFusion, as_fusion, blocks_read
from layerfusion.pages.figures.intervals import draw_band
from layerfusion.pages.figures.sheets import SheetRow, contact_sheet
from layerfusion.pages.figures.style import finish
from layerfusion.settings import ImageSettings

# Frozen parts are hatched and pale, trained ones plain and dark: told apart in print, too.
FROZEN: dict[str, Any] = {"facecolor": "#F1F5F8", "edgecolor": "#93A9BB", "hatch": "////"}
TRAINED: dict[str, Any] = {"facecolor": "#F5B971", "edgecolor": "#8A4B00"}
PLAIN: dict[str, Any] = {"facecolor": "white", "edgecolor": "0.45"}
INK = "0.2"
LINE: dict[str, Any] = {"color": INK, "linewidth": 0.9, "zorder": 1}
PALE: dict[str, Any] = {"color": "0.4", "fontsize": 9}

# The overview's own unit of length is a tenth of an inch; its blocks stand between these columns.
PAGE = (110, 53)
IMAGE = (0.5, 15.5, 11.5, 26.5)
LEFT, RIGHT = 27.0, 80.0
CLASSIFIER = 95.0

DRAWS = 7  # of each augmentation step

# Augmentation steps in the order of their application: name on the page, prefix of the settings.
STEPS = {
    "flip": "flip",
    "colour jitter": "jitter",
    "rotation": "rotation",
    "JPEG": "jpeg",
    "down and up": "resample",
}


def overview(detector: Detector, picture: NDArray[np.uint8]) -> Figure:
    """Draw the detector from image to probability, as Figure 1 of the paper does.

    Parameters
    ----------
    detector
        Its sizes are drawn, and which of its parts are trained.
    picture
        An image as the detector sees it, shape (crop, crop, 3).
    """
    figure = plt.figure(figsize=(PAGE[0] / 10, PAGE[1] / 10), dpi=130)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(picture, extent=IMAGE, interpolation="nearest", zorder=2)
    axes.set(xlim=(0, PAGE[0]), ylim=(0, PAGE[1]), aspect="equal")
    axes.axis("off")
    _draw_encoder(axes, detector.encoder, Path(detector.encoder_settings.model).name)
    read = blocks_read(detector.head_settings, detector.encoder.depth)
    head = as_fusion(detector.head)
    _draw_fusion(axes, head, _centres(detector.encoder.depth)[read], np.array(read) + 1)
    _draw_classifier(axes, head.classifier)
    for y, style, text in ((50, FROZEN, "frozen, as pretrained"), (47, TRAINED, "trained")):
        _box(axes, 2.4, y, 3.4, 1.9, style)
        _write(axes, 5, y, text, ha="left")
    return finish(figure)


def activations(curves: pd.DataFrame) -> Figure:
    """Draw QuickGELU and GELU, and beside them their difference.

    Parameters
    ----------
    curves
        As `layerfusion.analysis.architecture.activation_curves` returns them.
    """
    difference = curves["gelu"] - curves["quick_gelu"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    names = {"quick_gelu": r"QuickGELU, $x\,\sigma(1.702\,x)$", "gelu": r"GELU, $x\,\Phi(x)$"}
    for (column, name), style in zip(names.items(), ("-C0", "--C1"), strict=True):
        left.plot(curves["x"], curves[column], style, label=name)
    left.set(xlabel="$x$", ylabel="activation")
    left.legend(frameon=False)
    right.axhline(0, color="0.8", linewidth=1)
    right.plot(curves["x"], difference, color=INK)
    right.set(xlabel="$x$", ylabel="GELU minus QuickGELU")
    furthest = int(np.argmax(difference.abs()))
    largest, where = abs(difference.iloc[furthest]), abs(curves["x"].iloc[furthest])
    right.set_title(f"largest: {largest:.4f}, at |x| = {where:.2f}", fontsize="medium")
    return finish(figure)


def activation_gap(gap: pd.DataFrame) -> Figure:
    """Draw how far the class tokens of both activations lie apart, block by block.

    Parameters
    ----------
    gap
        As `layerfusion.analysis.architecture.activation_gap` returns it.
    """
    figure, axes = plt.subplots(figsize=(8, 2.8), layout="constrained")
    table, label = gap.reset_index(names="block"), "median image; band: half of the images"
    draw_band(axes, table, "block", "median", color=INK, marker="o", label=label)
    axes.set(xlabel="transformer block $l$", ylabel="relative difference", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False, loc="upper left")
    return finish(figure)


def augmentation_sheet(image: Image.Image, settings: ImageSettings, *, seed: int = 0) -> Figure:
    """Draw an image after each augmentation step by itself and after all of them.

    What is drawn in a column is the same in every row, so a picture differs from the one above the
    steps, the bare crop, by its row's step alone.

    Parameters
    ----------
    image
        Upright, RGB.
    settings
        A row's step has these settings and happens for certain, the others never. The last row has
        their probabilities too.
    """
    augmentation = settings.augmentation
    never = {f"{prefix}_probability": 0.0 for prefix in STEPS.values()}
    chances = {"crop": never}
    for name, prefix in STEPS.items():
        key = f"{prefix}_probability"
        chances[f"{name}\np = {getattr(augmentation, key):g}"] = never | {key: 1.0}
    chances |= {"all steps": dict.fromkeys(never, 1.0), "as in training": {}}
    rows = []
    for name, chance in chances.items():
        drawn = {"augmentation": augmentation.model_copy(update=chance)}
        transform = TrainingTransform(settings.model_copy(update=drawn))
        views = [transform(image, image_rng(seed, 0, column)) for column in range(DRAWS)]
        rows.append(SheetRow(name, [np.moveaxis(view.numpy(), 0, -1) for view in views]))
    return contact_sheet(rows)


def _draw_encoder(axes: Axes, encoder: ClassTokenEncoder, name: str) -> None:
    """Draw patches, their embedding and the blocks, and which of them are trained."""
    left, right, bottom, top = IMAGE
    patch, crop = int(encoder.visual.conv1.kernel_size[0]), encoder.image_size
    lines = np.linspace(0, 1, crop // patch + 1)
    grid: dict[str, Any] = {"color": "white", "linewidth": 0.5, "alpha": 0.7, "zorder": 3}
    axes.vlines(left + lines * (right - left), bottom, top, **grid)
    axes.hlines(bottom + lines * (top - bottom), left, right, **grid)
    for y, text, style in (
        (8.9, "image $x$", {"fontsize": 11}),
        (6.3, f"{crop} × {crop} px", PALE),
        (4.2, f"patches of {patch} × {patch}", PALE),
    ):
        _write(axes, 8, y, text, **style)
    _box(axes, 49.7, 15.8, 63.5, 25.2, {"facecolor": "0.965", "edgecolor": "none", "zorder": 0})
    centres, pitch = _centres(encoder.depth), (RIGHT - LEFT) / encoder.depth
    _arrow(axes, (15.8, 19), (19.7, 19))
    axes.plot([22, centres[-1]], [19, 19], **LINE)
    _box(axes, 21.6, 19, 3.6, 13, FROZEN, "patch embedding", rotation=90, fontsize=9)
    frozen = encoder.depth - encoder.trained_blocks
    for number, x in enumerate(centres, start=1):
        _box(axes, x, 19, 0.6 * pitch, 13, FROZEN if number <= frozen else TRAINED)
        _write(axes, x, 10.8, str(number), fontsize=9 if pitch > 3 else 6.5)
    for text, part in (("frozen", centres[:frozen]), ("trained", centres[frozen:])):
        if len(part):
            axes.plot([part[0] - 0.3 * pitch, part[-1] + 0.3 * pitch], [8.5, 8.5], **LINE)
            _write(axes, part.mean(), 6.2, text)
    size = f"{encoder.depth} blocks of width {encoder.width}"
    title = f"CLIP vision transformer {name.removesuffix('.json')}: {size}"
    _write(axes, 49.7, 1.4, title, fontsize=11)


def _draw_fusion(
    axes: Axes, head: LayerFusion, centres: NDArray[np.float64], numbers: NDArray[np.int64]
) -> None:
    """Draw the class tokens of the blocks that are read, their projection, weights and sum."""
    radius = min(1.7, 0.4 * (RIGHT - LEFT) / numbers[-1])
    weights, weighing = PLAIN, "1/$L$ each, for good"
    if head.learned_weights:
        weights, weighing = TRAINED, "softmax, at first 1/$L$ each"
    for number, x in zip(numbers, centres, strict=True):
        axes.plot([x, x], [25.7, 48.5], **LINE)
        axes.plot(x, 31, marker="o", markersize=4.5, color=INK)
        _arrow(axes, (x, 31), (x, 34.9))
        axes.add_patch(Circle((x, 43.7), radius, linewidth=1, zorder=2, **weights))
        if radius > 1.3:
            _write(axes, x, 43.6, rf"$\alpha_{{{number}}}$", fontsize=9)
    lengths = f"{head.projection.in_features} → {head.projection.out_features}, one for all blocks"
    middle, equation = (LEFT + RIGHT) / 2, rf"$W_p\,h_l(x) + b_p$      {lengths}"
    _box(axes, middle, 37.3, RIGHT - LEFT, 4.4, TRAINED, equation, fontsize=11)
    axes.plot([centres[0], CLASSIFIER], [48.5, 48.5], **LINE)
    axes.add_patch(Circle((CLASSIFIER, 48.5), 2, linewidth=1, zorder=2, **PLAIN))
    _write(axes, CLASSIFIER, 48.4, r"$\Sigma$", fontsize=12)
    length = f"$z(x)$, length {head.projection.out_features}"
    _write(axes, CLASSIFIER + 2.8, 48.5, length, ha="left")
    for y, text, style in (
        (31, "class tokens $h_l(x)$", {}),
        (37.3, "shared projection", {}),
        (44.6, r"block weights $\alpha_l$", {}),
        (42.4, weighing, PALE),
    ):
        _write(axes, 25, y, text, ha="right", **style)


def _draw_classifier(axes: Axes, classifier: nn.Sequential) -> None:
    """Draw the classifier's layers below the sum, then sigmoid and decision."""
    top, bottom = 43.6, 18.5
    pitch = (top - bottom) / len(classifier)
    for index, layer in enumerate(classifier):
        style = TRAINED if list(layer.parameters()) else PLAIN
        middle = top - (index + 0.5) * pitch
        _box(axes, CLASSIFIER, middle, 16, pitch - 0.9, style, describe_layer(layer))
    _write(axes, 105, (top + bottom) / 2, "classifier", rotation=270, fontsize=11)
    _box(axes, CLASSIFIER, 12.8, 16, 3.8, PLAIN, r"sigmoid $\sigma$")
    for start, end in ((46.4, top + 0.1), (bottom + 0.3, 14.9), (10.7, 7.5)):
        _arrow(axes, (CLASSIFIER, start), (CLASSIFIER, end))
    _write(axes, CLASSIFIER + 1, 16.9, "logit", ha="left", **PALE)
    _write(axes, CLASSIFIER, 5.6, "probability $p(x)$", fontsize=11)
    _write(axes, CLASSIFIER, 2.8, r"synthetic where $p(x) \geq$ threshold", **PALE)


def _centres(blocks: int) -> NDArray[np.float64]:
    """Return the middle of each block's column."""
    return LEFT + (np.arange(blocks) + 0.5) * (RIGHT - LEFT) / blocks


def _box(
    axes: Axes, x: float, y: float, width: float, height: float, style: Mapping[str, Any],
    text: str = "", **text_style: Any,
) -> None:  # fmt: skip
    """Draw a box around a point, and a text in it."""
    rounded = f"round,pad=0,rounding_size={min(0.5, width / 4)}"
    corner = (x - width / 2, y - height / 2)
    whole = {"linewidth": 1, "zorder": 2} | dict(style)
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=rounded, **whole))
    ground = {"facecolor": style["facecolor"], "edgecolor": "none", "pad": 1.5}
    if text:
        _write(axes, x, y, text, bbox=ground, **text_style)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    shape = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=shape | {"mutation_scale": 8})


def _write(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    plain: dict[str, Any] = {"fontsize": 10, "ha": "center", "va": "center", "zorder": 4}
    axes.text(x, y, text, math_fontfamily="dejavuserif", **plain | style)
