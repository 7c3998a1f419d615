"""How rules do where they were not chosen: thresholds and bands, on other images and other sources.

All numbers are means over the seeds of a `layerfusion.metrics.scored.ScoredImages`.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.errors import UserError
from layerfusion.metrics.abstention import Band, abstention_band
from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.groups import by_group
from layerfusion.metrics.held_out import (
    EVALUATED_ON,
    SPLITS,
    Made,
    Split,
    held_out,
    resampled,
    source_halves,
    source_names,
)
from layerfusion.metrics.probability import probability
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.thresholds import (
    Costs,
    allowed_false_positives,
    best_f1_threshold,
    least_cost_threshold,
    rates_at,
    target_fpr_threshold,
)
from layerfusion.metrics.uncertainty import (
    LEVEL,
    Interval,
    Labels,
    Values,
    resample_images,
    resampled_rates,
    resampled_recall_at,
    share_interval,
)

TARGET_FPR = (0.01, 0.05, 0.10)
TARGET_ERROR = (0.05, 0.10, 0.15)  # at most so many errors among the images that are predicted
LEFT_OUT_FPR = 0.05
CAUTIOUS_SPLITS = 8  # fewer than of other rules: each choice looks at every source

# From a benchmark's balance to a stream of photographs.
SCENARIOS = (
    Costs(0.5, 1), Costs(0.1, 1), Costs(0.1, 10), Costs(0.01, 1), Costs(0.01, 10),
    Costs(0.01, 100),
)  # fmt: skip


def recall_table(scored: ScoredImages) -> pd.DataFrame:
    """Return the recall at small false-positive rates.

    Returns
    -------
    DataFrame
        A row a rate: ``target_fpr``, ``n_false_positives`` (how many of these real images that
        is); ``recall``, the mean over seeds, with ``low`` and ``high`` of
        `layerfusion.metrics.measured.Measured.interval`, over what these are, ``images_low`` and
        ``images_high`` over other images of the same sources, and ``seed_sd``.
    """
    rows, real = [], int((scored.label == 0).sum())
    for rate in TARGET_FPR:
        found = scored.measure(partial(_recall_at, rate=rate)).interval()
        row = {"target_fpr": rate, "n_false_positives": allowed_false_positives(rate, real)}
        rows.append(row | found.row("recall") | {"seed_sd": found.seed_sd})
    return pd.DataFrame(rows)


def fpr_table(scored: ScoredImages) -> pd.DataFrame:
    """Choose thresholds for a target FPR on half of the images, and measure it on the others.

    Returns
    -------
    DataFrame
        A row a rate and key of `layerfusion.metrics.held_out.EVALUATED_ON`: ``target_fpr``,
        ``evaluated_on``; ``false_positive_rate``, mean over splits and seeds, and the ``low`` and
        ``high`` between which 90 % of them lie; ``within_target``, the share of them that do not
        exceed the target; ``recall``, mean. All in [0, 1].
    """

    def row(splits: list[Split], rate: float) -> dict[str, float]:
        rule = partial(target_fpr_threshold, rate=rate)
        return _kept(_judged(scored, splits, rule, rates_at), rate)

    return _by_target(scored, "target_fpr", TARGET_FPR, row)


def cautious_threshold(images: pd.DataFrame, logit: Values, rate: float) -> float:
    """Return the lowest threshold whose FPR is at most `rate` on other sources too, surely.

    That is: whose interval over sources ends at `rate` or below. A threshold that just keeps a rate
    on the images at hand exceeds it on images from elsewhere; the fewer and the less alike the
    sources are, the more.

    Parameters
    ----------
    images
        A row an image: ``label``, ``source`` and perhaps ``family``. Of fewer than two real sources
        the interval is over images.
    logit
        Shape (images,); the threshold is on their scale.
    rate
        In (0, 1).

    Raises
    ------
    UserError
        If there is no real image.
    """
    real = images[images["label"] == 0]
    if real.empty:
        raise UserError("a false-positive rate needs real images, and there are none")
    scores = logit[(images["label"] == 0).to_numpy()]
    known = np.unique(source_names(real)).size > 1 if "source" in real else False
    # Over images the interval needs resamples; over sources it does without.
    counts = resample_images(real["label"], resamples=0 if known else 1000)
    ordered, scored = np.sort(scores)[::-1], ScoredImages(real, scores[None], counts)

    def exceeds(allowed: int) -> bool:
        found = scored.deciding((scores > ordered[allowed])[None])
        return bool(found.interval("fpr").high > rate)

    # None is allowed in any case.
    allowed = bisect_left(range(1, len(real)), True, key=exceeds)
    return float(np.nextafter(ordered[allowed], np.inf))


def cautious_table(scored: ScoredImages) -> pd.DataFrame:
    """Choose `cautious_threshold` on half of the sources, and measure it on the others.

    Returns
    -------
    DataFrame
        A row a rate of `TARGET_FPR`: ``target_fpr``, then as in `fpr_table`, over `CAUTIOUS_SPLITS`
        divisions and all seeds.
    """
    rows = []
    for rate in TARGET_FPR:
        found = _elsewhere(scored, partial(cautious_threshold, rate=rate), CAUTIOUS_SPLITS)
        rows.append({"target_fpr": rate} | _kept(found, rate))
    return pd.DataFrame(rows)


def rule_table(scored: ScoredImages) -> pd.DataFrame:
    """Return what the rules of `RULES` choose, and what that does on sources that did not choose.

    Returns
    -------
    DataFrame
        A row a ``rule``. Chosen on all images: ``logit``, the threshold, mean over seeds, and
        ``probability``, the same on the other scale. Chosen on half of the sources and measured on
        the others, as in `fpr_table`: ``false_positive_rate``, ``low``, ``high``, ``recall``.
    """
    rows = {}
    for name, (rule, splits) in RULES.items():
        logit = float(np.mean([rule(scored.images, own) for own in scored.logits]))
        found = _kept(_elsewhere(scored, rule, splits), np.nan)
        del found["within_target"]  # two rules of three have another aim
        rows[name] = {"logit": logit, "probability": float(probability(logit))} | found
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis("rule").reset_index()


# The rules that a page compares: of images and logits, and how many divisions each is tried on.
RULES: Mapping[str, tuple[Callable[[pd.DataFrame, Values], float], int]] = {
    "largest F1": (lambda images, own: best_f1_threshold(images["label"], own), SPLITS),
    f"FPR of {LEFT_OUT_FPR:.0%}": (
        lambda images, own: target_fpr_threshold(images["label"], own, LEFT_OUT_FPR), SPLITS
    ),
    f"FPR of {LEFT_OUT_FPR:.0%}, cautious": (
        partial(cautious_threshold, rate=LEFT_OUT_FPR), CAUTIOUS_SPLITS
    ),
}  # fmt: skip


def abstention_table(scored: ScoredImages) -> pd.DataFrame:
    """Choose abstention bands on half of the images, and measure the errors on the others.

    Returns
    -------
    DataFrame
        A row a target and key of `layerfusion.metrics.held_out.EVALUATED_ON`: ``target_error``,
        ``evaluated_on``; ``coverage``, the share of images that are predicted, mean over splits and
        seeds; ``error``, the share of wrong predictions among all of these, and the ``low`` and
        ``high`` between which 90 % of the splits lie that predict any; ``violation_rate``, the
        share of all splits whose error exceeds the target (chance in the half that it is evaluated
        on adds to it), and ``no_coverage``, of those in which no image is predicted. NaN where no
        split predicts any image.
    """

    def judge(label: Labels, score: Values, band: Band) -> tuple[int, int, int]:
        predicted = band.predict(score)
        covered = predicted >= 0
        return int(covered.sum()), int((covered & (predicted != label)).sum()), len(label)

    def row(splits: list[Split], target: float) -> dict[str, float]:
        rule = partial(abstention_band, target=target)
        covered, wrong, images = _judged(scored, splits, rule, judge).T
        any_covered = covered > 0
        error = wrong[any_covered] / covered[any_covered]
        found = {"coverage": float((covered / images).mean())}
        found |= dict.fromkeys(("error", "low", "high"), np.nan)
        if any_covered.any():
            found["error"] = float(wrong.sum() / covered.sum())
            found["low"], found["high"] = np.quantile(error, [0.05, 0.95]).tolist()
        violated = float((error > target).sum() / len(covered))
        return found | {"violation_rate": violated, "no_coverage": float(1 - any_covered.mean())}

    return _by_target(scored, "target_error", TARGET_ERROR, row)


def cost_table(scored: ScoredImages) -> pd.DataFrame:
    """Return the threshold of least expected cost, and what it costs where it was not chosen.

    Returns
    -------
    DataFrame
        A row a scenario, means over seeds: ``prevalence``, ``fn_cost``; ``threshold`` (a
        probability of the detector as it scores), ``false_positive_rate``, ``recall`` and ``cost``
        on the images that chose it; a column ``cost, ...`` a key of
        `layerfusion.metrics.held_out.EVALUATED_ON`, mean over splits, chosen on one half and paid
        on the other; ``trivial_cost``, of the cheaper of predicting all or none synthetic; and
        ``beats_trivial``, the share of splits of sources in which the detector costs less.
    """
    labels, rows = scored.label, []
    splits = {name: halves(scored.images) for name, halves in EVALUATED_ON.items()}
    for costs in SCENARIOS:
        rule = partial(least_cost_threshold, costs=costs)
        chosen = [rule(labels, own) for own in scored.logits]
        here = [rates_at(labels, *pair) for pair in zip(scored.logits, chosen, strict=True)]
        fpr, recall = np.array(here).T
        row = costs._asdict() | {"threshold": float(probability(chosen).mean())}
        row |= {"false_positive_rate": fpr.mean(), "recall": recall.mean()}
        row["cost"] = costs.of(fpr, recall).mean()
        for name, own in splits.items():
            paid = costs.of(*_judged(scored, own, rule, rates_at).T)
            row[f"cost, {name}"] = float(paid.mean())
        row["trivial_cost"] = costs.trivial
        rows.append(row | {"beats_trivial": float((paid < costs.trivial - 1e-12).mean())})
    return pd.DataFrame(rows)


def left_out_sources(scored: ScoredImages) -> pd.DataFrame:
    """Choose a threshold without a source, for every source, and use it on the source.

    Returns
    -------
    DataFrame
        A row a class and source, those with most errors first: ``class``, ``source``, ``images``;
        ``predicted_synthetic``, the share, mean over seeds, with ``low`` and ``high``, Wilson's
        interval over other images of the source, and ``seed_sd``, its standard deviation between
        seeds. Of real images these are false positives, of which `LEFT_OUT_FPR` were the target, of
        synthetic ones true positives.
    """
    rule = partial(target_fpr_threshold, rate=LEFT_OUT_FPR)

    def measure(own: NDArray[np.bool_]) -> dict[str, float | Interval]:
        found = [
            int((score[left] >= threshold).sum())
            for score in scored.logits
            for threshold, left in held_out(rule, [(~own, own)], scored.label, score)
        ]
        images = int(own.sum())
        # Not the bootstrap: where no image is found, none of its resamples has one either.
        reach = share_interval(round(np.mean(found)), images)
        return {
            "predicted_synthetic": float(np.mean(found) / images),
            "low": reach.low, "high": reach.high,
            "seed_sd": float(np.std(found, ddof=1) / images),
        }  # fmt: skip

    table = by_group(
        scored.images.assign(**{"class": scored.classes}), ["class", "source"], measure
    )
    share = table["predicted_synthetic"]
    errors = np.where(table["class"] == CLASSES[1], 1 - share, share)
    return table.iloc[np.lexsort((table["source"], -errors, table["class"]))].reset_index(drop=True)


def threshold_choices(label: Labels, logit: Values) -> pd.DataFrame:
    """Choose the threshold of the best F1 on bootstrap resamples; judge it on images left out.

    Returns
    -------
    DataFrame
        A row a resample (stratified): ``logit`` (the chosen threshold), ``f1`` on the resample that
        chose it, and ``f1_left_out`` on the images that were not drawn (about a third).
        Resamples that leave out no image of one of the classes have no row.
    """
    splits = [(own, left) for own, left in resampled(label) if len(np.unique(label[left])) == 2]
    made = held_out(best_f1_threshold, splits, label, logit)
    rows = [
        [threshold, *(_f1(label[part], logit[part], threshold) for part in (own, left))]
        for (own, _), (threshold, left) in zip(splits, made, strict=True)
    ]
    return pd.DataFrame(rows, columns=["logit", "f1", "f1_left_out"])


def choice_table(scored: Mapping[str, ScoredImages]) -> pd.DataFrame:
    """Return how far a threshold, and the F1 that it was chosen for, depend on the images.

    Returns
    -------
    DataFrame
        Index: ``run``. Of the first seed: ``threshold`` with ``low`` and ``high`` (95 % of the
        choices on resamples), ``F1`` (on the images that chose it) and ``optimism`` (by how much F1
        on the choosing images exceeds that on the others, the mean over resamples). The checkpoint,
        chosen on the same images, is not part of this optimism.
    """
    rows = {}
    for run, own in scored.items():
        chosen = threshold_choices(own.label, own.logits[0])
        low, high = probability(chosen["logit"].quantile([(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
        rows[run] = {
            "threshold": own.thresholds[0], "low": low, "high": high,
            "F1": own.rates["f1"][0, 0],
            "optimism": (chosen["f1"] - chosen["f1_left_out"]).mean(),
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


def _by_target(
    scored: ScoredImages,
    column: str,
    targets: Sequence[float],
    row: Callable[[list[Split], float], dict[str, float]],
) -> pd.DataFrame:
    """Return a row a target and key of `EVALUATED_ON`, by both."""
    splits = {name: halves(scored.images) for name, halves in EVALUATED_ON.items()}
    return pd.DataFrame(
        [
            {column: target, "evaluated_on": name} | row(own, target)
            for target in targets
            for name, own in splits.items()
        ]
    )


def _kept(measured: Values, rate: float) -> dict[str, float]:
    """Return how a target rate was kept, of FPR and recall where it was not chosen, (n, 2)."""
    fpr, recall = measured.T
    low, high = np.quantile(fpr, [0.05, 0.95])
    return {
        "false_positive_rate": fpr.mean(), "low": low, "high": high,
        "within_target": float((fpr <= rate + 1e-9).mean()), "recall": recall.mean(),
    }  # fmt: skip


def _elsewhere(
    scored: ScoredImages, rule: Callable[[pd.DataFrame, Values], float], splits: int
) -> Values:
    """Return FPR and recall on the sources that did not choose, shape (seeds * splits, 2).

    `splits` is how many of the `source_halves` are taken; the rule sees the images' table too.
    """
    halves = source_halves(scored.images)[:splits]
    found = [
        rates_at(scored.label[left], logit[left], rule(scored.images[chosen], logit[chosen]))
        for logit in scored.logits
        for chosen, left in halves
    ]
    return np.array(found)


def _judged(
    scored: ScoredImages,
    splits: list[Split],
    rule: Callable[[Labels, Values], Made],
    judge: Callable[[Labels, Values, Made], tuple[float, ...]],
) -> Values:
    """Return what `judge` measures where a rule did not choose, shape (seeds * splits, numbers)."""
    label = scored.label
    return np.array(
        [
            judge(label[left], score[left], made)
            for score in scored.logits
            for made, left in held_out(rule, splits, label, score)
        ]
    )


def _recall_at(scored: ScoredImages, rate: float) -> Values:
    found = [resampled_recall_at(scored.label, own, rate, scored.counts) for own in scored.logits]
    return np.stack(found)


def _f1(label: Labels, score: Values, threshold: float) -> float:
    return float(resampled_rates(label, score >= threshold)["f1"][0])
