"""Choosing a threshold, in words and figures made of the tables of predictions alone."""

from collections.abc import Mapping
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from layerfusion.metrics.calibration import FITTED_ON, at_prevalence, held_out_probabilities
from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.flips import correlation
from layerfusion.metrics.held_out import EVALUATED_ON
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.uncertainty import LEVEL
from layerfusion.pages.figures.intervals import draw_by_source, draw_intervals
from layerfusion.pages.figures.run import as_scored, reliability_panels
from layerfusion.pages.figures.style import finish, legend_above

SAME, OTHER = EVALUATED_ON
RATE, TARGET_ERROR = 0.05, 0.10  # what sentences and figures are about
METHOD = "temperature and shift"  # of `layerfusion.metrics.calibration.METHODS`, that is drawn
EVALUATED_STYLES = {
    SAME: {"color": "0.55", "marker": "o"},
    OTHER: {"color": "#D55E00", "marker": "s"},
}


def in_a_sentence(run: str, recall: pd.DataFrame, alarms: pd.DataFrame, bands: pd.DataFrame) -> str:
    """Return what the numbers allow to say of one run, as Markdown.

    Parameters
    ----------
    run
        Its name.
    recall, alarms, bands
        As `metrics.transfer.recall_table`, `metrics.transfer.fpr_table` and
        `metrics.transfer.abstention_table` return them.
    """
    found = recall.set_index("target_fpr").loc[RATE]
    others = alarms[alarms["evaluated_on"] == OTHER]
    elsewhere = others.set_index("target_fpr").loc[RATE]
    violations = bands.set_index(["target_error", "evaluated_on"])["violation_rate"]
    return (
        f"Where {RATE:.0%} of the photographs may be predicted synthetic, the {run} run finds "
        f"**{found['recall']:.0%}** of the generated images [{found['low']:.0%}, "
        f"{found['high']:.0%}]; chosen on half of the sources, the same threshold calls "
        f"**{elsewhere['false_positive_rate']:.0%}** of the other sources' photographs synthetic "
        f"(90 % of such divisions: {elsewhere['low']:.0%} to {elsewhere['high']:.0%}); and an "
        f"abstention band with a target of {TARGET_ERROR:.0%} wrong predictions exceeds it in "
        f"{violations[TARGET_ERROR, SAME]:.0%} of divisions where the sources are the same, and in "
        f"**{violations[TARGET_ERROR, OTHER]:.0%}** where they are others."
    )


def if_as_alike(detectable: pd.DataFrame, scored: Mapping[str, ScoredImages]) -> str:
    """Return what the paper's official images show, if its runs' calls are as alike as these.

    Parameters
    ----------
    detectable
        As `layerfusion.paper.detectable.differences` returns it.
    scored
        The same images as both runs score them.
    """
    alike = correlation(scored)
    needs = detectable["needs"].xs("official").rename(lambda name: name.replace("_", " "))
    shown = needs <= alike  # NaN is not
    return (
        f"Here the calls of both runs have a correlation of **{alike:.2f}** (mean over seeds). If "
        f"those of the paper's runs are as alike, its official images show a difference in "
        f"{', '.join(needs.index[shown]) or 'nothing'}, and cannot show one in "
        f"{', '.join(needs.index[~shown]) or 'nothing'}."
    )


def stream_table(alarms: pd.DataFrame, prevalences: tuple[float, ...]) -> pd.DataFrame:
    """Return what a thousand images of a stream come to, at thresholds chosen on other sources.

    Parameters
    ----------
    alarms
        As `metrics.transfer.fpr_table` returns them.
    prevalences
        Shares of synthetic images, in (0, 1).

    Returns
    -------
    DataFrame
        A row a rate and prevalence: ``target_fpr``, ``prevalence``; of 1,000 images on average
        ``n_predicted_synthetic``, ``n_true_positives`` and ``n_false_negatives``; ``precision``.
    """
    others = alarms.loc[alarms["evaluated_on"] == OTHER].reset_index(drop=True)
    table = others.merge(pd.DataFrame({"prevalence": prevalences}), how="cross")
    hits = 1000 * table["prevalence"] * table["recall"]
    predicted = hits + 1000 * (1 - table["prevalence"]) * table["false_positive_rate"]
    return table[["target_fpr", "prevalence"]].assign(
        n_predicted_synthetic=predicted,
        n_true_positives=hits,
        n_false_negatives=1000 * table["prevalence"] - hits,
        precision=hits / predicted,  # Bayes' rule; NaN where none is predicted synthetic
    )


def picture_table(probabilities: tuple[float, ...], prevalences: tuple[float, ...]) -> pd.DataFrame:
    """Return what a recalibrated probability means where another share of images is synthetic.

    Returns
    -------
    DataFrame
        Index: ``balanced``, the probability where half are. A column a prevalence.
    """
    columns = {f"{share:.0%} synthetic": at_prevalence(probabilities, share)
               for share in prevalences}  # fmt: skip
    return pd.DataFrame(columns, index=pd.Index(probabilities, name="balanced"))


def draw_left_out(left_out: pd.DataFrame) -> Figure:
    """Draw how much of each source is called synthetic at a threshold chosen without it.

    Parameters
    ----------
    left_out
        Indexed by ``run``: as `metrics.transfer.left_out_sources` returns it. Sources are in the
        order of the last run, its worst on top; the target of `RATE` is a line.
    """
    label = f"share predicted synthetic; dotted: target {RATE:.0%}; bars: {LEVEL:.0%}, other images"
    line = {f"{CLASSES[0]} images of": RATE}
    return draw_by_source(
        left_out, "predicted_synthetic", f"{label} of the source", line=line, percent=True
    )


def draw_targets(alarms: pd.DataFrame, bands: pd.DataFrame) -> Figure:
    """Draw the targets and what was found, on the same and on other sources.

    Parameters
    ----------
    alarms, bands
        As `metrics.transfer.fpr_table` and `metrics.transfer.abstention_table` return them.
    """
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
    kinds = {
        "Threshold": (alarms, "target_fpr", "false_positive_rate", "target FPR"),
        "Abstention band": (bands, "target_error", "error", "target error"),
    }
    for axes, (title, (table, target, found, label)) in zip(panels, kinds.items(), strict=True):
        own = table.sort_values(target).assign(name=table[target].map("{:.0%}".format))
        draw_intervals(axes, own, found, rows="name", by="evaluated_on", styles=EVALUATED_STYLES)
        targets = own[target].unique()
        places = np.arange(len(targets))
        axes.vlines(targets, places - 0.4, places + 0.4, color="0.2", label="target")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set(xlabel="found in the other half", ylabel=label, title=title, xlim=(0, None))
    legend_above(figure, axes)
    return finish(figure)


def draw_reliability(scored: Mapping[str, ScoredImages]) -> Figure:
    """Draw how often images of like probability are synthetic, as scored and recalibrated.

    Parameters
    ----------
    scored
        By run. The first seed of each is drawn.
    """

    def fitted(own: ScoredImages, where: str) -> NDArray[np.float64]:
        return held_out_probabilities(own.images, own.logits[0], METHOD, where)

    ways = {f"fitted on {where}": partial(fitted, where=where) for where in FITTED_ON}
    return reliability_panels(scored, {"as scored": as_scored, **ways})
