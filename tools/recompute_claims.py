"""Recompute the claims of a published study without this project's code: an outsider's check.

It needs numpy, pandas (with pyarrow) and scipy, and the folder of a profile in ``runs/reference``::

    python tools/recompute_claims.py runs/reference/photographs

Everything is written out from the book's formulas: scores and thresholds to metrics, metrics to
effects, effects to intervals over sources and seeds. What it finds is printed beside what was
published; the exit status is 1 if a number differs by more than 1e-9.
"""

import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

SHOWN = ["effect", "low", "high", "p"]
_MEASURED: dict[Any, NDArray[Any]] = {}


def auc(label: NDArray[Any], logit: NDArray[Any]) -> float:
    """Return the share of pairs of a synthetic and a real image in order, ties counting half."""
    ranks, synthetic = stats.rankdata(logit), label == 1
    n = synthetic.sum()
    return float((ranks[synthetic].sum() - n * (n + 1) / 2) / (n * (len(label) - n)))


def by_score(label: NDArray[Any], logit: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Return each distinct score, the highest first, with true positives and all calls there."""
    scores, place = np.unique(-logit, return_inverse=True)
    tp = np.cumsum(np.bincount(place, weights=label == 1))
    return -scores, tp, np.cumsum(np.bincount(place))


def average_precision(label: NDArray[Any], logit: NDArray[Any]) -> float:
    """Return the sum of precision times the step in recall, at each distinct score."""
    _, tp, called = by_score(label, logit)
    return float((np.diff(tp, prepend=0) * tp / called).sum() / (label == 1).sum())


def best_threshold(label: NDArray[Any], logit: NDArray[Any]) -> float:
    """Return the probability that is best by F1, of equals the lowest."""
    scores, tp, called = by_score(label, logit)
    f1 = 2 * tp / (called + (label == 1).sum())
    return float(1 / (1 + np.exp(-scores[len(f1) - 1 - np.argmax(f1[::-1])])))


def metric(name: str, rows: pd.DataFrame, threshold: float) -> float:
    """Return a metric of one seed's scores at its threshold, which is the probability of an image.

    That image is synthetic, however the last bits of its logit come out: hence the 4e-6.
    """
    label, logit = rows["label"].to_numpy(), rows["logit"].to_numpy(dtype=float)
    if name == "roc_auc":
        return auc(label, logit)
    if name == "average_precision":
        return average_precision(label, logit)
    if name == "threshold":
        return best_threshold(label, logit)
    called = 1 / (1 + np.exp(-(logit + 4e-6))) >= threshold
    tp, fp = (called & (label == 1)).sum(), (called & (label == 0)).sum()
    rates = {
        "accuracy": (called == (label == 1)).mean(),
        "fpr": fp / (label == 0).sum(),
        "precision": tp / max(tp + fp, 1),
        "recall": tp / (label == 1).sum(),
        "f1": 2 * tp / (tp + fp + (label == 1).sum()),
    }
    return float(rates[name])


def effect(
    terms: Any, tables: Any, thresholds: Any, without: tuple[str, str] | None = None
) -> NDArray[Any]:
    """Return the signed sum of a contrast's metrics for each seed, without one source."""
    total = np.zeros(1)
    for sign, *of in terms:
        key = (*of, without)
        if key not in _MEASURED:  # contrasts share their terms
            name, variant, condition = of
            values = []
            for seed, rows in tables[variant, condition].items():
                kept = rows if without is None else rows[rows["unit"] != without]
                values.append(metric(name, kept, thresholds[variant, seed]))
            _MEASURED[key] = np.array(values)
        total = total + sign * _MEASURED[key]
    return total


def interval(
    values: NDArray[Any],
    left_out: dict[tuple[str, str], NDArray[Any]],
    images: dict[tuple[str, str], int],
    bounds: tuple[float, float],
) -> tuple[Any, ...]:
    """Return the mean over seeds with its interval over sources and seeds, and p against 0."""
    mean, n = values.mean(), len(values)
    parts = [(values.var(ddof=1) / n, n - 1)] if n > 1 else []
    for stratum in {unit[0] for unit in left_out}:
        own = np.array([left_out[unit].mean() for unit in left_out if unit[0] == stratum])
        sizes = np.array([images[unit] for unit in left_out if unit[0] == stratum])
        spread = (len(own) - 1) / len(own) * ((own - own.mean()) ** 2).sum()
        parts.append((spread, sizes.sum() ** 2 / (sizes**2).sum() - 1))
    v, df = np.array(parts).T
    if v.sum() == 0:
        return mean, mean, mean, np.nan
    freedom = v.sum() ** 2 / (v**2 / df).sum()
    low, high = bounds
    slope = (high - low) / ((mean - low) * (high - mean))
    # A rate is never below 0: nothing is asked of 0 then.
    place, zero = (np.log((x - low) / (high - x)) if low < x else -np.inf for x in (mean, 0.0))
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(v.sum()) * slope
    ends = low + (high - low) / (1 + np.exp(-(place + np.array([-reach, reach]))))
    t = abs(place - zero) / (np.sqrt(v.sum()) * slope)
    return mean, *ends, 2 * stats.t.sf(t, freedom)


def recompute(folder: Path, name: str) -> pd.DataFrame:
    """Return the effects of a study's contrasts on labelled images, a row each, indexed by name.

    Of a study of detectors the rates themselves are rows too: ``photographs official fpr``.
    """
    study = json.loads((folder / f"studies/{name}/study.json").read_text())
    own = folder / f"studies/{name}/images.parquet"
    images = pd.read_parquet(own if own.is_file() else folder / "images.parquet").set_index("path")
    official = folder / f"studies/{name}/labels.csv"
    if official.is_file():
        images.update(pd.read_csv(official).set_index("path"))
    rows = pd.read_parquet(folder / f"studies/{name}/predictions.parquet")
    rows = rows.join(images, on="image_id").dropna(subset="label").astype({"label": int})
    families = study["settings"]["data"].get("families", {})
    named = {
        source: next((family for family, patterns in families.items()
                      if any(fnmatchcase(source, one) for one in patterns)), source)
        for source in rows["source"].unique()
    }  # fmt: skip
    strata = rows["split"] + rows["label"].astype(str)
    rows["unit"] = list(zip(strata, rows["source"].map(named), strict=True))
    side, local = study["settings"]["training"]["small_side"], rows["condition"] == "local"
    small = rows[local & (rows[["width", "height"]].min(axis=1) < side)]
    rows = pd.concat([rows, small.assign(condition="small")])
    tables = {
        key: dict(iter(own.groupby("seed"))) for key, own in rows.groupby(["variant", "condition"])
    }
    thresholds = {(cell["variant"], cell["seed"]): cell["threshold"] for cell in study["cells"]}
    _MEASURED.clear()
    found: dict[str, tuple[float, ...]] = {}
    for contrast in [*study["contrasts"], *(rates(tables) if name == "detectors" else [])]:
        terms = contrast["terms"]
        if any((variant, condition) not in tables for _, _, variant, condition in terms):
            continue
        used = [pd.concat(tables[variant, on].values()) for _, _, variant, on in terms]
        sizes: dict[Any, int] = (
            pd.concat(used).drop_duplicates("image_id").groupby("unit").size().to_dict()
        )
        left_out = {unit: effect(terms, tables, thresholds, unit) for unit in sizes}
        signs, beyond = np.array([sign for sign, *_ in terms]), contrast["beyond"]
        bounds = signs.clip(max=0).sum() + beyond, signs.clip(min=0).sum() + beyond
        values = effect(terms, tables, thresholds) + beyond
        moved = {unit: own + beyond for unit, own in left_out.items()}
        found[contrast["name"]] = interval(values, moved, sizes, bounds)
    return pd.DataFrame(found, index=SHOWN).T


def rates(tables: Any) -> list[dict[str, Any]]:
    """Return each rate of each detector under each condition, as if it were a contrast."""
    return [
        {"name": f"{variant} {on} {one}", "terms": [(1, one, variant, on)], "beyond": 0.0}
        for variant, on in tables
        for one in ("fpr", "recall", "roc_auc")
    ]


def main(folder: Path, names: tuple[str, ...] = ("claims", "detectors")) -> int:
    """Print both, of some studies, and return the exit status."""
    wrong = 0
    for name in names:
        found = recompute(folder, name)
        published = pd.read_csv(folder / f"studies/{name}/effects.csv", index_col="name")
        measured = published.loc[published["verdict"] != "not measured", SHOWN]
        apart = float(np.nanmax((found - measured).abs().to_numpy(dtype=float)))
        print(found.join(measured.add_suffix(", published")).round(4).to_string())
        own = found.index.isin(measured.index).sum()
        print(f"{own} of {len(measured)} published {name}; largest difference {apart:.1e}")
        wrong += not (apart < 1e-9 and own == len(measured))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
