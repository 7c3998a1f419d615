"""Rivals beside the paper's head, image by image: made of two tables of predictions alone."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.analysis.claims import resamples_of, verdict
from layerfusion.errors import UserError
from layerfusion.metrics.uncertainty import resampled_roc_auc, seed_interval
from layerfusion.studies.predictions import by_run

OURS = "layer-fusion"  # where rivals have their name


def compare(rivals: pd.DataFrame, study: pd.DataFrame) -> pd.DataFrame:
    """Hold every rival against the paper's head, on the same resamples of the same images.

    Seeds that both have are compared, seed by seed: AUCs are subtracted resample by resample, and
    the interval is over seeds and images (`layerfusion.metrics.uncertainty.seed_interval`).

    Parameters
    ----------
    rivals
        As `layerfusion.rivals.record.read_rivals` returns them.
    study
        As `layerfusion.studies.predictions.read_predictions` returns them: of these the head of all
        blocks on validation images as they are.

    Returns
    -------
    DataFrame
        A row a run and contender, the paper's head (`OURS`) first: ``run``; ``rival``; ``seeds``,
        how many; ``roc_auc``, mean over seeds, with ``low`` and ``high``; ``gain``, how much higher
        the AUC of the paper's head is, with ``gain_low`` and ``gain_high``; ``verdict`` on the
        claim that it is higher: holds, does not hold or undecided. Of the paper's head itself gains
        are NaN and the verdict is missing.

    Raises
    ------
    UserError
        If the images differ, or their labels are unknown, or a run has fewer than two seeds in
        common.
    """
    ours = study[(study["blocks"] == "all") & (study["condition"] == "local")]
    ours = ours.drop(columns="blocks").assign(rival=OURS)
    auc = _resampled_auc(pd.concat([ours, rivals[list(ours)]], ignore_index=True))
    runs = list(dict.fromkeys(rivals["run"]))
    rows = []
    for run in runs:
        seeds = _common_seeds(auc, run)
        paper = np.stack([auc[run, OURS, seed] for seed in seeds])
        rows.append(_row(run, OURS, paper))
        for rival in dict.fromkeys(rivals["rival"]):
            values = np.stack([auc[run, rival, seed] for seed in seeds])
            rows.append(_row(run, rival, values) | _gain(paper - values))
    return pd.DataFrame(rows).astype({"verdict": "str"})


def _resampled_auc(together: pd.DataFrame) -> dict[tuple[str, str, int], NDArray[np.float64]]:
    """Return AUC on all images and on each resample, by run, contender and seed."""
    apart = by_run(together.rename(columns={"rival": "blocks"}))
    tables = {(own.run, str(own.blocks), own.seed): on["local"] for own, on in apart.items()}
    labels = next(iter(tables.values()))["label"]
    counts = resamples_of({"val": labels})
    if "val" not in counts:
        raise UserError("the validation images have no labels; rivals cannot be compared on them")
    label = labels.to_numpy(dtype=np.int64)
    return {
        contender: resampled_roc_auc(label, table["logit"].to_numpy(np.float64), counts["val"])
        for contender, table in tables.items()
    }


def _common_seeds(auc: dict[tuple[str, str, int], NDArray[np.float64]], run: str) -> list[int]:
    """Return the seeds, two at least, that all contenders of a run have."""
    seeds: dict[str, set[int]] = {}
    for own_run, contender, seed in auc:
        if own_run == run:
            seeds.setdefault(contender, set()).add(seed)
    common = set.intersection(*seeds.values())
    if OURS not in seeds or len(common) < 2:
        raise UserError(
            f"rivals and the paper's head have {len(common) if OURS in seeds else 0} seeds of the "
            f"{run} run in common; two are needed, to know how far seeds differ"
        )
    return sorted(common)


def _row(run: str, rival: str, values: NDArray[np.float64]) -> dict[str, Any]:
    found = seed_interval(values)
    own = {"roc_auc": found.estimate, "low": found.low, "high": found.high}
    gain = {"gain": np.nan, "gain_low": np.nan, "gain_high": np.nan, "verdict": None}
    return {"run": run, "rival": rival, "seeds": found.seeds} | own | gain


def _gain(values: NDArray[np.float64]) -> dict[str, Any]:
    found = seed_interval(values)
    ends = {"gain": found.estimate, "gain_low": found.low, "gain_high": found.high}
    return ends | {"verdict": verdict(found)}
