"""Encoder and fusion head together: uint8 images in, synthetic-image logits out."""

from typing import Any

import torch
from torch import Tensor

from layerfusion.model.architecture import check_architecture
from layerfusion.model.encoder import ClassTokenEncoder, FrozenTokens
from layerfusion.model.fusion import LayerFusion, blocks_read, build_head
from layerfusion.model.prefix_cache import BatchMemory, PrefixCache
from layerfusion.model.stored import StoredDetector
from layerfusion.model.weights import OPENAI, build_tower, resolved
from layerfusion.settings import EncoderSettings, HeadSettings, ImageSettings


class Detector(StoredDetector):
    """The paper's detector: class tokens of every block, fused and classified.

    Build one with `Detector.build`, read one with `Detector.load` (see `StoredDetector`). Images go
    in as uint8 and are normalised here, with the statistics that the encoder's weights were trained
    with, on the device, so that loaders move a quarter of the bytes.

    Attributes
    ----------
    prefix_cache : PrefixCache, BatchMemory or None
        Where frozen features are cached; a user sets it. None, as built and loaded: everything is
        computed.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: ClassTokenEncoder,
        head: LayerFusion,
        *,
        encoder_settings: EncoderSettings,
        head_settings: HeadSettings,
        image_settings: ImageSettings,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.encoder_settings = encoder_settings
        self.head_settings = head_settings
        self.image_settings = image_settings
        self._blocks = blocks_read(head_settings, encoder.depth)
        self.prefix_cache: PrefixCache | BatchMemory | None = None
        self._prefix_identity: dict[str, Any] | None = None
        mean, std = encoder_settings.mean or OPENAI[0], encoder_settings.std or OPENAI[1]
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def build(
        cls, encoder: EncoderSettings, head: HeadSettings, images: ImageSettings, *, seed: int = 0
    ) -> "Detector":
        """Build an untrained detector: the encoder's own weights, a head drawn from `seed`.

        Raises
        ------
        UserError
            As `layerfusion.model.architecture.check_architecture`, or if the weights cannot be
            read.
        """
        check_architecture(encoder, head, images)
        class_tokens = ClassTokenEncoder(
            build_tower(encoder),
            trained_blocks=encoder.trained_blocks,
            prefix_precision=encoder.prefix_precision,
            last_block=encoder.last_block,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fusion = build_head(head, depth=class_tokens.depth, width=class_tokens.width)
        return cls(
            class_tokens,
            fusion,
            encoder_settings=resolved(encoder),
            head_settings=head,
            image_settings=images,
        )

    @property
    def activation(self) -> str:
        """The activation that the encoder computes with: ``quick_gelu`` or ``gelu``."""
        return self.encoder_settings.activation

    def forward(self, images: Tensor) -> Tensor:
        """Return synthetic-image logits, shape (batch,), float32, of uint8 images (batch, 3, s, s).

        Class tokens of images, as `class_tokens` returns them (floating point), are taken in their
        place: whoever keeps them calls what a training has wrapped for its device and precision.

        The head runs in float32 even under autocast: logits rounded to 16 bits would tie, and both
        ranking and threshold live on the order of logits.
        """
        tokens = images if images.is_floating_point() else self.class_tokens(images)
        return self.classify(tokens)

    def classify(self, h: Tensor) -> Tensor:
        """Return logits as `forward` does, of class tokens (batch, blocks, width) of all blocks."""
        with torch.autocast(h.device.type, enabled=False):
            logits: Tensor = self.head(self.blocks_read(h))
        return logits

    def blocks_read(self, h: Tensor) -> Tensor:
        """Return the class tokens that the head reads, of those of all blocks, as `classify`."""
        if self.head_settings.blocks == "last":
            return h[:, -1:]
        return h[:, self._blocks] if len(self._blocks) < self.encoder.depth else h

    def class_tokens(self, images: Tensor) -> Tensor:
        """Return h_l(x) of every block, (batch, blocks, width), of uint8 images as in `forward`."""
        return self.encoder.suffix(self.frozen_tokens(images))

    def frozen_tokens(self, images: Tensor) -> FrozenTokens:
        """Return what the frozen blocks make of images as in `forward`: from the cache, if any."""
        if self.prefix_cache is None:
            return self._computed_prefix(images)
        return self.prefix_cache.frozen_tokens(
            images,
            identity=self.prefix_identity(),
            compute=self._computed_prefix,
            fits=self.encoder.fits,
        )

    def _computed_prefix(self, images: Tensor) -> FrozenTokens:
        return self.encoder.prefix((images.float() / 255 - self.mean) / self.std)

    def prefix_identity(self) -> dict[str, Any]:
        """Return what `frozen_tokens` depends on beside pixels and machine, as plain JSON values.

        Frozen, so it is made once: weights that are changed by hand afterwards go unnoticed.
        """
        if self._prefix_identity is None:
            statistics = {"mean": self.mean.flatten().tolist(), "std": self.std.flatten().tolist()}
            self._prefix_identity = self.encoder.prefix_identity() | statistics
        return self._prefix_identity

    def block_weights(self) -> list[float]:
        """Return alpha of the blocks that the head reads, first to last: positive, of sum 1."""
        return [float(alpha) for alpha in self.head.block_weights().detach().cpu()]

    def parameter_counts(self) -> dict[str, int]:
        """Return the number of scalars in the frozen encoder, its trained blocks and the head."""
        counts = {"frozen": 0, "trained_blocks": 0, "head": 0}
        for name, parameter in self.named_parameters():
            part = "head" if name.startswith("head.") else "trained_blocks"
            counts[part if parameter.requires_grad else "frozen"] += parameter.numel()
        return counts
