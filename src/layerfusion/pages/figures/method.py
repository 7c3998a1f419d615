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
from torch import Tensor, nn

from layerfusion.analysis.architecture import describe_layer
from layerfusion.images.transforms import TrainingTransform, image_rng
from layerfusion.model.detector import Detector
from layerfusion.model.encoder import ClassTokenEncoder
from layerfusion.model.fusion import LayerFusion, as_fusion, blocks_read
from layerfusion.pages.figures.intervals import draw_band
from layerfusion.pages.figures.sheets import SheetRow, contact_sheet
from layerfusion.pages.figures.style import finish
from layerfusion.settings import ImageSettings

# Frozen parts are hatched and pale, trained ones plain and dark.
FROZEN: dict[str, Any] = {"facecolor": "0.96", "edgecolor": "0.6", "hatch": "////"}
TRAINED: dict[str, Any] = {"facecolor": "0.8", "edgecolor": "0.2"}
PLAIN: dict[str, Any] = {"facecolor": "white", "edgecolor": "0.5"}
INK = "0.2"
LINE: dict[str, Any] = {"color": INK, "linewidth": 0.9, "zorder": 1}
PALE: dict[str, Any] = {"color": "0.35", "fontsize": 9}

# The overview's own unit of length is a tenth of an inch: at this width its letters can be read on
# a page's column. The blocks stand between LEFT and RIGHT, the classifier in a row above them.
PAGE = (75, 60)
IMAGE = (1, 14, 12, 25)
LEFT, RIGHT = 23.0, 74.0
MIDDLE = 18.5  # of image, patch embedding and blocks
CLASSIFIER = 53.5

DRAWS = 3  # of each augmentation step

# Augmentation steps in the order of their application: name on the page, prefix of the settings.
STEPS = {
    "flip": "flip",
    "colour jitter": "jitter",
    "rotation": "rotation",
    "JPEG": "jpeg",
    "down and up": "resample",
}


def overview(detector: Detector) -> Figure:
    """Draw the detector from image to probability, as Figure 1 of the paper does.

    Parameters
    ----------
    detector
        Its sizes are drawn, and which of its parts are trained.
    """
    figure = plt.figure(figsize=(PAGE[0] / 10, PAGE[1] / 10), dpi=200)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, PAGE[0]), ylim=(0, PAGE[1]), aspect="equal")
    axes.axis("off")
    _draw_encoder(axes, detector.encoder, Path(detector.encoder_settings.model).name)
    read = blocks_read(detector.head_settings, detector.encoder.depth)
    head = as_fusion(detector.head)
    _draw_fusion(axes, head, _centres(detector.encoder.depth)[read], np.array(read) + 1)
    _draw_classifier(axes, head.classifier)
    return finish(figure)


def patches(image: Image.Image, crop: Tensor, patch: int) -> Figure:
    """Draw an image, and beside it its crop as the encoder divides it.

    Parameters
    ----------
    image
        Upright, RGB.
    crop
        Shape (3, side, side), uint8.
    patch
        Side of a patch, px.
    """
    figure, (left, axes) = plt.subplots(1, 2, figsize=(5.5, 2.4), dpi=150, layout="constrained")
    left.imshow(image, interpolation="nearest")
    left.set_axis_off()
    axes.imshow(crop.permute(1, 2, 0).numpy(), interpolation="nearest")
    edges = np.arange(0, crop.shape[-1] + 1, patch) - 0.5
    grid: dict[str, Any] = {"color": "white", "linewidth": 0.8}
    axes.vlines(edges, edges[0], edges[-1], **grid)
    axes.hlines(edges, edges[0], edges[-1], **grid)
    axes.set_axis_off()
    return finish(figure)


def activations(curves: pd.DataFrame) -> Figure:
    """Draw QuickGELU and GELU, and beside them their difference.

    Parameters
    ----------
    curves
        As `layerfusion.analysis.architecture.activation_curves` returns them.
    """
    difference = curves["gelu"] - curves["quick_gelu"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.5, 2.8), layout="constrained")
    names = {"quick_gelu": r"QuickGELU, $x\,\sigma(1.702\,x)$", "gelu": r"GELU, $x\,\Phi(x)$"}
    for (column, name), style in zip(names.items(), ("-", "--"), strict=True):
        left.plot(curves["x"], curves[column], style, color=INK, label=name)
    left.set(xlabel="$x$", ylabel="activation")
    left.legend(frameon=False, fontsize="small")
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
    figure, axes = plt.subplots(figsize=(7.5, 2.6), layout="constrained")
    table, label = gap.reset_index(names="block"), "median image; band: half of the images"
    draw_band(axes, table, "block", "median", color=INK, marker="o", label=label)
    axes.set(xlabel="transformer block $l$", ylabel="relative difference", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False, loc="upper left")
    return finish(figure)


def augmentation_strips(image: Image.Image, settings: ImageSettings, *, seed: int = 0) -> Figure:
    """Draw an image after each augmentation step by itself and after all of them.

    A row is one draw: what chance decides is the same in all of its pictures, and a picture differs
    from the first, the bare crop, by its own step alone.

    Parameters
    ----------
    image
        Upright, RGB.
    settings
        A picture's step has these settings and happens for certain, the others never. The last
        picture has their probabilities too.
    """
    augmentation = settings.augmentation
    never = {f"{prefix}_probability": 0.0 for prefix in STEPS.values()}
    chances = {"crop": never}
    for name, prefix in STEPS.items():
        key = f"{prefix}_probability"
        chances[f"{name}\np = {getattr(augmentation, key):g}"] = never | {key: 1.0}
    chances |= {"all steps": dict.fromkeys(never, 1.0), "as in training": {}}
    drawn = [{"augmentation": augmentation.model_copy(update=own)} for own in chances.values()]
    transforms = [TrainingTransform(settings.model_copy(update=own)) for own in drawn]
    rows = []
    for draw in range(DRAWS):
        views = [transform(image, image_rng(seed, 0, draw)) for transform in transforms]
        pictures = [np.moveaxis(view.numpy(), 0, -1) for view in views]
        rows.append(SheetRow(f"draw {draw + 1}", pictures, () if draw else [*chances]))
    return contact_sheet(rows)


def _draw_encoder(axes: Axes, encoder: ClassTokenEncoder, name: str) -> None:
    """Draw patches, their embedding and the blocks, and which of them are trained."""
    left, right, bottom, top = IMAGE
    patch, crop = int(encoder.visual.conv1.kernel_size[0]), encoder.image_size
    lines = np.linspace(0, 1, crop // patch + 1)
    axes.vlines(left + lines * (right - left), bottom, top, color="0.6", linewidth=0.6)
    axes.hlines(bottom + lines * (top - bottom), left, right, color="0.6", linewidth=0.6)
    for y, text, style in (
        (9.6, "image $x$", {}),
        (7, f"{crop} × {crop} px", PALE),
        (4.6, f"patches of {patch} × {patch}", PALE),
    ):
        _write(axes, 7.5, y, text, **style)
    centres, pitch = _centres(encoder.depth), (RIGHT - LEFT) / encoder.depth
    _arrow(axes, (14.3, MIDDLE), (16.6, MIDDLE))
    axes.plot([18.6, centres[-1]], [MIDDLE, MIDDLE], **LINE)
    _box(axes, 18.6, MIDDLE, 3.4, 13, FROZEN, "patch embedding", rotation=90, fontsize=9)
    frozen, every = encoder.depth - encoder.trained_blocks, 1 if pitch > 3 else 6
    for number, x in enumerate(centres, start=1):
        _box(axes, x, MIDDLE, 0.6 * pitch, 13, FROZEN if number <= frozen else TRAINED)
        if number == 1 or number % every == 0:
            _write(axes, x, 10.4, str(number), fontsize=9)
    for text, part in (("frozen", centres[:frozen]), ("trained", centres[frozen:])):
        if len(part):
            axes.plot([part[0] - 0.3 * pitch, part[-1] + 0.3 * pitch], [8.4, 8.4], **LINE)
            _write(axes, part.mean(), 6.3, text, fontsize=9)
    size = f"{encoder.depth} blocks of width {encoder.width}"
    title = f"vision transformer {name.removesuffix('.json')}: {size}"
    _write(axes, (LEFT + RIGHT) / 2, 2.2, title)


def _draw_fusion(
    axes: Axes, head: LayerFusion, centres: NDArray[np.float64], numbers: NDArray[np.int64]
) -> None:
    """Draw the class tokens of the blocks that are read, their projection, weights and sum."""
    radius = min(1.7, 0.4 * (RIGHT - LEFT) / numbers[-1])
    weights, weighing = PLAIN, "1/$L$ each, fixed"
    if head.learned_weights:
        weights, weighing = TRAINED, "softmax, at first 1/$L$"
    for number, x in zip(numbers, centres, strict=True):
        axes.plot([x, x], [25, 46], **LINE)
        axes.plot(x, 29.5, marker="o", markersize=4.5, color=INK)
        _arrow(axes, (x, 29.5), (x, 32.8))
        axes.add_patch(Circle((x, 41), radius, linewidth=1, zorder=2, **weights))
        if radius > 1.3:
            _write(axes, x, 40.9, rf"$\alpha_{{{number}}}$", fontsize=9)
    lengths = f"{head.projection.in_features} → {head.projection.out_features}, one for all blocks"
    middle, equation = (LEFT + RIGHT) / 2, rf"$W_p\,h_l(x) + b_p$     {lengths}"
    _box(axes, middle, 35, RIGHT - LEFT, 4.2, TRAINED, equation)
    axes.plot([6, centres[-1]], [46, 46], **LINE)
    axes.add_patch(Circle((6, 46), 1.7, linewidth=1, zorder=2, **PLAIN))
    _write(axes, 6, 45.9, r"$\Sigma$", fontsize=11)
    _write(axes, 8.5, 47.8, f"$z(x)$, length {head.projection.out_features}", ha="left", **PALE)
    for y, text, style in (
        (29.5, "class tokens $h_l(x)$", {}),
        (35, "shared projection", {}),
        (42, r"block weights $\alpha_l$", {}),
        (39.8, weighing, PALE),
    ):
        _write(axes, LEFT - 0.8, y, text, ha="right", **style)


def _draw_classifier(axes: Axes, classifier: nn.Sequential) -> None:
    """Draw the classifier's layers in a row above the sum, then sigmoid and decision."""
    layers = [
        (describe_layer(layer), TRAINED if list(layer.parameters()) else PLAIN)
        for layer in classifier
    ]
    places = 6 + 9.3 * np.arange(len(layers) + 1)
    _arrow(axes, (6, 47.7), (6, CLASSIFIER - 3.1))
    for x, (text, style) in zip(places, [*layers, ("sigmoid", PLAIN)], strict=True):
        _box(axes, x, CLASSIFIER, 8, 6, style, text.replace(" ", "\n", 1), fontsize=9)
        _arrow(axes, (x + 4, CLASSIFIER), (x + 5.3, CLASSIFIER))
    _write(axes, places[:-1].mean(), 58.3, "classifier $f$")
    _write(axes, places[-1] - 4.6, 58.3, "logit", **PALE)
    _write(axes, places[-1] + 5.6, CLASSIFIER, "$p(x)$", ha="left")
    _write(axes, 74.5, 48.4, r"synthetic where $p(x) \geq t$", ha="right", **PALE)


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
