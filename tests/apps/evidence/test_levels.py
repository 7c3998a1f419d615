"""Levels: monotone in the score, as rare among photographs as stated, and counted."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from layerfusion.apps.evidence.levels import GENERATED, PHOTOGRAPHS, EvidenceLevel, EvidenceScale
from layerfusion.errors import UserError
from layerfusion.metrics.probability import decide
from layerfusion.metrics.rates import ranking_metrics, threshold_metrics
from layerfusion.model.folder import read_description
from layerfusion.scoring.detectors import (
    DEFAULT_FOLDER,
    ReferenceScores,
    read_reference,
    write_reference,
)

LOGITS = arrays.arrays(
    np.float64, st.integers(1, 120), elements=st.floats(-20, 20).map(lambda x: round(x, 2))
)


def scale_of(real, generated) -> EvidenceScale:
    label = np.repeat([0, 1], [len(real), len(generated)])
    return EvidenceScale(ReferenceScores(label, np.concatenate([real, generated])))


@given(LOGITS, LOGITS)
def test_levels_rise_with_the_score_and_are_as_rare_as_stated(real, generated):
    scale = scale_of(real, generated)
    levels = [scale.level(logit) for logit in np.linspace(-25, 25, 401)]
    assert levels == sorted(levels)
    for level, share in PHOTOGRAPHS.items():
        assert np.mean([scale.level(logit) >= level for logit in real]) <= share
    assert np.mean([scale.level(logit) == EvidenceLevel.NONE for logit in generated]) <= GENERATED


@given(LOGITS, LOGITS)
def test_every_image_has_one_level(real, generated):
    shares_by_level = [scale_of(real, generated).shares(level) for level in EvidenceLevel]
    for shares in zip(*shares_by_level, strict=True):
        assert sum(share.estimate for share in shares) == pytest.approx(1)
        assert all(0 <= share.low <= share.estimate <= share.high <= 1 for share in shares)


def test_the_shipped_detectors_reference_is_what_its_card_says():
    reference = read_reference(DEFAULT_FOLDER)
    card = (DEFAULT_FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    threshold = read_description(DEFAULT_FOLDER).threshold
    called = decide(reference.logit, threshold)
    found = threshold_metrics(reference.label, called, threshold)
    for name in ("precision", "recall", "f1"):
        assert f"| {name} | {found[name]:.1%} (" in card
    assert f"| false positive rate | {called[reference.label == 0].mean():.1%} (" in card
    auc = ranking_metrics(reference.label, reference.logit)["roc_auc"]
    assert f"| as they are | {len(reference.label):,} | {auc:.3f} (" in card


def test_a_reference_comes_back_without_names(tmp_path):
    rows = pd.DataFrame({"image_id": ["a", "b"], "label": [1, 0], "logit": [2.25, -1.5]})
    write_reference(rows, tmp_path)
    assert (tmp_path / "validation.csv").read_text() == "label,logit\n0,-1.5\n1,2.25\n"
    assert read_reference(tmp_path).logit.tolist() == [-1.5, 2.25]


def test_a_finished_runs_detector_is_read_against_its_predictions(tmp_path):
    rows = pd.DataFrame({"label": [0, 1], "logit": [-1.0, 1.0]})
    rows.to_parquet(tmp_path / "predictions.parquet")
    (tmp_path / "detector").mkdir()
    assert read_reference(tmp_path / "detector").label.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "has no validation.csv"),
        ("", "cannot be read"),
        ("label,score\n0,1\n", "lacks the columns"),
        ("label,logit\n0,1\n", "both of them"),
        ("label,logit\n0,1\n1,nan\n", "a finite logit"),
        ("label,logit\n0,1\n2,1\n", "a label 0 or 1"),
        ("label,logit\n0,a\n1,b\n", "a finite logit"),
    ],
)
def test_a_reference_that_is_none_is_said(text, words, tmp_path):
    if text is not None:
        (tmp_path / "validation.csv").write_text(text)
    with pytest.raises(UserError, match=words):
        read_reference(tmp_path)
