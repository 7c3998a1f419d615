"""Effects: how much higher one number is than another, paired by seed, image and source.

Every comparison of detectors and conditions is a `Contrast`, and every interval, p-value and
verdict on one is made here. A reproduction has two values to compare with, 0 and the paper's own
effect, which was measured on images as well (Simonsohn 2015; Patil, Peng and Leek 2016):

=============================================================  ===================================
the interval                                                   verdict
=============================================================  ===================================
excludes 0, on the paper's side, not wholly below its effect   replicates
excludes 0, on the paper's side, wholly below its effect       smaller than in the paper
contains 0, excludes the paper's effect                        no effect of the paper's size
excludes 0, on the other side                                  reversed
contains 0 and the paper's effect                              undecided
=============================================================  ===================================

Whether it excludes the paper's effect is asked of the difference, whose variance is the sum of
both. Of what the paper has no number for, an interval above 0 *holds*.

What every reader of these effects should know: checkpoint and threshold were chosen on the clean
validation images, so that *local* numbers are optimistically biased, here as in the paper. Part of
what other images and degraded ones seem to cost is that. Resamples keep checkpoint and threshold as
they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from layerfusion.analysis.measures import Cell, Scored
from layerfusion.metrics.measured import Measured
from layerfusion.metrics.scored import Metric
from layerfusion.metrics.significance import holm
from layerfusion.metrics.uncertainty import LEVEL, Interval
from layerfusion.paper.detectable import sampling_error

Verdict = Literal[
    "replicates",
    "holds",
    "smaller than in the paper",
    "no effect of the paper's size",
    "reversed",
    "undecided",
    "not measured",
]


UNMEASURED: Verdict = "not measured"
_NUMBERS = (
    "effect", "low", "high", "images_low", "images_high", "from_paper", "from_paper_low",
    "from_paper_high", "p", "p_holm", "standard_error", "seed_sd", "image_se",
)  # fmt: skip


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
    beyond
        What is added to that sum: the claim is then that a number lies below this.
    """

    name: str
    text: str
    terms: tuple[Term, ...]
    paper: float | None = None
    beyond: float = 0.0

    def effect(self, scored: Scored) -> Measured:
        """Return the effect of each seed, resample and source that is left out.

        Raises
        ------
        LookupError
            If one of the numbers was not measured.
        """
        numbers = [scored[on][name].measured(metric) for _, metric, name, on in self.terms]
        signed = [
            own if term.sign == 1 else -own for own, term in zip(numbers, self.terms, strict=True)
        ]
        return reduce(add, signed) + self.beyond

    @property
    def paper_error(self) -> float:
        """The standard error of the paper's effect, over images; 0 where there is no effect."""
        if self.paper is None:
            return 0.0
        errors = [sampling_error(one.metric, one.variant, one.condition) for one in self.terms]
        return float(np.linalg.norm(errors))

    @property
    def variants(self) -> set[str]:
        """The variants that are compared."""
        return {term.variant for term in self.terms}


def difference(metric: Metric, a: tuple[str, str], b: tuple[str, str]) -> tuple[Term, ...]:
    """Return the terms of metric(a) - metric(b); `a` and `b` are a variant and a condition each."""
    return Term(1, metric, *a), Term(-1, metric, *b)


def verdict(found: Interval, beside_paper: Interval | None = None) -> Verdict:
    """Say what an effect's interval allows to say, as the table of this module has it.

    Parameters
    ----------
    found
        Of the effect. One that is not defined on these images (NaN) is undecided.
    beside_paper
        Of the effect less the paper's; None where the paper has none.
    """
    smaller = beside_paper is not None and beside_paper.high < 0
    if found.low > 0:
        if beside_paper is None:
            return "holds"
        return "smaller than in the paper" if smaller else "replicates"
    if found.high < 0:
        return "reversed"
    return "no effect of the paper's size" if smaller else "undecided"


def effects(
    scored: Scored, contrasts: Iterable[Contrast], machines: Mapping[Cell, str] | None = None
) -> pd.DataFrame:
    """Return every contrast's effect, mean over seeds, on the same resamples of the images.

    Parameters
    ----------
    scored
        The images of each condition, by variant, with thresholds.
    contrasts
        One family: p-values are corrected over all of them.
    machines
        By variant and seed: what computed them.

    Returns
    -------
    DataFrame
        A row a contrast: ``name``, ``text``; ``paper`` and ``paper_se``; ``effect`` with ``low``
        and ``high``, ``over`` what these are, ``images_low`` and ``images_high`` over images alone;
        ``from_paper`` (effect less the paper's) with its interval; ``p`` against 0, ``p_holm``;
        ``verdict``, and ``corrected``, the verdict where an effect with a ``p_holm`` of .05 or more
        is not told from 0; ``seeds``, how many, and ``per_seed``, a list; ``standard_error``,
        ``seed_sd``, ``image_se``; ``machines``, those that made what is compared. Numbers are NaN
        where there are none.
    """
    return judged(pd.DataFrame([_row(one, scored, machines or {}) for one in contrasts]))


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of `effects`, one family, with corrected p-values and both verdicts."""
    table = table.assign(p_holm=holm(table["p"]))
    for place, row in table.dropna(subset=["effect"]).iterrows():
        found = Interval(row["effect"], row["low"], row["high"])
        beside = Interval(row["from_paper"], row["from_paper_low"], row["from_paper_high"])
        paper = None if np.isnan(row["paper"]) else beside
        told = not row["p_holm"] >= 1 - LEVEL
        table.loc[place, "verdict"] = verdict(found, paper)
        widest = found if told else replace(found, low=-np.inf, high=np.inf)
        table.loc[place, "corrected"] = verdict(widest, paper)
    return table


def _row(contrast: Contrast, scored: Scored, made_by: Mapping[Cell, str]) -> dict[str, Any]:
    compared = [own[name] for own in scored.values() for name in contrast.variants & own.keys()]
    # Each machine once: what several of them made is not paired within one.
    machines = {made_by[cell]: None for cell in sorted(made_by) if cell[0] in contrast.variants}
    printed = np.nan if contrast.paper is None else contrast.paper
    row: dict[str, Any] = {"name": contrast.name, "text": contrast.text, "paper": printed}
    row |= {"paper_se": contrast.paper_error}
    row |= dict.fromkeys(_NUMBERS, np.nan) | {"over": "", "verdict": UNMEASURED}
    row |= {"corrected": UNMEASURED, "per_seed": [], "machines": "; ".join(machines)}
    row |= {"seeds": max((len(own.logits) for own in compared), default=0)}
    try:
        effect = contrast.effect(scored)
    except LookupError:
        return row
    found = effect.interval()
    row |= found.row("effect") | found.minus(printed, row["paper_se"]).columns("from_paper")
    row |= {"p": found.p_value, "standard_error": found.standard_error}
    row |= {"seed_sd": found.seed_sd, "image_se": found.image_se}
    return row | {"per_seed": effect.estimates.tolist()}
