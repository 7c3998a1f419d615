"""Effects: how much higher one number is than another, paired by seed and image.

Every comparison of detectors and conditions is a `Contrast`, and every interval, p-value and
verdict on one is made here.

What every reader of these effects should know: checkpoint and threshold were chosen on the clean
validation images, so that *local* numbers are optimistically biased, here as in the paper. Part of
what other images and degraded ones seem to cost is that. Resamples keep checkpoint and threshold as
they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from layerfusion.analysis.measures import Cell, Scored
from layerfusion.metrics.scored import Metric
from layerfusion.metrics.uncertainty import Interval, SeedInterval, Values, interval

Verdict = Literal["holds", "does not hold", "undecided", "not measured"]


class Term(NamedTuple):
    """A signed number of a contrast: a metric of a variant under a condition."""

    sign: Literal[1, -1]
    metric: Metric
    variant: str
    condition: str


@dataclass(frozen=True)
class Contrast:
    """A difference of numbers, written so that it is positive where its claim holds.

    Attributes
    ----------
    name
        For files; `text` is the claim in words.
    terms
        Whose signed sum is the effect: metric(a) - metric(b), or a difference of two of these.
    paper
        The effect in the paper's own tables; None where these do not have it.
    """

    name: str
    text: str
    terms: tuple[Term, ...]
    paper: float | None = None

    def effect(self, scored: Scored) -> Values:
        """Return the effect, shape (seeds, 1 + resamples), the estimates first.

        Raises
        ------
        LookupError
            If one of the numbers was not measured.
        """
        return sum(
            (sign * scored[on][variant].values(metric) for sign, metric, variant, on in self.terms),
            start=np.zeros(1),
        )

    @property
    def variants(self) -> set[str]:
        """The variants that are compared."""
        return {term.variant for term in self.terms}


def difference(metric: Metric, a: tuple[str, str], b: tuple[str, str]) -> tuple[Term, ...]:
    """Return the terms of metric(a) - metric(b); `a` and `b` are a variant and a condition each."""
    return Term(1, metric, *a), Term(-1, metric, *b)


def verdict(found: Interval) -> Verdict:
    """Say whether a claim holds: undecided unless its whole interval lies on one side of 0.

    An effect that is not defined on these images (NaN) is undecided.
    """
    if found.low > 0:
        return "holds"
    return "does not hold" if found.high < 0 else "undecided"


def effects(
    scored: Scored, contrasts: Iterable[Contrast], machines: Mapping[Cell, str] | None = None
) -> pd.DataFrame:
    """Return every contrast's effect, mean over seeds, on the same resamples of the images.

    Parameters
    ----------
    scored
        The images of each condition, by variant, with thresholds.
    machines
        By variant and seed: what computed them.

    Returns
    -------
    DataFrame
        A row a contrast: ``name``, ``text``, ``paper``; ``effect`` with ``low`` and ``high``, over
        seeds and images, of one seed over images alone; ``verdict``; ``seeds``, how many;
        ``per_seed``, a list; ``seed_sd`` and ``image_se``, what the interval is made of; and
        ``machines``, those that made what is compared. Numbers are NaN where there are none.
    """
    rows = [_row(contrast, scored, machines or {}) for contrast in contrasts]
    return pd.DataFrame(rows).astype({"paper": float})


def _row(contrast: Contrast, scored: Scored, made_by: Mapping[Cell, str]) -> dict[str, Any]:
    compared = [own[name] for own in scored.values() for name in contrast.variants & own.keys()]
    # Each machine once: what several of them made is not paired within one.
    machines = {made_by[cell]: None for cell in sorted(made_by) if cell[0] in contrast.variants}
    row: dict[str, Any] = {"name": contrast.name, "text": contrast.text, "paper": contrast.paper}
    row |= {"effect": np.nan, "low": np.nan, "high": np.nan, "verdict": "not measured"}
    row |= {"seeds": max((len(own.logits) for own in compared), default=0), "per_seed": []}
    row |= {"seed_sd": np.nan, "image_se": np.nan, "machines": "; ".join(machines)}
    try:
        values = contrast.effect(scored)
    except LookupError:
        return row
    found = interval(values)
    if isinstance(found, SeedInterval):
        row |= {"seed_sd": found.seed_sd, "image_se": found.image_se}
    return (
        row | found.row("effect") | {"verdict": verdict(found), "per_seed": values[:, 0].tolist()}
    )
