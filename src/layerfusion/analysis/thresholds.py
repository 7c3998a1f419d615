r"""Which threshold: for few false alarms or the least expected cost, and how it does elsewhere.

Which threshold is right is no property of a detector. It follows from how many of the images that
come in are synthetic, the *prevalence* π, and from what the two errors cost. With a false alarm as
the unit and a miss at the cost c, an image costs on average

.. math:: K(t) = (1 - \pi)\,\mathrm{FPR}(t) + \pi\, c\,(1 - \mathrm{recall}(t))

(Provost and Fawcett 2001). Both rates are of one class each and so the same at every prevalence; a
benchmark of half synthetic images serves to choose for a stream that has one in a hundred.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from layerfusion.analysis.operating_points import recall_at
from layerfusion.analysis.source_splits import TRIED_ON, resample_sources, source_names
from layerfusion.analysis.sources import ScoredImages
from layerfusion.data.manifest import CLASSES
from layerfusion.errors import UserError
from layerfusion.metrics.probability import probability
from layerfusion.metrics.uncertainty import image_interval, seed_interval, share_interval

ALLOWED = (0.01, 0.05, 0.10)  # false-alarm rates


class Stakes(NamedTuple):
    """What a practitioner must say: the share of synthetic images, in (0, 1), and a miss's cost.

    The cost, above 0, is in false alarms.
    """

    prevalence: float
    miss_cost: float


# From a benchmark's balance to a stream of photographs.
SCENARIOS = (
    Stakes(0.5, 1), Stakes(0.1, 1), Stakes(0.1, 10), Stakes(0.01, 1), Stakes(0.01, 10),
    Stakes(0.01, 100),
)  # fmt: skip


def threshold_for(label: ArrayLike, score: ArrayLike, rate: float) -> float:
    """Return the lowest threshold whose false-positive rate does not exceed `rate`.

    It has the recall of `layerfusion.analysis.operating_points.recall_at`. On the images that chose
    it the rate is kept; on others it is kept on average at best.

    Parameters
    ----------
    label, score
        0 or 1, and real numbers, shape (n,).
    rate
        In [0, 1].

    Returns
    -------
    float
        To be used as ``score >= threshold``; -inf where every image may be called synthetic.

    Raises
    ------
    UserError
        If there is no real image.
    """
    real = np.sort(np.asarray(score, dtype=np.float64)[np.asarray(label) == 0])[::-1]
    if not len(real):
        raise UserError("a rate of false alarms needs real images, and there are none")
    allowed = int(rate * len(real) + 1e-9)  # counts are whole, products of rates need not be
    return float(np.nextafter(real[allowed], np.inf)) if allowed < len(real) else -np.inf


def least_cost_threshold(label: ArrayLike, score: ArrayLike, stakes: Stakes) -> float:
    """Return the threshold of least expected cost; among equals the highest.

    Parameters
    ----------
    label, score
        0 or 1, both of them, and real numbers, shape (n,).
    stakes
        Of where it will be used; how many of *these* images are synthetic does not matter.

    Returns
    -------
    float
        An observed score, or inf where calling nothing synthetic costs least.

    Raises
    ------
    UserError
        If a class is missing, or the stakes are out of range.
    """
    labels, scores = np.asarray(label), np.asarray(score, dtype=np.float64)
    if not 0 < stakes.prevalence < 1 or not stakes.miss_cost > 0:
        raise UserError("a prevalence lies between 0 and 1, and the cost of a miss is above 0")
    if len(np.unique(labels)) < 2:
        raise UserError("to weigh both errors, both real and synthetic images are needed")
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    alarms, hits = (np.cumsum(labels[order] == kind)[last] / (labels == kind).sum()
                    for kind in (0, 1))  # fmt: skip
    costs = _cost(np.append(0, alarms), np.append(0, hits), stakes)
    thresholds = np.append(np.inf, scores[order][last])
    return float(thresholds[np.argmin(np.round(costs, 12))])


def expected_cost(
    label: ArrayLike, score: ArrayLike, threshold: float, stakes: Stakes
) -> dict[str, float]:
    """Return what a threshold does where the stakes are these.

    Returns
    -------
    dict
        ``false_positive_rate``, ``recall`` (in [0, 1]), ``cost`` (of an image, in false alarms).
    """
    labels, called = np.asarray(label), np.asarray(score, dtype=np.float64) >= threshold
    alarms, hits = (float(called[labels == kind].mean()) for kind in (0, 1))
    cost = float(_cost(alarms, hits, stakes))
    return {"false_positive_rate": alarms, "recall": hits, "cost": cost}


def recall_table(scored: ScoredImages, allowed: Sequence[float] = ALLOWED) -> pd.DataFrame:
    """Return the recall where few false alarms are allowed.

    Returns
    -------
    DataFrame
        A row a rate: ``allowed`` (false-alarm rate), ``alarms`` (how many of these real images that
        is); ``recall``, the mean over seeds, with ``low`` and ``high`` of
        `layerfusion.metrics.uncertainty.seed_interval`, of ``seed_sd`` and ``image_se``; and
        ``sources_low`` and ``sources_high``, 95 % of the means over seeds that other draws of the
        sources give (`resample_sources`).
    """
    labels = scored.images["label"].to_numpy(dtype=np.int64)
    other_sources = resample_sources(scored.images)
    rows = []
    for rate in allowed:
        values, moved = (
            np.stack([recall_at(labels, own, rate, counts) for own in scored.logits])
            for counts in (scored.counts, other_sources)
        )
        found, by_source = seed_interval(values), image_interval(moved.mean(axis=0))
        row = {"allowed": rate, "alarms": int(rate * (labels == 0).sum() + 1e-9)}
        row |= {"recall": found.estimate, "low": found.low, "high": found.high}
        row |= {"seed_sd": found.seed_sd, "image_se": found.image_se}
        rows.append(row | {"sources_low": by_source.low, "sources_high": by_source.high})
    return pd.DataFrame(rows)


def kept_alarms(scored: ScoredImages, allowed: Sequence[float] = ALLOWED) -> pd.DataFrame:
    """Choose thresholds for few false alarms on half of the images, and count them on the others.

    Returns
    -------
    DataFrame
        A row a rate and a key of `layerfusion.analysis.source_splits.TRIED_ON`: ``allowed``,
        ``tried_on``; ``false_positive_rate``, mean over splits and seeds, and the ``low`` and
        ``high`` between which 90 % of them lie; ``kept``, the share of them that do not exceed what
        is allowed; ``recall``, mean. All in [0, 1].
    """
    labels, rows = scored.images["label"].to_numpy(dtype=np.int64), []
    for tried_on, halves in TRIED_ON.items():
        splits = halves(scored.images)
        for rate in allowed:
            alarms, hits = [], []
            for own, chosen in ((own, chosen) for own in scored.logits for chosen in splits):
                called = own >= threshold_for(labels[chosen], own[chosen], rate)
                alarms.append(called[~chosen & (labels == 0)].mean())
                hits.append(called[~chosen & (labels == 1)].mean())
            low, high = np.quantile(alarms, [0.05, 0.95])
            row = {"allowed": rate, "tried_on": tried_on, "false_positive_rate": np.mean(alarms)}
            kept = float(np.mean(np.array(alarms) <= rate + 1e-9))
            rows.append(row | {"low": low, "high": high, "kept": kept, "recall": np.mean(hits)})
    return pd.DataFrame(rows).sort_values(["allowed", "tried_on"], ignore_index=True)


def left_out_sources(scored: ScoredImages, rate: float = 0.05) -> pd.DataFrame:
    """Choose a threshold without a source, for every source, and use it on the source.

    Returns
    -------
    DataFrame
        A row a class and source, those with most errors first: ``class``, ``source``, ``images``;
        ``called``, the share that is called synthetic, mean over seeds, with ``low`` and ``high``,
        Wilson's interval over other images of the source, and ``seed_sd``, its standard deviation
        between seeds. Of real images these are false alarms, of which `rate` were allowed, of
        synthetic ones hits.
    """
    labels, names = scored.images["label"].to_numpy(dtype=np.int64), source_names(scored.images)
    rows = []
    for name in np.unique(names):
        own = names == name
        kind, images = CLASSES[int(labels[own][0])], int(own.sum())
        called = [
            int((logits[own] >= threshold_for(labels[~own], logits[~own], rate)).sum())
            for logits in scored.logits
        ]
        # Not the bootstrap: where no image is called, none of its resamples has one either.
        reach = share_interval(round(np.mean(called)), images)
        row = {"class": kind, "source": name[2:], "images": images}
        row |= {"called": np.mean(called) / images, "low": reach.low, "high": reach.high}
        rows.append(row | {"seed_sd": np.std(called, ddof=1) / images})
    table = pd.DataFrame(rows)
    errors = np.where(table["class"] == CLASSES[1], 1 - table["called"], table["called"])
    order = np.lexsort((table["source"], -errors, table["class"]))
    return table.iloc[order].reset_index(drop=True)


def cost_table(scored: ScoredImages, scenarios: Sequence[Stakes] = SCENARIOS) -> pd.DataFrame:
    """Return the threshold of least expected cost, and what it costs where it was not chosen.

    Returns
    -------
    DataFrame
        A row a scenario, means over seeds: ``prevalence``, ``miss_cost``; ``threshold`` (a
        probability of the detector as it scores), ``false_positive_rate``, ``recall`` and ``cost``
        on the images that chose it; a column ``cost, ...`` a key of
        `layerfusion.analysis.source_splits.TRIED_ON`, mean over splits, chosen on one half and
        paid on the other; ``cost without``, of the cheaper of calling all or none synthetic; and
        ``worth it``, the share of splits of sources in which the detector costs less than that.
    """
    labels = scored.images["label"].to_numpy(dtype=np.int64)
    tried = {name: halves(scored.images) for name, halves in TRIED_ON.items()}
    rows = []
    for stakes in scenarios:
        chosen = [least_cost_threshold(labels, own, stakes) for own in scored.logits]
        pairs = zip(scored.logits, chosen, strict=True)
        here = [expected_cost(labels, own, threshold, stakes) for own, threshold in pairs]
        row = stakes._asdict() | {"threshold": float(probability(chosen).mean())}
        row |= {name: float(np.mean([one[name] for one in here])) for name in here[0]}
        without = min(stakes.prevalence * stakes.miss_cost, 1 - stakes.prevalence)
        for name, splits in tried.items():
            paid = _costs_elsewhere(scored.logits, labels, splits, stakes)
            row[f"cost, {name}"] = float(paid.mean())
        row |= {"cost without": without, "worth it": float((paid < without - 1e-12).mean())}
        rows.append(row)
    return pd.DataFrame(rows)


def _costs_elsewhere(
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    splits: NDArray[np.bool_],
    stakes: Stakes,
) -> NDArray[np.float64]:
    paid = []
    for own, chosen in ((own, chosen) for own in logits for chosen in splits):
        threshold = least_cost_threshold(labels[chosen], own[chosen], stakes)
        paid.append(expected_cost(labels[~chosen], own[~chosen], threshold, stakes)["cost"])
    return np.array(paid)


def _cost(alarms: ArrayLike, hits: ArrayLike, stakes: Stakes) -> NDArray[np.float64]:
    missed = stakes.prevalence * stakes.miss_cost * (1 - np.asarray(hits, dtype=np.float64))
    return (1 - stakes.prevalence) * np.asarray(alarms, dtype=np.float64) + missed
