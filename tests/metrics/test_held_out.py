"""Thresholds, bands and curves: known truths of fabricated scores, and sources that are shifted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from labelled_scores import columns, labelled_scores
from layerfusion.analysis.measures import scored_images
from layerfusion.errors import UserError
from layerfusion.metrics import calibration
from layerfusion.metrics.abstention import Band, abstention_band, error_bound
from layerfusion.metrics.calibration import (
    FITTED_ON,
    METHODS,
    at_prevalence,
    held_out_probabilities,
    recalibration_table,
)
from layerfusion.metrics.held_out import (
    EVALUATED_ON,
    folds,
    held_out,
    image_halves,
    source_halves,
    source_names,
)
from layerfusion.metrics.thresholds import (
    Costs,
    least_cost_threshold,
    rates_at,
    target_fpr_threshold,
)
from layerfusion.metrics.transfer import (
    LEFT_OUT_FPR,
    abstention_table,
    cautious_table,
    cautious_threshold,
    cost_table,
    fpr_table,
    left_out_sources,
    recall_table,
    rule_table,
)
from layerfusion.metrics.uncertainty import resampled_recall_at

SAME, OTHER = EVALUATED_ON


def predictions_of(shift, *, seeds=(1, 2), images=40, sources=6):
    """A study's predictions: `sources` of each class, each moved by up to `shift`."""
    rng, tables = np.random.default_rng(8), []
    moved = dict(zip([(label, n) for label in (0, 1) for n in range(sources)],
                     shift * rng.normal(size=2 * sources), strict=True))  # fmt: skip
    own = {key: rng.normal(size=images) for key in moved}
    variants = {"open": 0.9, "constrained": 0.85, "open-last": 0.4}
    for variant, separation in variants.items():
        for seed in seeds:
            for (label, number), by in moved.items():
                noise = 0.8 * own[label, number] + 0.6 * rng.normal(size=images)
                logit = (separation * (2 * label - 1) + by + noise).astype("float32")
                table = pd.DataFrame({"label": label, "logit": logit, "style": "photo"})
                named = {"variant": variant, "seed": seed, "source": f"source {number}"}
                names = [f"{label}-{number}-{i}" for i in range(images)]
                tables.append(table.assign(image_id=names, **named))
    return pd.concat(tables, ignore_index=True).assign(condition="local").astype({"label": "Int8"})


def scored(predictions, **thresholds):
    """Every variant's images; thresholds are 0.5 unless a variant's are given, one a seed."""
    cells = {
        (variant, seed): thresholds.get(variant, [0.5, 0.5])[seed - 1]
        for variant in predictions["variant"].unique()
        for seed in (1, 2)
    }
    return scored_images(predictions, cells)["local"]


@pytest.fixture(scope="module")
def alike():
    """Sources that differ in nothing."""
    return predictions_of(0.0)


@pytest.fixture(scope="module")
def apart():
    """Sources of which each has its own shift."""
    return predictions_of(1.5)


# --- splits ---------------------------------------------------------------------------------------


def test_halves_of_sources_share_none_and_halves_of_images_share_all(alike):
    images = scored(alike)["open"].images
    names, label = source_names(images), images["label"].to_numpy(dtype=int)
    assert len(np.unique(names)) == 12  # a name with images of both classes is two sources
    for chosen, left in source_halves(images)[:5]:
        assert not set(names[chosen]) & set(names[left])
        assert {0, 1} == set(label[chosen]) == set(label[left])
    for chosen, left in image_halves(images)[:5]:
        assert set(names[chosen]) == set(names[left])
        assert chosen[label == 1].sum() == (label == 1).sum() // 2
    np.testing.assert_array_equal(*(source_halves(images)[:3] for _ in range(2)))
    with pytest.raises(UserError, match="two sources"):
        source_halves(images.assign(source="one"))


@settings(max_examples=60, deadline=None)
@given(labelled_scores, st.integers(0, 20), st.booleans())
def test_what_is_judged_chose_nothing(rows, seed, grouped):
    label, score = columns(rows)
    groups = (np.arange(len(label)) // 2 + 100 * label) if grouped else None
    if (
        min(len(np.unique(groups[label == k])) if grouped else (label == k).sum() for k in (0, 1))
        < 2
    ):
        with pytest.raises(UserError, match="needs two"):
            list(folds(label, groups))
        return
    splits = [tuple(map(np.asarray, split)) for split in folds(label, groups, seed=seed)]
    known = np.arange(len(label)) if groups is None else groups
    made = list(held_out(lambda own, at: (len(own), at.sum()), splits, label, score))
    for (chosen, left), (found, judged) in zip(splits, made, strict=True):
        assert not set(known[chosen]) & set(known[left]) and judged is left
        assert found == (len(chosen), pytest.approx(score[chosen].sum()))
    assert sorted(np.concatenate([left for _, left in made])) == list(range(len(label)))


# --- few false alarms -----------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(labelled_scores, st.floats(0, 1))
def test_no_lower_threshold_keeps_the_rate(rows, rate):
    label, score = columns(rows)
    threshold = target_fpr_threshold(label, score, rate)
    called = score >= threshold
    assert called[label == 0].mean() <= rate + 1e-9
    one = np.ones((1, len(label)), dtype=np.int32)
    assert called[label == 1].mean() == resampled_recall_at(label, score, rate, one)[0]
    lower = np.unique(score[score < threshold])
    if len(lower):
        assert (score[label == 0] >= lower[-1]).mean() > rate


def test_recall_has_an_interval_over_images_seeds_and_sources(alike, apart):
    tables = [recall_table(scored(own)["open"]) for own in (alike, apart)]
    for table in tables:
        assert (table["low"] < table["recall"]).all() and (table["recall"] < table["high"]).all()
        assert table["recall"].is_monotonic_increasing
        assert table["n_false_positives"].tolist() == [2, 12, 24]  # of 240 real images
        assert (table["over"] == "sources and seeds").all()
    over_sources, over_images = (
        [(table[f"{over}high"] - table[f"{over}low"]).mean() for table in tables]
        for over in ("", "images_")
    )
    assert over_sources[1] > 2 * over_sources[0]
    assert over_images[1] < over_sources[1] / 2


def test_a_rate_is_kept_elsewhere_only_if_sources_are_alike(alike, apart):
    even, uneven = (
        fpr_table(scored(own)["open"]).set_index(["target_fpr", "evaluated_on"])
        for own in (alike, apart)
    )
    spread = {name: table["high"] - table["low"]
              for name, table in (("even", even), ("uneven", uneven))}  # fmt: skip
    for table in (even, uneven):
        assert table.loc[(0.10, SAME), "false_positive_rate"] == pytest.approx(0.1, abs=0.02)
    assert even.loc[(0.10, OTHER), "false_positive_rate"] == pytest.approx(0.1, abs=0.02)
    assert spread["uneven"][0.10, OTHER] > 2 * spread["uneven"][0.10, SAME]
    assert spread["even"][0.10, OTHER] < 1.5 * spread["even"][0.10, SAME]


@pytest.mark.parametrize("rate", [0.1, 0.2])
def test_a_cautious_threshold_leaves_room_for_sources_that_differ(alike, apart, rate):
    """Where sources are alike it is little above that of the rate, where they are not, far."""
    rooms = []
    for world in (alike, apart):
        own = scored(world)["open"]
        logits = own.logits[0]
        bold = target_fpr_threshold(own.label, logits, rate)
        cautious = cautious_threshold(own.images, logits, rate)
        calls = (logits >= cautious)[None]
        assert replace(own, logits=logits[None], decisions=calls).interval("fpr").high <= rate
        rooms.append(cautious - bold)
    assert 0 <= rooms[0] < rooms[1]


def test_a_source_is_left_out_of_the_choice(apart):
    own_run = scored(apart)["open"]
    table = left_out_sources(own_run)
    assert len(table) == 12 and (table["images"] == 40).all()
    assert (
        (table["low"] <= table["predicted_synthetic"])
        & (table["predicted_synthetic"] <= table["high"])
    ).all()
    worst = table[table["class"] == "real"].iloc[0]
    own = (source_names(own_run.images) == f"0 {worst['source']}").nonzero()[0]
    label, shares = own_run.images["label"].to_numpy(dtype=int), []
    for logits in own_run.logits:
        rest = np.delete(np.arange(len(label)), own)
        shares.append(
            (logits[own] >= target_fpr_threshold(label[rest], logits[rest], LEFT_OUT_FPR)).mean()
        )
    assert (
        worst["predicted_synthetic"] == pytest.approx(np.mean(shares))
        and worst["predicted_synthetic"] > 0.2
    )
    synthetic = table[table["class"] == "synthetic"]["predicted_synthetic"]
    assert synthetic.is_monotonic_increasing  # fewest hits first


# --- costs ----------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(labelled_scores, st.floats(0.01, 0.99), st.floats(0.1, 20))
def test_no_threshold_costs_less(rows, prevalence, fn_cost):
    label, score = columns(rows)
    costs = Costs(prevalence, fn_cost)
    best = costs.of(*rates_at(label, score, least_cost_threshold(label, score, costs)))
    for threshold in [*np.unique(score), np.inf]:
        assert best <= costs.of(*rates_at(label, score, threshold)) + 1e-9
    assert best <= costs.trivial + 1e-9


def test_calibrated_scores_have_the_threshold_of_decision_theory():
    """Calling costs less where p c > 1 - p, for probabilities at the stream's own prevalence."""
    rng = np.random.default_rng(3)
    chance = rng.random(40_000)
    label = (rng.random(len(chance)) < chance).astype(int)
    threshold = least_cost_threshold(label, chance, Costs(label.mean(), 3.0))
    assert threshold == pytest.approx(1 / (1 + 3.0), abs=0.04)


def test_costs_rise_where_the_threshold_was_not_chosen(apart):
    table = cost_table(scored(apart)["open"]).query("fn_cost == 1 and prevalence != 0.1")
    assert (table["cost"] < table[f"cost, {SAME}"]).all()
    assert (table[f"cost, {SAME}"] < table[f"cost, {OTHER}"]).all()
    assert table["trivial_cost"].tolist() == [0.5, 0.01]
    assert table["beats_trivial"].is_monotonic_decreasing


def test_rules_are_compared_by_the_numbers_of_their_own_tables(apart):
    own = scored(apart)["open"]
    table = rule_table(own).set_index("rule")
    target = fpr_table(own).set_index(["target_fpr", "evaluated_on"]).loc[(0.05, OTHER)]
    cautious = cautious_table(own).set_index("target_fpr").loc[0.05]
    for name, expected in (("FPR of 5%", target), ("FPR of 5%, cautious", cautious)):
        for column in ("false_positive_rate", "low", "high", "recall"):
            assert table.loc[name, column] == expected[column]
    assert table["probability"].tolist() == pytest.approx(expit(table["logit"]))
    assert table.loc["FPR of 5%", "logit"] <= table.loc["FPR of 5%, cautious", "logit"]


@pytest.mark.parametrize("costs", [Costs(0, 1), Costs(1, 1), Costs(0.5, 0)])
def test_costs_that_cannot_be_are_refused(costs):
    with pytest.raises(UserError, match="prevalence"):
        least_cost_threshold([0, 1], [0.0, 1.0], costs)


# --- the unsure band ------------------------------------------------------------------------------


@given(st.integers(0, 30), st.integers(1, 60), st.floats(0.5, 0.99))
def test_the_bound_is_clopper_and_pearsons(errors, images, confidence):
    if errors > images:
        return
    interval = stats.binomtest(errors, images, alternative="less").proportion_ci(confidence)
    assert error_bound(errors, images, confidence) == pytest.approx(interval.high)


def test_a_band_keeps_its_promise_as_often_as_it_says():
    """The chance of every image is known, so that the true error is too."""
    rng, broken, sure, draws = np.random.default_rng(6), 0, [], 300
    for _ in range(draws):
        score = rng.normal(0, 3, 400)
        band = abstention_band(rng.random(400) < expit(score), score, 0.1)
        grid = rng.normal(0, 3, 4000)
        called = band.predict(grid)
        wrong = np.where(called == 1, 1 - expit(grid), expit(grid))[called >= 0]
        sure.append((called >= 0).mean())
        broken += len(wrong) > 0 and wrong.mean() > 0.1
    # 5 % may; what 999 of 1,000 simulations would not exceed.
    assert broken <= stats.binom.ppf(0.999, draws, 0.05)
    assert np.mean(sure) > 0.3


def test_a_band_answers_in_three_ways_and_is_mirrored():
    assert Band(-1, 2).predict([-2, -1, 0, 2]).tolist() == [0, -1, -1, 1]
    rng = np.random.default_rng(1)
    score = rng.normal(0, 3, 500)
    label = (rng.random(500) < expit(score)).astype(int)
    band, mirrored = abstention_band(label, score, 0.1), abstention_band(1 - label, -score, 0.1)
    assert mirrored.high == pytest.approx(-band.low) and mirrored.low == pytest.approx(-band.high)
    wider, wide = abstention_band(label, score, 0.05), abstention_band(label, score, 0.2)
    assert wider.low <= band.low <= wide.low <= wide.high <= band.high <= wider.high


def test_without_a_reason_every_image_is_unsure_and_with_every_reason_none():
    rng = np.random.default_rng(2)
    label, score = np.repeat([0, 1], 200), rng.normal(size=400)
    assert abstention_band(label, score, 0.05) == Band(-np.inf, np.inf)
    assert (abstention_band(label, score, 0.05).predict(score) == -1).all()
    called = abstention_band(label, label + 0.1 * rng.random(400), 0.05).predict([0.05, 1.05])
    assert called.tolist() == [0, 1]
    with pytest.raises(UserError, match="between 0 and 1"):
        abstention_band(label, score, 1.0)
    with pytest.raises(UserError, match="not empty"):
        abstention_band([], [], 0.1)


def test_a_promise_is_broken_on_other_sources(alike, apart):
    even, uneven = (
        abstention_table(scored(own)["open"])
        .query("target_error == 0.15")
        .set_index("evaluated_on")
        for own in (alike, apart)
    )
    assert even.loc[SAME, "violation_rate"] < 0.1 and even.loc[OTHER, "violation_rate"] < 0.1
    assert uneven.loc[SAME, "violation_rate"] < 0.1 and uneven.loc[OTHER, "violation_rate"] > 0.2


# --- recalibration --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_curves_undo_what_was_done_to_calibrated_scores(method):
    rng = np.random.default_rng(5)
    true = rng.normal(0, 2, 6000)
    label = (rng.random(len(true)) < expit(true)).astype(int)
    done = {"shift": true - 4, "temperature": 3 * true}.get(method, 3 * true - 4)
    found = METHODS[method](label, done)(done)
    assert np.abs(found - expit(true)).mean() < 0.03
    assert log_loss(label, found) < log_loss(label, expit(true)) + 0.002
    order = np.argsort(done)
    assert (np.diff(found[order]) >= -1e-12).all()


def test_both_classes_weigh_the_same_and_bayes_rule_gives_the_share_back():
    rng = np.random.default_rng(7)
    label = np.repeat([0, 1], [9000, 1000])  # a tenth is synthetic
    score = rng.normal(2.0 * label - 1, 1)  # log of the likelihood ratio: 2 x score
    found = METHODS["temperature and shift"](label, score)(score)
    assert np.abs(found - expit(2 * score)).mean() < 0.02
    assert at_prevalence(found, 0.1).mean() == pytest.approx(0.1, abs=0.01)
    assert at_prevalence(0.9, 0.1) == pytest.approx(0.5)
    assert logit(at_prevalence(0.7, 0.2)) == pytest.approx(logit(0.7) + logit(0.2))
    with pytest.raises(UserError, match="prevalence"):
        at_prevalence(0.9, 1.0)


def test_a_curve_never_sees_the_source_it_is_used_on(apart):
    own_run = scored(apart)["open"]
    images, logits = own_run.images, own_run.logits[0]
    own = source_names(images) == "0 source 0"
    shifts = {}
    for fitted_on in FITTED_ON:
        probabilities = [held_out_probabilities(images, z, "shift", fitted_on)
                         for z in (logits, np.where(own, logits + 3, logits))]  # fmt: skip
        before, after = map(logit, probabilities)
        assert not np.isnan(before).any()
        shifts[fitted_on] = (after - before)[own]
    # Moved as a whole, the source pulls a curve of its other images along, but none of others.
    assert shifts[FITTED_ON[1]] == pytest.approx(np.full(own.sum(), 3.0))
    assert (shifts[FITTED_ON[0]] < 2.9).all()
    with pytest.raises(UserError, match="two sources"):
        held_out_probabilities(images.assign(source="one"), logits, "shift", FITTED_ON[1])


def test_recalibration_helps_scores_that_are_off(alike, monkeypatch):
    monkeypatch.setattr(calibration, "REPEATS", 1)
    off = alike.assign(logit=5 * alike["logit"] + 6)
    table = recalibration_table(scored(off)["open"])
    table = table.set_index(["method", "fitted_on"])
    raw = table.loc["as scored", ""]
    for fitted_on in FITTED_ON:
        better = table.loc["temperature and shift", fitted_on]
        assert (better[["ece", "brier", "log_loss"]] < raw[["ece", "brier", "log_loss"]]).all()
        assert better["low"] < better["change"] < 0
        assert better["change"] == pytest.approx(better["brier"] - raw["brier"])
