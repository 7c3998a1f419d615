"""Figures of the method: the paper's Figure 1, the two activations, the augmentations."""

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

from layerfusion.analysis.architecture import Blueprint
from layerfusion.figures.style import finish
from layerfusion.images.transforms import TrainingTransform, image_rng
from layerfusion.settings import AugmentationSettings, ImageSettings

# Frozen parts are hatched and pale, trained ones plain and dark: told apart in print, too.
FROZEN: dict[str, Any] = {"facecolor": "#F1F5F8", "edgecolor": "#93A9BB", "hatch": "////"}
TRAINED: dict[str, Any] = {"facecolor": "#F5B971", "edgecolor": "#8A4B00"}
PLAIN: dict[str, Any] = {"facecolor": "white", "edgecolor": "0.45"}
INK = "0.2"

# The overview's own unit of length is a tenth of an inch; its blocks stand between these columns.
PAGE = (110, 53)
LEFT, RIGHT = 27.0, 80.0
CLASSIFIER = 95.0

# Augmentation steps in the order of their application: name on the page, prefix of the settings.
STEPS = {
    "flip": "flip",
    "colour jitter": "jitter",
    "rotation": "rotation",
    "JPEG": "jpeg",
    "down and up": "resample",
}


def overview(plan: Blueprint, picture: NDArray[np.uint8]) -> Figure:
    """Draw the detector from image to probability, as Figure 1 of the paper does.

    Parameters
    ----------
    plan
        Sizes of the detector, as `layerfusion.analysis.architecture.blueprint` returns them.
    picture
        An image as the detector sees it, shape (crop, crop, 3).
    """
    figure = plt.figure(figsize=(PAGE[0] / 10, PAGE[1] / 10), dpi=130)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, PAGE[0]), ylim=(0, PAGE[1]), aspect="equal")
    axes.axis("off")
    _draw_image(axes, plan, picture)
    _draw_encoder(axes, plan)
    _draw_fusion(axes, plan)
    _draw_classifier(axes, plan)
    _draw_legend(axes)
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
    left.plot(
        curves["x"],
        curves["quick_gelu"],
        color="#0072B2",
        label=r"QuickGELU, $x\,\sigma(1.702\,x)$",
    )
    left.plot(
        curves["x"], curves["gelu"], color="#D55E00", linestyle="--", label=r"GELU, $x\,\Phi(x)$"
    )
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
    axes.fill_between(
        gap.index,
        gap["low"],
        gap["high"],
        color=INK,
        alpha=0.15,
        linewidth=0,
        label="half of the images",
    )
    axes.plot(gap.index, gap["median"], color=INK, marker="o", markersize=4, label="median image")
    axes.set(xlabel="transformer block $l$", ylabel="relative difference", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False, loc="upper left")
    return finish(figure)


def augmentation_sheet(
    image: Image.Image, settings: ImageSettings, *, columns: int = 7, seed: int = 0
) -> Figure:
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
    columns
        Number of draws.
    """
    rows = {
        name: [_view(image, row_settings, seed, column) for column in range(columns)]
        for name, row_settings in _gallery(settings.augmentation, settings).items()
    }
    size = (1.2 * columns + 1.6, 1.2 * len(rows))
    figure, axes = plt.subplots(len(rows), 1, figsize=size, dpi=110, layout="constrained")
    for axis, (name, views) in zip(axes, rows.items(), strict=True):
        axis.imshow(_side_by_side(views), interpolation="nearest")
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_color("none")  # `finish` makes two of them visible again
    return finish(figure)


def _gallery(
    augmentation: AugmentationSettings, settings: ImageSettings
) -> dict[str, ImageSettings]:
    """Return the settings of each row of the gallery, by the words beside it."""
    never = {f"{prefix}_probability": 0.0 for prefix in STEPS.values()}
    always = dict.fromkeys(never, 1.0)
    chances = {"crop": never}
    for name, prefix in STEPS.items():
        key = f"{prefix}_probability"
        chances[f"{name}\np = {getattr(augmentation, key):g}"] = never | {key: 1.0}
    chances["all steps"] = always
    chances["as in training"] = {}
    return {
        name: settings.model_copy(update={"augmentation": augmentation.model_copy(update=chance)})
        for name, chance in chances.items()
    }


def _view(image: Image.Image, settings: ImageSettings, seed: int, column: int) -> NDArray[np.uint8]:
    pixels = TrainingTransform(settings)(image, image_rng(seed, 0, column)).numpy()
    return np.moveaxis(pixels, 0, -1)


def _side_by_side(views: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return pictures (side, side, 3) as one, a white gap of a sixteenth of a side between them."""
    height, width = views[0].shape[:2]
    gap = np.full((height, max(1, width // 16), 3), 255, np.uint8)
    parts = [part for view in views for part in (view, gap)]
    return np.concatenate(parts[:-1], axis=1)


def _draw_image(axes: Axes, plan: Blueprint, picture: NDArray[np.uint8]) -> None:
    """Draw the image with its grid of patches."""
    left, right, bottom, top = 0.5, 15.5, 11.5, 26.5
    axes.imshow(picture, extent=(left, right, bottom, top), interpolation="nearest", zorder=2)
    axes.set(xlim=(0, PAGE[0]), ylim=(0, PAGE[1]))  # which imshow changes
    patches = plan.crop // plan.patch
    for line in np.linspace(0, 1, patches + 1):
        x, y = left + line * (right - left), bottom + line * (top - bottom)
        axes.plot([x, x], [bottom, top], color="white", linewidth=0.5, alpha=0.7, zorder=3)
        axes.plot([left, right], [y, y], color="white", linewidth=0.5, alpha=0.7, zorder=3)
    _say(axes, 8, 8.9, "image $x$", size=11)
    _say(axes, 8, 6.3, f"{plan.crop} × {plan.crop} px", colour="0.4")
    _say(axes, 8, 4.2, f"patches of {plan.patch} × {plan.patch}", colour="0.4")


def _draw_encoder(axes: Axes, plan: Blueprint) -> None:
    """Draw patch embedding and blocks on the residual stream, and which of them are trained."""
    _box(axes, 18, 3.2, 63.5, 25.2, {"facecolor": "0.965", "edgecolor": "none"}, zorder=0)
    _arrow(axes, (15.8, 19), (19.7, 19))
    axes.plot([22, _centres(plan)[-1]], [19, 19], color=INK, linewidth=1.2, zorder=1)
    _box(axes, 19.8, 12.5, 3.6, 13, FROZEN)
    embedding = axes.text(
        21.6, 19, "patch embedding", rotation=90, ha="center", va="center", fontsize=9
    )
    embedding.set_bbox({"facecolor": FROZEN["facecolor"], "edgecolor": "none", "pad": 1.5})
    pitch = (RIGHT - LEFT) / plan.blocks
    frozen = plan.blocks - plan.trained_blocks
    for number, x in enumerate(_centres(plan), start=1):
        style = FROZEN if number <= frozen else TRAINED
        _box(axes, x - 0.3 * pitch, 12.5, 0.6 * pitch, 13, style)
        _say(axes, x, 10.8, str(number), size=9 if pitch > 3 else 6.5)
    _bracket(axes, _centres(plan)[:frozen], pitch, "frozen")
    _bracket(axes, _centres(plan)[frozen:], pitch, "trained")
    title = f"CLIP vision transformer {plan.model}: {plan.blocks} blocks of width {plan.width}"
    _say(axes, 49.7, 1.4, title, size=11)


def _draw_fusion(axes: Axes, plan: Blueprint) -> None:
    """Draw class tokens, shared projection, block weights and their sum."""
    centres = _centres(plan)
    read = [centres[number - 1] for number in plan.read_blocks]
    pitch = (RIGHT - LEFT) / plan.blocks
    radius = min(1.7, 0.4 * pitch)
    for number, x in zip(plan.read_blocks, read, strict=True):
        axes.plot([x, x], [25.7, 31], color=INK, linewidth=0.9, zorder=1)
        _arrow(axes, (x, 31), (x, 34.9))
        axes.plot(x, 31, marker="o", markersize=4.5, color=INK)
        axes.plot([x, x], [39.6, 48.5], color=INK, linewidth=0.9, zorder=1)
        style = TRAINED if plan.learned_weights else PLAIN
        axes.add_patch(Circle((x, 43.7), radius, linewidth=1, zorder=2, **style))
        if radius > 1.3:
            _say(axes, x, 43.6, rf"$\alpha_{{{number}}}$", size=9)
    _box(axes, LEFT, 35.1, RIGHT - LEFT, 4.4, TRAINED)
    lengths = f"{plan.width} → {plan.projection_width}, one for all blocks"
    _say(axes, (LEFT + RIGHT) / 2, 37.3, rf"$W_p\,h_l(x) + b_p$      {lengths}", size=11)
    axes.plot([read[0], CLASSIFIER - 4], [48.5, 48.5], color=INK, linewidth=0.9, zorder=1)
    _arrow(axes, (CLASSIFIER - 4, 48.5), (CLASSIFIER - 2.1, 48.5))
    axes.add_patch(Circle((CLASSIFIER, 48.5), 2, linewidth=1, **PLAIN))
    _say(axes, CLASSIFIER, 48.4, r"$\Sigma$", size=12)
    _say(axes, CLASSIFIER + 2.8, 48.5, f"$z(x)$, length {plan.projection_width}", align="left")
    _say(axes, 25, 31, "class tokens $h_l(x)$", align="right")
    _say(axes, 25, 37.3, "shared projection", align="right")
    _say(axes, 25, 44.6, r"block weights $\alpha_l$", align="right")
    weighing = "softmax, at first 1/$L$ each" if plan.learned_weights else "1/$L$ each, for good"
    _say(axes, 25, 42.4, weighing, align="right", colour="0.4", size=9)


def _draw_classifier(axes: Axes, plan: Blueprint) -> None:
    """Draw the classifier's layers below the sum, then sigmoid and decision."""
    top, bottom = 43.6, 18.5
    pitch = (top - bottom) / len(plan.classifier)
    _arrow(axes, (CLASSIFIER, 46.4), (CLASSIFIER, top + 0.1))
    for index, (layer, has_parameters) in enumerate(plan.classifier):
        y = top - (index + 1) * pitch + 0.5
        _box(axes, CLASSIFIER - 8, y, 16, pitch - 0.9, TRAINED if has_parameters else PLAIN)
        _say(axes, CLASSIFIER, y + pitch / 2 - 0.5, layer)
    axes.text(
        105, (top + bottom) / 2, "classifier", rotation=270, ha="center", va="center", fontsize=11
    )
    _arrow(axes, (CLASSIFIER, bottom + 0.3), (CLASSIFIER, 14.9))
    _say(axes, CLASSIFIER + 1, 16.9, "logit", align="left", colour="0.4", size=9)
    _box(axes, CLASSIFIER - 8, 10.9, 16, 3.8, PLAIN)
    _say(axes, CLASSIFIER, 12.8, r"sigmoid $\sigma$")
    _arrow(axes, (CLASSIFIER, 10.7), (CLASSIFIER, 7.5))
    _say(axes, CLASSIFIER, 5.6, "probability $p(x)$", size=11)
    _say(axes, CLASSIFIER, 2.8, r"synthetic where $p(x) \geq$ threshold", colour="0.4", size=9)


def _draw_legend(axes: Axes) -> None:
    for y, style, text in ((50, FROZEN, "frozen, as pretrained"), (47, TRAINED, "trained")):
        _box(axes, 0.7, y - 0.9, 3.4, 1.9, style)
        _say(axes, 5, y, text, align="left")


def _centres(plan: Blueprint) -> NDArray[np.float64]:
    """Return the middle of each block's column."""
    return LEFT + (np.arange(plan.blocks) + 0.5) * (RIGHT - LEFT) / plan.blocks


def _bracket(axes: Axes, centres: NDArray[np.float64], pitch: float, text: str) -> None:
    """Draw a bracket under blocks, with a word; nothing if there are none."""
    if len(centres):
        left, right = centres[0] - 0.3 * pitch, centres[-1] + 0.3 * pitch
        axes.plot([left, left, right, right], [9.3, 8.5, 8.5, 9.3], color=INK, linewidth=0.9)
        _say(axes, (left + right) / 2, 6.2, text)


def _box(
    axes: Axes,
    left: float,
    bottom: float,
    width: float,
    height: float,
    style: dict[str, Any],
    *,
    zorder: float = 2,
) -> None:
    rounded = f"round,pad=0,rounding_size={min(0.5, width / 4)}"
    patch = FancyBboxPatch(
        (left, bottom), width, height, boxstyle=rounded, linewidth=1, zorder=zorder, **style
    )
    axes.add_patch(patch)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    shape = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=shape | {"mutation_scale": 8})


def _say(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    size: float = 10,
    align: str = "center",
    colour: str = "0.1",
) -> None:
    axes.text(
        x,
        y,
        text,
        fontsize=size,
        ha=align,
        va="center",
        color=colour,
        math_fontfamily="dejavuserif",
        zorder=4,
    )
