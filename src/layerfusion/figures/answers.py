"""The paper's claims and what each world answers, side by side: the front page's table."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from layerfusion.experiments.record import FinishedStudy
from layerfusion.figures.effects import claims_table
from layerfusion.figures.formatting import bounds, signed
from layerfusion.figures.html_tables import lay_out
from layerfusion.metrics.uncertainty import LEVEL

WORLDS = ("photographs", "demo")


def answers(photographs: FinishedStudy, demo: FinishedStudy) -> pd.DataFrame:
    """Put the claims of two studies into one table, in the paper's order.

    Returns
    -------
    DataFrame
        A row a claim that either study has: ``claim``; ``paper`` (its effect, NaN where the paper
        has none); of each of `WORLDS` ``<world>``, ``<world>_low``, ``<world>_high`` (effect and
        interval, NaN where not measured) and ``<world>_verdict``. Effects are differences of rates,
        positive where the claim holds.
    """
    studies = zip((photographs, demo), WORLDS, strict=True)
    first, second = (_named(study, world) for study, world in studies)
    order = [*first.index, *second.index.difference(first.index, sort=False)]
    paper = first.pop("paper").combine_first(second.pop("paper"))
    together = first.join(second, how="outer").reindex(order)
    together.insert(0, "paper", paper)
    for world in WORLDS:
        together[f"{world}_verdict"] = together[f"{world}_verdict"].fillna("not measured")
    return together.reset_index(names="claim")


def styled(table: pd.DataFrame) -> Styler:
    """Lay `answers` out in four columns: the paper, both worlds, the verdict on photographs."""
    rows = table.to_dict("records")
    shown = pd.DataFrame(
        {
            "The paper": [signed(row["paper"]) for row in rows],
            "Photographs, CLIP B/16": [_answer(row, "photographs") for row in rows],
            "Demo world": [_answer(row, "demo") for row in rows],
            "Verdict on photographs": [row["photographs_verdict"] for row in rows],
        },
        index=table["claim"].tolist(),
    )
    caption = (
        f"Differences of AUC, F1 or rates, positive where a claim holds, with {LEVEL:.0%} "
        "intervals over other seeds and other images. Neither world is the paper's: directions "
        "can be compared, sizes cannot."
    )
    return lay_out(shown, "answers", caption)


def _named(study: FinishedStudy, world: str) -> pd.DataFrame:
    names = {"effect": world} | {name: f"{world}_{name}" for name in ("low", "high", "verdict")}
    own = claims_table(study).set_index("claim")
    return own[["paper", *names]].rename(columns=names)


def _answer(row: Mapping[Hashable, Any], world: str) -> str:
    if pd.isna(row[world]):
        return "not measured"
    interval = bounds(row, "+.3f", world)
    return f'{signed(row[world])}<br><span class="difference">{interval}</span>'
