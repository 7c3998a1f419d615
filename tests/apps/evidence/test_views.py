"""Whether a level of evidence is stable, and what a score depends on."""

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import demo_detector
from layerfusion.apps.evidence import views
from layerfusion.apps.evidence.levels import EvidenceLevel as Level
from layerfusion.apps.evidence.levels import EvidenceScale
from layerfusion.apps.evidence.views import (
    View,
    block_contributions,
    logits_of,
    occlusion_map,
    score_views,
    verdict,
)
from layerfusion.images.transforms import EvaluationTransform, planes
from layerfusion.scoring.detectors import ReferenceScores


@pytest.fixture(scope="module")
def detector():
    return demo_detector()


@pytest.fixture(scope="module")
def scale():
    rng = np.random.default_rng(0)
    label = np.arange(400) % 2
    return EvidenceScale(ReferenceScores(label, rng.normal(label * 2.0, 1.0)))


def noise(width, height):
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def given(*words):
    return [View(f"form {n}", 0.0, word) for n, word in enumerate(words)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([Level.STRONG, Level.STRONG], Level.STRONG),
        ([Level.STRONG, Level.WEAK], Level.WEAK),
        ([Level.STRONG, Level.UNSURE], Level.UNSURE),
        ([Level.WEAK, Level.NONE], Level.UNSURE),
        ([Level.NONE, Level.NONE, Level.UNSURE], Level.NONE),
        ([Level.NONE, Level.STRONG], Level.UNSURE),
        ([Level.UNSURE, Level.STRONG], Level.UNSURE),
    ],
)
def test_what_contradicts_itself_is_unsure(words, expected):
    word, why = verdict(given(*words))
    assert word == expected
    contradicts = words[0] != Level.UNSURE and word == Level.UNSURE
    assert (why is not None) == contradicts
    if contradicts:
        assert "form 1" in why and words[1].text in why


def test_the_first_form_is_the_score_itself(detector, scale):
    image = noise(150, 120)
    scored = score_views(detector, scale, image)
    found = scored.views
    crop = EvaluationTransform(detector.image_settings)(image)
    assert torch.equal(scored.crop, crop)
    assert found[0].logit == pytest.approx(logits_of(detector, crop[None])[0], abs=1e-4)
    with torch.inference_mode():
        own = detector.classify(scored.tokens[None]).item()
    assert found[0].logit == pytest.approx(own, abs=1e-6)
    assert len({view.name for view in found}) == len(found) >= 8
    assert all(view.level == scale.level(view.logit) for view in found)


@pytest.mark.parametrize("size", [(1, 1), (5, 400), (64, 64), (1000, 70)])
def test_any_size_has_its_forms(size, detector, scale):
    assert len(score_views(detector, scale, noise(*size)).views) >= 4


def test_contributions_are_those_of_an_independent_computation(detector):
    crop = planes(np.asarray(noise(*[detector.image_settings.crop] * 2)))
    head = detector.head
    with torch.inference_mode():
        tokens = detector.eval().class_tokens(crop[None])
        alpha = head.block_weights()
        own = []
        for left_out in range(len(alpha)):
            rest = [k for k in range(len(alpha)) if k != left_out]
            weights = alpha[rest] / alpha[rest].sum()
            z = (weights[:, None] * head.projection(tokens[0, rest])).sum(dim=0)
            own.append(float(head(tokens) - head.classifier(z)))
    np.testing.assert_allclose(block_contributions(detector, tokens[0]), own, atol=1e-4)


def test_the_map_is_of_the_fields_that_are_covered(detector, monkeypatch):
    monkeypatch.setattr(views, "GRID", 2)
    side = detector.image_settings.crop
    plain = torch.full((3, side, side), 100, dtype=torch.uint8)
    np.testing.assert_allclose(
        occlusion_map(detector, plain, logits_of(detector, plain[None])[0]), 0, atol=1e-4
    )
    crop = planes(np.asarray(noise(side, side)))
    found = occlusion_map(detector, crop, logits_of(detector, crop[None])[0])
    covered = crop.clone()
    grey = crop.float().mean(dim=(1, 2), keepdim=True).round().to(torch.uint8)
    covered[:, : side // 2, side // 2 :] = grey
    whole, part = logits_of(detector, torch.stack([crop, covered]))
    assert found.shape == (2, 2)
    assert found[0, 1] == pytest.approx(whole - part, abs=1e-4)
