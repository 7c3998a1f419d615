"""Which views, blocks and places of a picture a score depends on, and whether it is stable."""

from collections.abc import Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from layerfusion.apps.evidence.levels import EvidenceLevel, EvidenceScale
from layerfusion.images.degradations import degradation
from layerfusion.images.transforms import EvaluationTransform, enlarge, planes
from layerfusion.model.detector import Detector, extract

# Views by name, with the degradation that makes them.
DEGRADED = {
    "JPEG, quality 85": "jpeg-85",
    "JPEG, quality 75": "jpeg-75",
    "resized to half and back, edges cut": "launder",
}
AT_ONCE = 10  # images of one pass


class View(NamedTuple):
    """The picture in one form: what was done to it, its score, and the level of that."""

    name: str
    logit: float
    level: EvidenceLevel


class ScoredViews(NamedTuple):
    """The scores of a picture in all its forms.

    Attributes
    ----------
    views
        The picture as it is, which comes first, and in other forms.
    crop
        The detector's input for the picture as it is, uint8, (3, crop, crop).
    tokens
        The class tokens of that crop, float32, (blocks, width).
    """

    views: list[View]
    crop: Tensor
    tokens: Tensor


def score_views(detector: Detector, scale: EvidenceScale, image: Image.Image) -> ScoredViews:
    """Score a picture as it is, and in other forms.

    Parameters
    ----------
    image
        RGB, upright, at full size.
    """
    transform = EvaluationTransform(detector.image_settings)
    crops = {"as it is": transform(image)}
    crops |= {name: transform(degradation(how)(image)) for name, how in DEGRADED.items()}
    crops |= _other_crops(detector, transform, image)
    tokens = _tokens_of(detector, torch.stack(list(crops.values())))
    views = [
        View(name, logit, scale.level(logit))
        for name, logit in zip(crops, _classified(detector, tokens), strict=True)
    ]
    return ScoredViews(views, crops["as it is"], tokens[0])


def verdict(views: Sequence[View]) -> tuple[EvidenceLevel, str | None]:
    """Return the level of a picture, and why it is *unsure* where the picture as it is is not.

    It is unsure where one view gives evidence and another gives none: what a resize or another
    crop changes is no property of the picture. Where all give evidence, the least of it counts.
    """
    own = views[0].level
    lowest = min(views, key=lambda view: view.level)
    highest = max(views, key=lambda view: view.level)
    if own == EvidenceLevel.UNSURE or highest.level < EvidenceLevel.WEAK:
        return own, None
    if lowest.level >= EvidenceLevel.WEAK:
        return lowest.level, None
    other = lowest if own >= EvidenceLevel.WEAK else highest
    return EvidenceLevel.UNSURE, f"as it is: {own.text}; {other.name}: {other.level.text}"


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
        name: planes(np.asarray(large.crop((left, top, left + side, top + side))))
        for name, (left, top) in corners.items()
        if (right, bottom) != (0, 0)
    }
    if min(large.size) > settings.min_side:
        ratio = settings.min_side / min(large.size)
        size = tuple(max(settings.min_side, round(length * ratio)) for length in large.size)
        shrunk = large.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        crops["shrunk as a whole"] = transform(shrunk)
    return crops


GRID = 7  # fields of the map on each side: 32 px of a crop of 224
OVERLAY = (200, 30, 90), (30, 90, 200)  # where covering lowers the score, and where it raises it


def block_contributions(detector: Detector, tokens: Tensor) -> NDArray[np.float64]:
    """Return how much each block adds to the logit, shape (blocks,), as its head says it.

    Parameters
    ----------
    tokens
        The class tokens of all blocks, float32, (blocks, width).
    """
    with torch.inference_mode():
        read = detector.blocks_read(tokens[None])[0]
        return np.asarray(detector.head.contributions(read).cpu().double())


def occlusion_map(detector: Detector, crop: Tensor, logit: float) -> NDArray[np.float64]:
    """Return how much the logit falls where a field of the crop is covered, shape (GRID, GRID).

    Covered is a square of the crop's mean colour (Zeiler and Fergus 2014). Positive is where the
    picture looks generated to the detector. What it reads of a picture as a whole shows nowhere.

    Parameters
    ----------
    crop
        uint8, (3, crop, crop).
    logit
        Its score.
    """
    edges = np.linspace(0, crop.shape[-1], GRID + 1).round().astype(int)
    grey = crop.float().mean(dim=(1, 2), keepdim=True).round().to(torch.uint8)
    covered = crop.repeat(GRID * GRID, 1, 1, 1)
    for one, ((top, bottom), (left, right)) in zip(
        covered, product(pairwise(edges), repeat=2), strict=True
    ):
        one[:, top:bottom, left:right] = grey
    return np.asarray(logit - np.array(logits_of(detector, covered))).reshape(GRID, GRID)


def overlay(crop: Image.Image, occlusion: NDArray[np.float64]) -> Image.Image:
    """Return the crop with its occlusion map over it: the stronger, the more the score moves."""
    strength = occlusion / max(np.abs(occlusion).max(), 1e-9)
    opacity = Image.fromarray((np.abs(strength) * 180).astype(np.uint8)).resize(crop.size)
    rises = Image.fromarray((strength < 0).astype(np.uint8) * 255).resize(crop.size, 0)
    falls_in, rises_in = (Image.new("RGB", crop.size, colour) for colour in OVERLAY)
    colour = Image.composite(rises_in, falls_in, rises)
    return Image.composite(colour, crop.convert("L").convert("RGB"), opacity)
