"""Rivals beside the paper's head: paired by image and by seed, and said in words either way."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from layerfusion.analysis.measures import resamples_of
from layerfusion.errors import UserError
from layerfusion.figures import rivals as pages
from layerfusion.metrics.uncertainty import resampled_roc_auc, seed_interval
from layerfusion.paths import project_root
from layerfusion.rivals.comparison import OURS, compare
from layerfusion.rivals.record import FeatureCost, RivalEntry, RivalsRecord
from layerfusion.studies.predictions import DTYPES
from layerfusion.studies.record import read_study

IMAGES, SEEDS = 120, (1, 2, 3)


def scores(blocks, strength, *, seed, run, noise):
    """Draw logits that separate the classes by `strength`; `noise` is of the images."""
    label = np.arange(IMAGES) % 2
    own = np.random.default_rng(seed).normal(0, 0.2, IMAGES)
    table = pd.DataFrame(
        {
            "run": run,
            "seed": seed,
            "blocks": blocks,
            "condition": "local",
            "image_id": [f"val/{number:03d}.png" for number in range(IMAGES)],
            "label": label,
            "logit": strength * label + noise + own,
            "width": 90,
            "height": 80,
            "source": "wild",
        }
    )
    return table.reindex(columns=list(DTYPES)).astype(DTYPES)


def tables(strength, *, seeds=SEEDS):
    """Predictions of the paper's head, of strength 1, and of rivals by name."""
    noise = np.random.default_rng(0).normal(0, 1, IMAGES)
    drawn = {
        name: pd.concat(
            [
                scores(name, value, seed=seed, run=run, noise=noise)
                for run in ("constrained", "open")
                for seed in seeds
            ]
        )
        for name, value in ({"all": 1.0} | strength).items()
    }
    study = drawn.pop("all")
    other = study.assign(condition="jpeg", logit=-study["logit"])
    rivals = pd.concat(drawn.values()).rename(columns={"blocks": "rival"})
    return rivals, pd.concat([other, study.assign(blocks="last", logit=0.0), study])


NAMES = {"linear-probe": 0.3, "linear-svm": 1.0, "rine": 2.5}


def test_a_gain_is_paired_by_image_and_by_seed():
    rivals, study = tables(NAMES)
    found = compare(rivals, study).set_index(["run", "rival"])
    ours = study.query("blocks == 'all' and condition == 'local' and run == 'open'")
    theirs = rivals.query("rival == 'linear-probe' and run == 'open'")
    counts = resamples_of({"val": ours["label"][:IMAGES]})["val"]
    values = [
        np.stack(
            [
                resampled_roc_auc(own["label"], own["logit"].astype(float), counts)
                for _, own in table.groupby("seed")
            ]
        )
        for table in (ours, theirs)
    ]
    expected = seed_interval(values[0] - values[1])
    row = found.loc["open", "linear-probe"]
    assert (row["gain"], row["gain_low"], row["gain_high"]) == (
        expected.estimate, expected.low, expected.high,
    )  # fmt: skip
    own = [roc_auc_score(t["label"].astype(int), t["logit"]) for _, t in theirs.groupby("seed")]
    assert row["roc_auc"] == pytest.approx(np.mean(own)) and row["seeds"] == 3
    assert found.loc["open", OURS]["roc_auc"] == pytest.approx(values[0][:, 0].mean())


def test_a_comparison_goes_either_way():
    found = compare(*tables(NAMES)).set_index(["run", "rival"])["verdict"]
    assert found["open", "linear-probe"] == "holds"
    assert found["open", "linear-svm"] == "undecided"
    assert found["open", "rine"] == "does not hold"
    assert found.isna().sum() == 2 and pd.isna(found["constrained", OURS])


def test_a_rival_that_scores_as_the_head_does_is_not_told_apart():
    rivals, study = tables({"rine": 1.0})
    same = study.query("blocks == 'all' and condition == 'local'")
    rivals = same.rename(columns={"blocks": "rival"}).assign(rival="rine")
    row = compare(rivals, study).query("rival == 'rine' and run == 'open'").iloc[0]
    assert row["gain"] == row["gain_low"] == row["gain_high"] == 0
    assert row["verdict"] == "undecided"


def test_seeds_that_only_one_side_has_are_left_out():
    rivals, study = tables(NAMES)
    fewer = compare(rivals, study[study["seed"] > 1])
    assert set(fewer["seeds"]) == {2}
    pd.testing.assert_frame_equal(fewer, compare(rivals[rivals["seed"] > 1], study))
    with pytest.raises(UserError, match=r"1 seeds .* in common"):
        compare(rivals, study[study["seed"] > 2])
    with pytest.raises(UserError, match="0 seeds"):
        compare(rivals, study[study["run"] == "open"])


@pytest.mark.parametrize("change", ["order", "label", "image"])
def test_other_images_are_refused(change):
    rivals, study = tables(NAMES)
    if change == "order":
        rivals = rivals.iloc[::-1]
    elif change == "label":
        rivals["label"] = 1 - rivals["label"]
    else:
        rivals["image_id"] = rivals["image_id"] + "x"
    with pytest.raises(UserError, match="other images"):
        compare(rivals, study)


def test_images_without_labels_are_refused():
    rivals, study = (table.assign(label=pd.NA).astype({"label": "Int8"}) for table in tables(NAMES))
    with pytest.raises(UserError, match="no labels"):
        compare(rivals, study)


# --- the page -------------------------------------------------------------------------------------


def test_the_page_says_who_is_above_and_who_below():
    text = pages.in_a_sentence(compare(*tables(NAMES)))
    assert text.count("in the open run") == text.count("in the constrained run") == 1
    head, open_run = text.split("in the constrained run")
    above, rest = open_run.split("not told apart from", maxsplit=1)[0].split("**below**")
    assert "the linear probe" in above and " RINE" in rest and "SVM" not in above + rest
    assert "nan" not in text and head.startswith("On the same features")


def test_where_all_agree_the_page_says_one_thing():
    text = pages.in_a_sentence(compare(*tables(dict.fromkeys(NAMES, 3.0))))
    assert text.count("**below**") == 2 and "above" not in text and "told apart" not in text


def test_the_best_of_each_run_comes_first():
    table = pages.standings(compare(*tables(NAMES)))
    assert table["run"].tolist() == ["constrained"] * 4 + ["open"] * 4
    for _, own in table.groupby("run"):
        assert own["roc_auc"].is_monotonic_decreasing
        assert own["contender"].iloc[0].startswith("RINE")


def test_every_contender_is_drawn_with_its_interval():
    table = compare(*tables(NAMES))
    left, right = pages.draw_rivals(table).axes
    assert [label.get_text() for label in left.get_yticklabels()] == [
        pages.TITLES[name] for name in (OURS, *NAMES)
    ]
    drawn = [len(container[0].get_xdata()) for container in left.containers]
    assert drawn == [4, 4] and len(right.containers) == 2


def test_what_each_learns_stands_beside_the_papers_head():
    study = read_study(project_root() / "runs/reference/photographs").record
    entries = [
        RivalEntry(
            rival=name,
            run=run,
            seed=seed,
            threshold=0.5,
            parameters=100 * number,
            seconds=seed,
            metrics={
                "ranking": {"roc_auc": 0.5 + seed / 10, "average_precision": 0.5},
                "calibrated": {"f1": 0.5},
            },
        )
        for number, name in enumerate(NAMES, start=1)
        for run in ("constrained", "open")
        for seed in SEEDS
    ]
    record = RivalsRecord(
        profile="photographs", key="", command="", seeds=list(SEEDS), rivals=list(NAMES),
        settings={}, data={"manifest_sha256": "other"}, entries=entries,
        features=FeatureCost(), fitting_seconds=0, code_sha256="", provenance={},
    )  # fmt: skip
    sizes = pages.sizes(record, study)
    # W_p, b_p: 768 to 256; a weight a block; the classifier: 256 to 256 to 1 (paper, section 2).
    layers = 768 * 256 + 256 + 12 + (256 * 256 + 256) + (256 + 1)
    assert sizes["parameters"].iloc[0] >= layers and sizes["parameters"].iloc[0] < 1.01 * layers
    assert sizes["parameters"].tolist()[1:] == [100, 200, 300]
    rates = pages.rates(record)
    assert len(rates) == 6 and rates["roc_auc"].tolist() == pytest.approx([0.7] * 6)
    assert rates["auc_sd"].tolist() == pytest.approx([0.1] * 6)
    assert not pages.same_images(record, study)
    assert pages.same_images(record.model_copy(update={"data": study.data}), study)


def test_the_page_names_every_source_once_with_its_differences():
    text = pages.described([*NAMES, "rine"])
    assert text.count("**") == 2 * 3 and "Koutlis and Papadopoulos 2024" in text
    assert "``" not in text and text.count("\n- ") >= 9
