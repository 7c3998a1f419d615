"""An overview of the paper's claims: what it says, what a run says, and whether both point one way.

For a run of the profile `paper` a claim's numbers can be held against the paper's. For any other
profile only its direction can, and the verdict speaks of nothing else.
"""

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.io.formats.style import Styler

from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.effects import verdict
from layerfusion.analysis.measures import RUNS
from layerfusion.figures.formatting import bounds
from layerfusion.figures.html_tables import lay_out
from layerfusion.figures.paper_tables import measured, not_to_be_compared, of_profile
from layerfusion.metrics.scored import Metric
from layerfusion.metrics.uncertainty import LEVEL
from layerfusion.paper import numbers as paper


class Gain(NamedTuple):
    """A claim that the open run is above the constrained one, and where the paper makes it."""

    text: str
    place: str
    metric: Metric
    on: str


GAINS = (
    Gain("Social training images help: local F1", "Table 1", "f1", "local"),
    Gain("and local ROC AUC", "Table 1", "roc_auc", "local"),
    Gain("they help most through recall", "Table 1", "recall", "local"),
    Gain("On the official images: F1", "Table 1", "f1", "official"),
    Gain("and ROC AUC", "Table 1", "roc_auc", "official"),
    Gain("Under JPEG of quality 85: F1", "Table 2", "f1", "jpeg"),
    Gain("Laundered: F1", "Table 2", "f1", "launder"),
    Gain("Small images: F1", "Table 2", "f1", "small"),
)

THRESHOLDS = "Thresholds are very small: outputs are no probabilities"


def overview(comparison: Comparison, profile: str) -> pd.DataFrame:
    """Return the claims of `GAINS` and the one on thresholds, the paper's numbers and the runs'.

    Parameters
    ----------
    profile
        Of the runs. Those of ``paper`` repeat the paper's, and a verdict speaks of numbers too.

    Returns
    -------
    DataFrame
        A row a claim: ``claim``, ``place`` (in the paper); ``paper_constrained``, ``paper_open``,
        ``constrained``, ``open``; ``difference`` (open minus constrained) with ``low`` and ``high``
        over other images; ``verdict``. NaN and "not measured" where there is nothing, "not defined"
        where these images do not define the number; a difference without bounds is "undecided".
    """
    rows = [_gain(gain, comparison, profile == "paper") for gain in GAINS]
    thresholds = {run: comparison.runs[run].record.threshold for run in RUNS}
    small = all(value < 0.5 for value in thresholds.values())
    rows.append(
        {
            "claim": THRESHOLDS,
            "place": "section 5",
            **{f"paper_{run}": paper.THRESHOLDS[run] for run in RUNS},
            **thresholds,
            "verdict": "both below 0.5" if small else "not both below 0.5",
        }
    )
    return pd.DataFrame(rows)


def styled(table: pd.DataFrame, profile: str) -> Styler:
    """Lay an `overview` out in four columns: the claim, the paper, the runs, the verdict."""
    rows = table.to_dict("records")
    shown = pd.DataFrame(
        {
            "The paper": [_numbers(row, "paper_") for row in rows],
            of_profile(profile).capitalize(): [_numbers(row) + _difference(row) for row in rows],
            "Verdict": [row["verdict"] for row in rows],
        },
        index=[f"{row['claim']} ({row['place']})" for row in rows],
    )
    caption = (
        "From the constrained run to the open one; below, the difference with its "
        f"{LEVEL:.0%} interval over other images. {not_to_be_compared(profile)}"
    )
    return lay_out(shown, "glance", caption)


def _gain(gain: Gain, comparison: Comparison, comparable: bool) -> dict[str, object]:
    printed = {run: paper.reported(gain.metric, run, gain.on) for run in RUNS}
    row: dict[str, object] = {"claim": gain.text, "place": gain.place}
    row |= {f"paper_{run}": value for run, value in printed.items()}
    values = {}

    def difference() -> NDArray[np.float64]:
        values.update({run: comparison(gain.metric, run, on=gain.on) for run in RUNS})
        return values["open"] - values["constrained"]

    interval = measured(difference)
    if isinstance(interval, str):
        return row | {"verdict": interval}
    found: str = verdict(interval)
    if comparable:
        near = [abs(values[run][0] - (printed[run] or 0)) <= paper.TOLERANCE for run in RUNS]
        found += "; numbers agree" if all(near) else "; numbers differ"
    return row | {
        **{run: float(value[0]) for run, value in values.items()},
        "difference": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "verdict": found,
    }


def _numbers(row: dict[Hashable, Any], prefix: str = "") -> str:
    constrained, opened = (row[prefix + run] for run in RUNS)
    if pd.isna(constrained):
        return "not defined" if row["verdict"] == "not defined" else "not measured"
    kind = ".2g" if max(constrained, opened) < 0.01 else ".4f"
    return f"{constrained:{kind}} → {opened:{kind}}"


def _difference(row: dict[Hashable, Any]) -> str:
    if pd.isna(row["difference"]):
        return ""
    interval = f"{row['difference']:+.4f} {bounds(row, '+.3f')}"
    return f'<br><span class="difference">{interval}</span>'
