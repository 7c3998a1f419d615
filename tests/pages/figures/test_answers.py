"""What the committed studies answer: every number on a page is one of theirs."""

import pytest

from layerfusion.experiments.alpha import read_alpha
from layerfusion.experiments.record import published_studies
from layerfusion.metrics.groups import errors_by_source
from layerfusion.pages.figures import answers, effects
from layerfusion.pages.figures.report import records_table
from layerfusion.paths import reference_folder


@pytest.fixture(scope="module")
def studies():
    return published_studies(reference_folder("photographs"))


def test_every_claim_is_counted_once(studies):
    counts, claims = answers.verdict_counts(studies["claims"]), len(studies["claims"].effects)
    assert counts.sum().tolist() == [claims, claims]


def test_the_texts_of_claims_are_their_numbers(studies):
    names = {"open": "open-above-constrained-local-roc_auc", "last": "fusion-above-last-local-open"}
    texts = effects.claim_texts(studies["claims"], names)
    rows = studies["claims"].effects.set_index("name")
    for key, name in names.items():
        row = rows.loc[name]
        ends = f"[{row['low']:+.3f}, {row['high']:+.3f}]"
        assert texts[key] == f"{row['effect']:+.3f} {ends}"
        assert texts[f"{key}_verdict"] == row["verdict"]
    assert texts["open_paper"] == "+0.053" and texts["last_paper"] == "none"
    assert effects.claim_texts(studies["claims"], names, "+.1f")["open_paper"] == "+0.1"


def test_alpha_is_a_share_and_moves_where_it_may(studies):
    table = answers.block_table(read_alpha(studies["claims"].directory))
    by_variant = table.groupby("variant")["alpha"]
    assert by_variant.sum().to_numpy() == pytest.approx(1, abs=1e-6)
    spread = by_variant.max() - by_variant.min()
    for run in ("constrained", "open"):
        assert spread[f"{run}-moving"] > 3 * spread[run]
    figure = answers.draw_alpha(table)
    _, labels = figure.axes[0].get_legend_handles_labels()
    assert len(figure.axes) == 2
    assert sorted(labels) == [
        "constrained run", "constrained run, alpha learns faster", "equal weights", "open run",
        "open run, alpha learns faster",
    ]  # fmt: skip
    shown = answers.as_html(figure, 'alpha, "equal" or not').data
    assert 'alt="alpha, &quot;equal&quot; or not"' in shown and "image/png;base64,iVBOR" in shown


def test_the_detector_is_shown_on_images_that_chose_nothing(studies):
    study = studies["detectors"]
    table = answers.detectors_table(study)
    assert table.index.tolist() == [*answers.DETECTORS, "every image synthetic"]
    own = study.scored["official"]["photographs"]
    sources = errors_by_source(own)
    assert sources["images"].sum() == len(own.images)
    real = sources[sources["class"] == "real"]
    assert (real["errors"].sum() / real["images"].sum()) == pytest.approx(
        own.values("fpr")[0, 0], abs=1e-12
    )
    facts = answers.detector_facts(study)
    assert facts["fpr"].startswith(f"{own.values('fpr')[0, 0]:.0%} [")
    assert facts["roc_auc"] == table.loc["photographs", "ROC AUC"]
    assert facts["metadata_roc_auc"] == table.loc["metadata", "ROC AUC"]
    assert facts["sources"] == str(len(sources))
    assert int(facts["real"]) + int(facts["synthetic"]) == len(own.images)
    panels = answers.draw_errors_by_source(sources).axes
    assert [len(axes.get_yticklabels()) for axes in panels] == [16, 18]


def test_rates_are_those_of_both_image_sets(studies):
    study = studies["detectors"]
    table = answers.rates_table(study, answers.DETECTORS)
    assert len(table) == 3 * len(answers.DETECTORS) * 2
    found = table.set_index(["rate", "detector", "images"])["value"]
    for on in answers.SPLITS:
        own = study.scored[on]["photographs"]
        assert found["recall", "shipped detector", on] == own.values("recall")[0, 0]
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert [axes.get_title("left") for axes in answers.draw_rates(table).axes] == [*answers.SHOWN]


def test_an_effect_leans_on_a_source_that_is_there(studies):
    study, name = studies["claims"], "open-above-constrained-local-roc_auc"
    (row,) = answers.most_influential_sources(study, [name]).reset_index().to_dict("records")
    effect = study.effects.set_index("name").loc[name, "effect"]
    assert row["effect"] == pytest.approx(effect) and row["without"] != row["effect"]
    families = {"bingo", "comfy", "declan", "kauan", "minimaxir"}
    assert row["source"] in set(study.images["source"]) | families
    assert row["class"] in ("real", "synthetic")


def test_records_say_what_to_type_and_what_comes_out(studies):
    table = records_table(studies.values())
    assert len(table) == len(studies) and table["command"].str.startswith("layerfusion study").all()
    assert table["expected"].str.contains(r": 0\.\d{3} \[").all()
