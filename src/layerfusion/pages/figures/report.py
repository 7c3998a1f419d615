"""What is recorded: for every study the command, a number to expect, and what it took."""

from collections.abc import Iterable

import pandas as pd

from layerfusion.experiments.record import FinishedStudy
from layerfusion.experiments.tables import PREDICTIONS
from layerfusion.pages.figures.formatting import with_interval


def records_table(studies: Iterable[FinishedStudy]) -> pd.DataFrame:
    """Return a row a study: what to type, what should come out, and how long that took here.

    Returns
    -------
    DataFrame
        Indexed by ``question``: ``command``; ``expected``, the ROC AUC on validation images of its
        first variant, in text, where predictions are committed; ``seeds``; ``minutes`` of work;
        ``on``, what computed it; ``commit``, and ``clean``, whether nothing differed from it.
    """
    rows = []
    for study in studies:
        record = study.record
        made = record.provenance
        rows.append(
            {
                "question": f"{record.question} ({record.profile})",
                "command": record.command,
                "expected": _expected(study),
                "seeds": len(record.seeds),
                "minutes": round(record.seconds["total"] / 60),
                "on": "; ".join(dict.fromkeys(cell.machine for cell in record.cells)),
                "commit": str(made["git_commit"])[:10],
                "clean": "no" if made.get("git_dirty") else "yes",
            }
        )
    return pd.DataFrame(rows).set_index("question")


def _expected(study: FinishedStudy) -> str:
    if not (study.directory / PREDICTIONS).is_file():
        return ""
    scored = study.scored
    on = next(name for name in ("local", "clean") if name in scored)
    first = study.record.variants[0]
    found = scored[on][first.name].interval("roc_auc").columns("roc_auc")
    return f"{first.text}: {with_interval(found, 'roc_auc')}"
