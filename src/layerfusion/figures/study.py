"""The study's answers at one look, drawn from its table."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.figures.style import finish
from layerfusion.metrics.uncertainty import LEVEL

# Told apart by marker too. Shades that show on white and on black.
VERDICTS = {
    "holds": {"color": "#009E73", "marker": "o"},
    "undecided": {"color": "#999999", "marker": "D"},
    "does not hold": {"color": "#D55E00", "marker": "s"},
}


def draw_claims(claims: pd.DataFrame) -> Figure:
    """Draw each claim's effect with its interval, and the paper's own effect as a cross.

    Parameters
    ----------
    claims
        As `layerfusion.studies.record.claims_table` returns them.
    """
    figure, axes = plt.subplots(figsize=(8, 0.32 * len(claims) + 1), layout="constrained")
    places = pd.Series(range(len(claims))[::-1], index=claims.index)
    for verdict, style in VERDICTS.items():
        part = claims[claims["verdict"] == verdict]
        reach = [part["effect"] - part["low"], part["high"] - part["effect"]]
        at = places[part.index]
        bars = axes.errorbar(part["effect"], at, xerr=reach, linestyle="none", **style)  # type: ignore[arg-type]
        bars.set_label(verdict)
    axes.scatter(claims["paper"], places, marker="x", color="black", zorder=3, label="the paper")
    axes.axvline(0, color="0.5", linewidth=1)
    unmeasured = claims["verdict"] == "not measured"
    names = claims["claim"].mask(unmeasured, claims["claim"] + " (not measured)")
    axes.set_yticks(places, names, fontsize="small")
    axes.set_xlabel(f"effect, positive where the claim holds; bars: {LEVEL:.0%}, seeds and images")
    figure.legend(loc="outside upper right", ncols=4, frameon=False, fontsize="small")
    return finish(figure)
