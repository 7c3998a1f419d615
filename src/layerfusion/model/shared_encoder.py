"""Several detectors on one frozen encoder, which computes what they share once."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from layerfusion.model.detector import Detector


def share_encoder(detectors: Sequence[Detector]) -> bool:
    """Say whether detectors have the same frozen blocks, from the pixels on."""
    first = detectors[0].prefix_identity
    return all(detector.prefix_identity == first for detector in detectors[1:])


class SharedEncoder(nn.Module):
    """Detectors that differ in what was trained alone: head and last blocks.

    The frozen blocks are most of the work, and are computed once for all of them; so are decoding
    and cropping in whatever feeds them. Logits are those of each detector, bit for bit.

    Parameters
    ----------
    detectors
        At least one; what the first keeps in its prefix cache serves all.

    Raises
    ------
    ValueError
        If their frozen blocks differ (see `share_encoder`).
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        super().__init__()
        if not share_encoder(detectors):
            raise ValueError("these detectors do not share their frozen blocks")
        self.detectors = nn.ModuleList(detectors)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (batch, detectors), float32, of uint8 images (batch, 3, s, s)."""
        detectors = cast(Sequence[Detector], self.detectors)
        frozen = detectors[0].frozen_tokens(images)
        return torch.stack([d.classify(d.encoder.suffix(frozen)) for d in detectors], dim=1)
