"""What all figures share: colours, how they end, and how a notebook shows photographs."""

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerfusion.metrics.classes import UNLABELLED

if TYPE_CHECKING:
    from IPython.display import DisplayObject

# One colour a class on every figure, told apart by colour-blind readers too.
COLOURS = {"real": "#0072B2", "synthetic": "#D55E00"}

# The classes with that of images without a label.
SHADES: dict[Any, Any] = COLOURS | {UNLABELLED: "0.35"}

# The paper's two runs, told apart by marker too.
RUN_STYLES: dict[str, dict[str, str]] = {
    "constrained": {"color": "#009E73", "marker": "o"},
    "open": {"color": "#CC79A7", "marker": "s"},
}


def as_jpeg(figure: Figure) -> "DisplayObject":
    """Return a figure full of photographs for a notebook: JPEG takes a tenth of PNG's bytes."""
    from IPython.core.pylabtools import print_figure  # comes with the book
    from IPython.display import Image

    file = print_figure(figure, "jpeg", pil_kwargs={"quality": 85})  # type: ignore[no-untyped-call]
    image: DisplayObject = Image(data=file, format="jpeg")  # type: ignore[no-untyped-call]
    return image


def legend_above(figure: Figure, axes: Axes) -> None:
    """Write the legend of one panel above a figure."""
    lines = axes.get_legend_handles_labels()
    figure.legend(*lines, loc="outside upper right", ncols=4, frameon=False, fontsize="small")


def finish(figure: Figure) -> Figure:
    """Return a figure as all of them look in the end, closed and without the upper right frame."""
    sns.despine(figure)
    plt.close(figure)  # or a notebook would show it twice: as a result and as an open figure
    return figure
