"""Groups of images: a sheet of what they show, and which of them a detector errs on."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from layerfusion.figures.errors import ERRORS
from layerfusion.metrics.groups import EVERY

ALPHA = 0.05


def in_a_sentence(errors: pd.DataFrame) -> str:
    """Return which groups err more than chance allows, as Markdown.

    Parameters
    ----------
    errors
        As `layerfusion.experiments.errors.study_errors` or
        `layerfusion.analysis.slices.error_slices` returns them.
    """
    groups = errors[errors["by"] != EVERY]
    above = groups[groups["p_holm"] < ALPHA]
    said = [
        f"{row['by']} `{row['value']}`: {row['share']:.0%} {ERRORS[row['class']]} in the "
        f"{row['run']} run, {_mean(errors, row):.0%} of all {row['class']} images"
        for row in above.to_dict("records")
    ]
    found = f"**Of {len(groups)} groups {len(above) or 'none'} can be shown to err more often**"
    return f"{found} than chance allows, corrected for their number" + "".join(
        [": " if said else "", "; ".join(said), "."]
    )


def _mean(errors: pd.DataFrame, group: Mapping[Hashable, Any]) -> float:
    of = (errors["by"] == EVERY) & (errors["run"] == group["run"])
    return float(errors.loc[of & (errors["class"] == group["class"]), "share"].item())
