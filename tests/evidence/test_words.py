"""Words: monotone in the score, as rare among photographs as they promise, and counted."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from layerfusion.errors import UserError
from layerfusion.evidence.words import GENERATED, PHOTOGRAPHS, Scale, Word
from layerfusion.metrics.rates import ranking_metrics
from layerfusion.scoring.reference import Reference, read_reference, write_reference
from layerfusion.scoring.shipped import DEFAULT_FOLDER

LOGITS = arrays.arrays(
    np.float64, st.integers(1, 120), elements=st.floats(-20, 20).map(lambda x: round(x, 2))
)


def scale_of(real, generated) -> Scale:
    label = np.repeat([0, 1], [len(real), len(generated)])
    return Scale(Reference(label, np.concatenate([real, generated])))


@given(LOGITS, LOGITS)
def test_words_rise_with_the_score_and_are_as_rare_as_promised(real, generated):
    scale = scale_of(real, generated)
    words = [scale.word(logit) for logit in np.linspace(-25, 25, 401)]
    assert words == sorted(words)
    for word, share in PHOTOGRAPHS.items():
        assert np.mean([scale.word(logit) >= word for logit in real]) <= share
    assert np.mean([scale.word(logit) == Word.NONE for logit in generated]) <= GENERATED


@given(LOGITS, LOGITS)
def test_every_image_has_one_word(real, generated):
    meanings = [scale_of(real, generated).meaning(word) for word in Word]
    for shares in zip(*meanings, strict=True):
        assert sum(share.estimate for share in shares) == pytest.approx(1)
        assert all(0 <= share.low <= share.estimate <= share.high <= 1 for share in shares)


def test_the_shipped_detectors_reference_is_what_its_card_says():
    reference = read_reference(DEFAULT_FOLDER)
    card = (DEFAULT_FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    found = ranking_metrics(reference.label, reference.logit).roc_auc
    assert f"value: {found:.4f}" in card


def test_a_reference_comes_back_without_names(tmp_path):
    rows = pd.DataFrame({"image_id": ["a", "b"], "label": [1, 0], "logit": [2.25, -1.5]})
    write_reference(rows, tmp_path)
    assert (tmp_path / "validation.csv").read_text() == "label,logit\n0,-1.5000\n1,2.2500\n"
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
