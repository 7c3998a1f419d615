"""The paper's shift from local to official images, as counts of errors."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.pages.figures.style import RUN_STYLES, finish

ERRORS = {"false_negatives": "false negatives", "false_positives": "false positives"}


def error_shift(rebuilt: pd.DataFrame) -> pd.DataFrame:
    """Return both kinds of errors on local and on official images.

    Parameters
    ----------
    rebuilt
        As `layerfusion.paper.audit.rebuilt` returns it; 5,000 images of each class in both splits.

    Returns
    -------
    DataFrame
        Indexed by ``errors`` and ``run``: counts ``local`` and ``official``.
    """
    wide = pd.DataFrame(rebuilt[list(ERRORS)].rename(columns=ERRORS).unstack("run"))
    return wide.T.rename_axis(index=["errors", "run"], columns=None)


def draw_error_shift(shift: pd.DataFrame) -> Figure:
    """Draw `error_shift`: a line from local to official for each run, a panel for each error."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
    for ax, kind in zip(axes, ERRORS.values(), strict=True):
        for run, counts in shift.xs(kind, level="errors").iterrows():
            ax.plot(counts.index, counts, label=run, **RUN_STYLES[str(run)])
            for place, (split, count) in enumerate(counts.items()):
                lower = count < shift.xs(kind, level="errors")[split].max()
                ax.annotate(
                    f"{count:,}", (place, count), (24 * place - 12, 0), textcoords="offset points",
                    ha="left" if place else "right", va="top" if lower else "bottom",
                )  # fmt: skip
        ax.set(title=kind, xlim=(-0.5, 1.5), ylim=(0, 1.1 * shift.to_numpy().max()))
    axes[0].set_ylabel("of 5,000 images of the class")
    axes[0].legend(frameon=False, loc="lower center")
    return finish(figure)
