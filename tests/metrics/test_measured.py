"""Intervals over sources and seeds: their formula, their bounds, how often they hold the truth."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from layerfusion.metrics.measured import Measured, student
from layerfusion.metrics.rates import evaluate
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.uncertainty import resample_images


def measured(estimates, left_out, images=None, bounds=(-1.0, 1.0), stratum="real", replicates=5):
    """A number of seeds, and without each of some sources of one stratum."""
    names = [f"source {n}" for n in range(np.shape(left_out)[1])]
    sources = pd.MultiIndex.from_product([[stratum], names])
    images = pd.Series(images if images is not None else [10] * len(names), sources)
    estimates = np.asarray(estimates, dtype=float)
    table = pd.DataFrame(np.asarray(left_out, dtype=float), columns=sources)
    return Measured(estimates, np.tile(estimates[:, None], replicates), table, images, bounds)


def scored(seeds=3, sources=(4, 5), images=(9, 20), split=None):
    """Images of so many sources of each class, unequally large, and their scores."""
    rng, rows = np.random.default_rng(3), []
    for label, count in enumerate(sources):
        for number in range(count):
            size, shift = int(rng.integers(*images)), rng.normal()
            rows += [(label, f"s{number}", shift + 1.5 * label + rng.normal()) for _ in range(size)]
    table = pd.DataFrame(rows, columns=["label", "source", "score"])
    logits = table["score"].to_numpy() + rng.normal(0, 0.3, (seeds, len(table)))
    counts = resample_images(table["label"], resamples=50)
    return ScoredImages(table, logits, counts, np.full(seeds, 0.5))


def test_the_interval_is_its_formula():
    own = scored()
    images, label = own.images, own.label
    auc = [roc_auc_score(label, logits) for logits in own.logits]
    variances, freedoms = [np.var(auc, ddof=1) / 3], [2.0]
    for kind in (0, 1):
        without, sizes = [], []
        for source in images.loc[label == kind, "source"].unique():
            kept = ~((label == kind) & (images["source"] == source)).to_numpy()
            values = [roc_auc_score(label[kept], logits[kept]) for logits in own.logits]
            without.append(np.mean(values))
            sizes.append((~kept).sum())
        n, sizes = len(without), np.array(sizes)
        variances.append((n - 1) / n * ((without - np.mean(without)) ** 2).sum())
        freedoms.append(sizes.sum() ** 2 / (sizes**2).sum() - 1)
    v = np.array(variances)
    df = v.sum() ** 2 / (v**2 / freedoms).sum()
    mean, found = np.mean(auc), own.interval("roc_auc")
    place, error = np.log(mean / (1 - mean)), np.sqrt(v.sum()) / (mean * (1 - mean))
    ends = 1 / (1 + np.exp(-(place + stats.t.ppf([0.025, 0.975], df) * error)))
    assert (found.estimate, found.low, found.high) == pytest.approx((mean, *ends))
    assert found.over == "sources and seeds"
    assert found.standard_error == pytest.approx(np.sqrt(v.sum()))
    assert found.images.low > found.low and found.images.high < found.high


unit = st.floats(0, 1)


@settings(max_examples=100, deadline=None)
@given(st.lists(unit, min_size=2, max_size=5), st.lists(unit, min_size=2, max_size=6))
def test_it_holds_the_estimate_and_never_leaves_what_there_can_be(estimates, without):
    found = measured(estimates, [without] * len(estimates), bounds=(0.0, 1.0)).interval()
    assert -1e-12 <= found.low <= found.estimate + 1e-9
    assert found.estimate - 1e-9 <= found.high <= 1 + 1e-12


def test_two_seeds_that_lie_apart_give_no_roc_auc_above_1():
    low, high, _ = student(0.748, [(0.056**2, 1.0)], (0.0, 1.0))  # once published as [.037, 1.459]
    assert 0 < low < 0.2 and 0.95 < high < 1


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 5), st.integers(2, 6), st.integers(0, 99))
def test_it_knows_no_order_and_turns_with_the_sign(seeds, sources, seed):
    rng = np.random.default_rng(seed)
    estimates, left_out = rng.normal(0, 0.1, seeds), rng.normal(0, 0.1, (seeds, sources))
    images = rng.integers(1, 50, sources)
    found = measured(estimates, left_out, images).interval()
    again = measured(estimates[::-1], left_out[::-1, ::-1], images[::-1]).interval()
    assert (again.low, again.high) == pytest.approx((found.low, found.high))
    turned = (-measured(estimates, left_out, images)).interval()
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert turned.p_value == pytest.approx(found.p_value)
    assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)


def test_a_difference_on_the_same_sources_is_paired_and_on_others_is_not():
    one = measured([0.8, 0.8], [[0.7, 0.8, 0.9]] * 2, bounds=(0.0, 1.0))
    same = (one - measured([0.7, 0.7], [[0.6, 0.7, 0.8]] * 2, bounds=(0.0, 1.0))).interval()
    assert same.low == pytest.approx(same.high) and same.estimate == pytest.approx(0.1)
    other = measured([0.7, 0.7], [[0.6, 0.7, 0.8]] * 2, stratum="test real", bounds=(0.0, 1.0))
    apart = (one - other).interval()
    assert apart.standard_error == pytest.approx(np.sqrt(2) * one.interval().standard_error)


@pytest.mark.parametrize(
    ("sources", "seeds", "over"),
    [((3, 3), 2, "sources and seeds"), ((3, 3), 1, "sources"), ((1, 3), 2, "images and seeds"),
     ((3, 1), 1, "images")],
)  # fmt: skip
def test_it_says_over_what_it_is(sources, seeds, over):
    found = scored(seeds, sources).interval("roc_auc")
    assert found.over == over and found.low < found.estimate < found.high
    if over == "images":
        assert (found.low, found.high) == (found.images.low, found.images.high)


def test_a_family_of_sources_counts_as_one():
    own = scored(sources=(4, 4))
    family = own.images["source"].where(own.images["source"] > "s1", "family")
    joined = ScoredImages(own.images.assign(family=family), own.logits, own.counts)
    assert len(joined.measured("roc_auc").left_out.columns) == 6
    unnamed = ScoredImages(own.images.assign(source=None), own.logits, own.counts)
    assert unnamed.interval("roc_auc").over == "images and seeds"


def test_the_effect_of_seeds_alone_has_their_degrees_of_freedom():
    found = measured([0.1, 0.2, 0.3], np.full((3, 4), 0.2)).interval()
    reach = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    # On the scale of ln((1 + x) / (1 - x)), which is twice the inverse hyperbolic tangent.
    place = np.arctanh(0.2) + np.array([-1, 1]) * reach / (1 - 0.2**2)
    assert (found.low, found.high) == pytest.approx(tuple(np.tanh(place)))


def test_sources_hold_the_truth_where_images_do_not():
    """The mean of a number of sources of which each moves all of its images together."""
    rng, held = np.random.default_rng(5), np.zeros(2)
    for _ in range(400):
        effect = rng.normal(0.1, 0.05, 8)
        means = effect.mean() + rng.normal(0, 0.02, 3)
        without = (effect.sum() - effect) / 7
        one = measured(means, means[:, None] + without - effect.mean())
        drawn = one.estimates[:, None] + rng.normal(0, 0.005, (1, 40))
        one = Measured(one.estimates, drawn, one.left_out, one.images, one.bounds)
        found = one.interval()
        held += [found.low <= 0.1 <= found.high, found.images.low <= 0.1 <= found.images.high]
    assert 0.92 <= held[0] / 400 <= 0.98 and held[1] / 400 < 0.6


def test_what_is_not_defined_has_no_interval():
    found = measured(np.full(3, np.nan), np.full((3, 4), np.nan)).interval()
    assert np.isnan([found.estimate, found.low, found.high, found.p_value]).all()


def test_pages_say_how_often_intervals_hold_the_truth_as_it_was_measured():
    root = Path(__file__).parents[2]
    rows = pd.DataFrame(
        json.loads((root / "benchmarks/results/coverage.json").read_text("utf-8"))["rows"]
    )
    held = 100 * rows[["roc_auc", "difference", "fpr"]].to_numpy()
    said = f"{held.min():.0f} to {held.max():.0f} of 100 cases, {held.mean():.0f} on average"
    assert said in (root / "book/reproducing.md").read_text("utf-8")
    like = rows[rows["world"] == "photographs"].filter(like="_images")
    assert like.to_numpy().mean() < 0.95 / 2  # "less than half as often", On photographs


@pytest.mark.parametrize("threshold", [-10.0, 10.0])
def test_a_rate_without_exception_is_not_sure_of_other_sources(threshold):
    label, sources = np.repeat([0, 1], 60), np.tile(list("abcdef"), 20)
    found = evaluate(label, np.zeros(120), threshold, groups=sources)
    for name in ("recall", "fpr"):
        row = found.loc[name]
        assert row["estimate"] in (0, 1) and row["high"] - row["low"] == pytest.approx(
            0.39, abs=0.01
        )
        assert row["low"] <= row["estimate"] <= row["high"]
