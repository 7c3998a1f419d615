"""What the committed studies answer in words: every word is a number of theirs."""

import re

import pytest

from layerfusion.experiments.alpha import read_alpha
from layerfusion.experiments.record import published_studies
from layerfusion.metrics.groups import errors_by_source
from layerfusion.pages.figures import answers
from layerfusion.pages.figures.report import records_table
from layerfusion.paths import reference_folder


@pytest.fixture(scope="module")
def studies():
    return published_studies(reference_folder("photographs"))


def test_every_claim_is_counted_once(studies):
    counts, claims = answers.verdict_counts(studies["claims"]), len(studies["claims"].effects)
    assert counts.sum().tolist() == [claims, claims]
    said = answers.verdicts_in_a_sentence(studies["claims"])
    assert sum(map(int, re.findall(r"(\d+) \*", said))) == 2 * claims


def test_alpha_is_a_share_and_moves_where_it_may(studies):
    table = answers.block_table(read_alpha(studies["claims"].directory))
    by_variant = table.groupby("variant")["alpha"]
    assert by_variant.sum().to_numpy() == pytest.approx(1, abs=1e-6)
    spread = by_variant.max() - by_variant.min()
    for run in ("constrained", "open"):
        assert spread[f"{run}-moving"] > 3 * spread[run]
        assert f"`{run}-moving`: alpha" in answers.alpha_in_a_sentence(table)
    assert len(answers.draw_alpha(table).axes) == 2


def test_the_detector_is_shown_on_images_that_chose_nothing(studies):
    study = studies["detectors"]
    table = answers.detectors_table(study)
    assert table.index[0] == "photographs" and table.index[-1] == "every image synthetic"
    assert "metadata" in table.index
    own = study.scored["official"]["photographs"]
    sources = errors_by_source(own)
    assert sources["images"].sum() == len(own.images)
    real = sources[sources["class"] == "real"]
    assert (real["errors"].sum() / real["images"].sum()) == pytest.approx(
        own.values("fpr")[0, 0], abs=1e-12
    )
    assert f"{own.values('fpr')[0, 0]:.0%} [" in answers.detector_in_a_sentence(study)


def test_an_effect_leans_on_a_source_that_is_there(studies):
    study, name = studies["claims"], "open-above-constrained-local-roc_auc"
    said = answers.leaning_in_a_sentence(study, [name])
    effect = study.effects.set_index("name").loc[name, "effect"]
    assert f"{effect:+.3f}, without `" in said
    sources = set(study.images["source"]) | {"bingo", "comfy", "declan", "kauan", "minimaxir"}
    assert set(re.findall(r"`(\w+)`", said)) <= sources


def test_records_say_what_to_type_and_what_comes_out(studies):
    table = records_table(studies.values())
    assert len(table) == len(studies) and table["command"].str.startswith("layerfusion study").all()
    assert table["expected"].str.contains(r": 0\.\d{3} \[").all()
