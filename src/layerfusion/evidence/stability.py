"""The score again, after what happens to pictures on their way: and whether the verdict stands."""

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from layerfusion.evidence.words import Scale, Word
from layerfusion.images.degradations import degradation
from layerfusion.images.transforms import EvaluationTransform, enlarge
from layerfusion.model.detector import Detector
from layerfusion.model.features import extract

RECOMPRESSED = {"JPEG, quality 85": "jpeg-85", "JPEG, quality 75": "jpeg-75"}
AT_ONCE = 10  # images of one pass
RESIZED = {"resized to half and back, edges cut": "launder"}


class Variant(NamedTuple):
    """The picture in another form.

    Attributes
    ----------
    name
        What was done.
    logit
        Its score.
    word
        What that is called.
    """

    name: str
    logit: float
    word: Word


class Look(NamedTuple):
    """What a detector makes of a picture in all its forms.

    Attributes
    ----------
    variants
        The scores of the picture as it is, which comes first, and in other forms.
    crop
        What it sees of the picture as it is, uint8, (3, crop, crop).
    tokens
        The class tokens of that crop, float32, (blocks, width).
    """

    variants: list[Variant]
    crop: Tensor
    tokens: Tensor


def look(detector: Detector, scale: Scale, image: Image.Image) -> Look:
    """Score a picture as it is, and in other forms.

    Parameters
    ----------
    image
        RGB, upright, at full size.
    """
    transform = EvaluationTransform(detector.image_settings)
    views = {"as it is": transform(image)}
    for name, how in (RECOMPRESSED | RESIZED).items():
        views[name] = transform(degradation(how)(image))
    views |= _other_crops(detector, transform, image)
    tokens = _tokens_of(detector, torch.stack(list(views.values())))
    variants = [
        Variant(name, logit, scale.word(logit))
        for name, logit in zip(views, _classified(detector, tokens), strict=True)
    ]
    return Look(variants, views["as it is"], tokens[0])


def verdict(found: list[Variant]) -> tuple[Word, str | None]:
    """Return the word of a picture, and why it is *unsure* where its own form has another.

    It is unsure where one form gives evidence and another gives none: what a resize or another
    crop turns round is no property of the picture. Where all give evidence, the least of it counts.
    """
    own = found[0].word
    lowest = min(found, key=lambda variant: variant.word)
    highest = max(found, key=lambda variant: variant.word)
    if own == Word.UNSURE or highest.word < Word.WEAK:
        return own, None
    if lowest.word >= Word.WEAK:
        return lowest.word, None
    other = lowest if own >= Word.WEAK else highest
    return Word.UNSURE, f"as it is: {own.text}; {other.name}: {other.word.text}"


def logits_of(detector: Detector, images: Tensor) -> list[float]:
    """Return the logits of uint8 images (n, 3, crop, crop)."""
    return _classified(detector, _tokens_of(detector, images))


def _tokens_of(detector: Detector, images: Tensor) -> Tensor:
    """Return class tokens (n, blocks, width): few images at a time, which bounds the memory."""
    tokens = extract(detector, torch.split(images, AT_ONCE), len(images))
    return tokens.to(detector.mean.device)


def _classified(detector: Detector, tokens: Tensor) -> list[float]:
    with torch.inference_mode():
        return [float(logit) for logit in detector.classify(tokens).cpu().double()]


def _other_crops(
    detector: Detector, transform: EvaluationTransform, image: Image.Image
) -> dict[str, Tensor]:
    """Return crops off the centre, and the whole shrunk to the least size, where these differ."""
    settings = detector.image_settings
    large, side = enlarge(image, settings.min_side), settings.crop
    right, bottom = large.width - side, large.height - side
    corners = {
        "upper left crop": (0, 0),
        "upper right crop": (right, 0),
        "lower left crop": (0, bottom),
        "lower right crop": (right, bottom),
    }
    crops = {
        name: pixels(large.crop((left, top, left + side, top + side)))
        for name, (left, top) in corners.items()
        if (right, bottom) != (0, 0)
    }
    if min(large.size) > settings.min_side:
        ratio = settings.min_side / min(large.size)
        size = tuple(max(settings.min_side, round(length * ratio)) for length in large.size)
        shrunk = large.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        crops["shrunk as a whole"] = transform(shrunk)
    return crops


def pixels(image: Image.Image) -> Tensor:
    """Return an RGB image as uint8 (3, height, width)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
