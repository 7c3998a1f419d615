"""What all figures share: colours, how they end, and how a notebook shows photographs."""

import io
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from IPython.display import DisplayObject

# One colour a class on every figure, told apart by colour-blind readers too.
COLOURS = {"real": "#0072B2", "synthetic": "#D55E00"}

# The paper's two runs, told apart by marker too.
RUN_STYLES: dict[str, dict[str, str]] = {
    "constrained": {"color": "#009E73", "marker": "o"},
    "open": {"color": "#CC79A7", "marker": "s"},
}


def say(axes: Axes, text: str) -> None:
    """Write into the middle of a panel why nothing is drawn there."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="0.4")


def as_jpeg(figure: Figure) -> "DisplayObject":
    """Return a figure full of photographs for a notebook: JPEG takes a tenth of PNG's bytes."""
    from IPython.display import Image  # comes with the book

    file = io.BytesIO()
    figure.savefig(file, format="jpeg", bbox_inches="tight", pil_kwargs={"quality": 85})
    image: DisplayObject = Image(data=file.getvalue(), format="jpeg")  # type: ignore[no-untyped-call]
    return image


def finish(figure: Figure) -> Figure:
    """Return a figure as all of them look in the end, closed and without the upper right frame."""
    sns.despine(figure)
    plt.close(figure)  # or a notebook would show it twice: as a result and as an open figure
    return figure
