"""What moves between processors and what does not, drawn from the measured table."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerfusion.analysis.measures import RUNS
from layerfusion.figures.style import finish

# Judged on other processors, and not: a column of the table, and what to call it.
PANELS = {
    "first_training_loss": "training loss, epoch 1",
    "local roc_auc": "ROC AUC",
    "f1": "F1",
    "threshold": "threshold",
}
KINDS = {False: "another processor", True: "broken on purpose"}


def draw_processors(table: pd.DataFrame) -> Figure:
    """Draw each variant's numbers as a mark, sound ones apart from broken ones.

    Parameters
    ----------
    table
        As `layerfusion.experiments.processors.measure_processors` returns it.
    """
    figure, axes = plt.subplots(1, len(PANELS), figsize=(10, 3), layout="constrained")
    kinds = table["broken"].map(KINDS)
    for panel, (column, name) in zip(axes, PANELS.items(), strict=True):
        sns.stripplot(
            table.assign(kind=kinds), x="run", y=column, hue="kind", order=RUNS,
            hue_order=KINDS.values(), dodge=True, jitter=0.15, palette="colorblind", ax=panel,
            legend=False,
        )  # fmt: skip
        panel.set(title=name, xlabel="", ylabel="")
    marks = [
        Line2D([], [], marker="o", linestyle="", color=c)
        for c in sns.color_palette("colorblind", 2)
    ]
    figure.legend(marks, KINDS.values(), loc="outside upper right", ncols=2, frameon=False)
    return finish(figure)
