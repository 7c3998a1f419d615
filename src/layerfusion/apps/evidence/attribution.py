"""Which blocks of the encoder, and which places of the picture, a score depends on."""

from itertools import pairwise, product

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from layerfusion.apps.evidence.views import logits_of
from layerfusion.model.detector import Detector

GRID = 7  # fields of the map on each side: 32 px of a crop of 224
OVERLAY = (200, 30, 90), (30, 90, 200)  # where covering lowers the score, and where it raises it


def block_contributions(detector: Detector, tokens: Tensor) -> NDArray[np.float64]:
    r"""Return how much the logit falls without each block, shape (blocks,).

    .. math:: c_l = f\Big(\sum_m \alpha_m u_m\Big)
              - f\Big(\frac{1}{1 - \alpha_l} \sum_{m \ne l} \alpha_m u_m\Big), \qquad
              u_m = W_p h_m + b_p

    (symbols of the paper, section 2; f is the classifier): without a block the others share its
    weight. They do not add up to the logit, for f is not linear. Of a head that reads one block
    alone it is that block's whole logit.

    Parameters
    ----------
    tokens
        The class tokens of all blocks, float32, (blocks, width).
    """
    head = detector.head
    with torch.inference_mode():
        read = detector.blocks_read(tokens[None])
        alpha = head.block_weights().view(-1, 1)
        terms = alpha * head.projection(read[0])
        whole = head.classifier(terms.sum(dim=0, keepdim=True))
        if len(terms) == 1:
            return np.array([whole.item()])
        without = (terms.sum(dim=0) - terms) / (1 - alpha)
        return np.asarray((whole - head.classifier(without))[:, 0].cpu().double())


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
