"""Whether a verdict stands, and where a score comes from."""

import numpy as np
import pytest
import torch
from PIL import Image

from layerfusion.evidence.origin import block_contributions, occlusion_map
from layerfusion.evidence.stability import Variant, logits_of, look, pixels, verdict
from layerfusion.evidence.words import Scale, Word
from layerfusion.images.transforms import EvaluationTransform
from layerfusion.scoring.reference import Reference
from layerfusion.scoring.shipped import demo_detector


@pytest.fixture(scope="module")
def detector():
    return demo_detector()


@pytest.fixture(scope="module")
def scale():
    rng = np.random.default_rng(0)
    return Scale(Reference(np.arange(400) % 2, rng.normal(np.arange(400) % 2 * 2.0, 1.0)))


def noise(width, height):
    pixels_ = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels_)


def given(*words):
    return [Variant(f"form {n}", 0.0, word) for n, word in enumerate(words)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([Word.STRONG, Word.STRONG], Word.STRONG),
        ([Word.STRONG, Word.WEAK], Word.WEAK),
        ([Word.STRONG, Word.UNSURE], Word.UNSURE),
        ([Word.WEAK, Word.NONE], Word.UNSURE),
        ([Word.NONE, Word.NONE, Word.UNSURE], Word.NONE),
        ([Word.NONE, Word.STRONG], Word.UNSURE),
        ([Word.UNSURE, Word.STRONG], Word.UNSURE),
    ],
)
def test_what_contradicts_itself_is_unsure(words, expected):
    word, why = verdict(given(*words))
    assert word == expected
    contradicts = words[0] != Word.UNSURE and word == Word.UNSURE
    assert (why is not None) == contradicts
    if contradicts:
        assert "form 1" in why and words[1].text in why


def test_the_first_form_is_the_score_itself(detector, scale):
    image = noise(150, 120)
    seen = look(detector, scale, image)
    found = seen.variants
    crop = EvaluationTransform(detector.image_settings)(image)
    assert torch.equal(seen.crop, crop)
    assert found[0].logit == pytest.approx(logits_of(detector, crop[None])[0], abs=1e-4)
    with torch.inference_mode():
        own = detector.classify(seen.tokens[None]).item()
    assert found[0].logit == pytest.approx(own, abs=1e-6)
    assert len({variant.name for variant in found}) == len(found) >= 8
    assert all(variant.word == scale.word(variant.logit) for variant in found)


@pytest.mark.parametrize("size", [(1, 1), (5, 400), (64, 64), (1000, 70)])
def test_any_size_has_its_forms(size, detector, scale):
    assert len(look(detector, scale, noise(*size)).variants) >= 4


def test_contributions_are_those_of_an_independent_computation(detector):
    crop = pixels(noise(*[detector.image_settings.crop] * 2))
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


def test_the_map_is_of_the_fields_that_are_covered(detector):
    side = detector.image_settings.crop
    plain = torch.full((3, side, side), 100, dtype=torch.uint8)
    np.testing.assert_allclose(
        occlusion_map(detector, plain, logits_of(detector, plain[None])[0], grid=3), 0, atol=1e-4
    )
    crop = pixels(noise(side, side))
    found = occlusion_map(detector, crop, logits_of(detector, crop[None])[0], grid=2)
    covered = crop.clone()
    grey = crop.float().mean(dim=(1, 2), keepdim=True).round().to(torch.uint8)
    covered[:, : side // 2, side // 2 :] = grey
    whole, part = logits_of(detector, torch.stack([crop, covered]))
    assert found.shape == (2, 2)
    assert found[0, 1] == pytest.approx(whole - part, abs=1e-4)
