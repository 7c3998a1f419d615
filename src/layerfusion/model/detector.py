"""Encoder and fusion head together: uint8 images in, synthetic-image logits out."""

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from layerfusion.errors import UserError
from layerfusion.files import write_checksums
from layerfusion.model.encoder import ClassTokenEncoder
from layerfusion.model.folder import (
    CARD,
    DetectorDescription,
    find_folder,
    is_own,
    read_description,
    read_trained_tensors,
    upload,
    write_folder,
)
from layerfusion.model.fusion import Head, blocks_read, build_head
from layerfusion.model.prefix_cache import PrefixCache
from layerfusion.model.tower import FrozenTokens
from layerfusion.model.weight_files import tensors_sha256
from layerfusion.model.weights import (
    OPENAI,
    build_tower,
    check_architecture,
    check_names_no_file,
    resolved,
)
from layerfusion.settings import EncoderSettings, HeadSettings, ImageSettings


class Detector(nn.Module):
    """The paper's detector: class tokens of every block, fused and classified.

    Build one with `Detector.build`, read one with `Detector.load`. Images go in as uint8 and are
    normalised here, with the statistics that the encoder's weights were trained with, on the
    device, so that loaders move a quarter of the bytes.

    Attributes
    ----------
    threshold : float or None
        Probability from which an image is predicted synthetic: chosen on validation images, usually
        far from 0.5. None before calibration.
    notice : str or None
        What a reader of its scores must know (the embedded demo detector carries one).
    prefix_cache : PrefixCache or None
        Where frozen features are cached; a user sets it. None, as built and loaded: everything is
        computed.
    """

    mean: Tensor
    std: Tensor
    threshold: float | None = None
    notice: str | None = None

    def __init__(
        self,
        encoder: ClassTokenEncoder,
        head: Head,
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
        self.prefix_cache: PrefixCache | None = None
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
            As `check_architecture`, or if the weights cannot be
            read.
        """
        check_architecture(encoder, head, images)
        encoder = resolved(encoder)
        class_tokens = ClassTokenEncoder(
            build_tower(encoder),
            trained_blocks=encoder.trained_blocks,
            prefix_precision=encoder.prefix_precision,
            last_block=encoder.last_block,
            tokens=encoder.tokens,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fusion = build_head(head, depth=class_tokens.depth, width=class_tokens.width)
        return cls(
            class_tokens,
            fusion,
            encoder_settings=encoder,
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
        if self.prefix_cache is None or not self.encoder.keeps_frozen_tokens:
            return self._computed_prefix(images)
        return self.prefix_cache.frozen_tokens(images, self.prefix_identity, self._computed_prefix)

    def _computed_prefix(self, images: Tensor) -> FrozenTokens:
        return self.encoder.prefix((images.float() / 255 - self.mean) / self.std)

    @cached_property
    def frozen_sha256(self) -> str:
        """The sha256 of the frozen tensors: which pretrained weights these really are.

        Frozen, so it is computed once, which takes ViT-L/14 a second: weights that are changed by
        hand afterwards go unnoticed.
        """
        return tensors_sha256({n: p for n, p in self.named_parameters() if not p.requires_grad})

    @cached_property
    def prefix_identity(self) -> dict[str, Any]:
        """What `frozen_tokens` depends on beside pixels and machine, as plain JSON values."""
        visual = self.encoder.visual
        return {
            "tensors": self.frozen_sha256,
            "structure": repr(visual),  # activations, epsilons, scales, kinds of block
            "heads": [getattr(b.attn, "num_heads", None) for b in self.encoder.tower.blocks],
            "trained_blocks": self.encoder.trained_blocks,
            "precision": self.encoder.prefix_precision,
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
            # Left out for class tokens, which older entries of the cache are of.
            **({} if self.encoder.tokens == "class" else {"token": self.encoder.tokens}),
        }

    def block_weights(self) -> list[float]:
        """Return the weights of the blocks that the head reads, first to last: of sum 1."""
        return [float(alpha) for alpha in self.head.block_weights().detach().cpu()]

    def parameter_counts(self) -> dict[str, int]:
        """Return the number of scalars in the frozen encoder, its trained blocks and the head."""
        counts = {"frozen": 0, "trained_blocks": 0, "head": 0}
        for name, parameter in self.named_parameters():
            part = "head" if name.startswith("head.") else "trained_blocks"
            counts[part if parameter.requires_grad else "frozen"] += parameter.numel()
        return counts

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """Return what training changes, by name: the head and the encoder's last blocks."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def save(self, directory: Path) -> None:
        """Write the trained tensors (safetensors) and the description (JSON) into `directory`.

        The frozen weights are not written: they are named, with their sha256, and read again from
        where they came.
        """
        write_folder(directory, self._description(), self.trained_parameters(), hubs=False)

    def _description(self) -> DetectorDescription:
        return DetectorDescription(
            encoder=self.encoder_settings,
            head=self.head_settings,
            images=self.image_settings,
            frozen_sha256=self.frozen_sha256,
            threshold=self.threshold,
            notice=self.notice,
        )

    @classmethod
    def load(cls, directory: str | Path, *, weights: str | None = None) -> "Detector":
        """Read a detector that `save` wrote; it comes back in evaluation mode.

        Parameters
        ----------
        directory
            A folder that holds ``detector.json`` and ``trained.safetensors``.
        weights
            Where the frozen weights lie now, if not where the description says.

        Raises
        ------
        UserError
            If a file is missing or damaged, the frozen weights are not those that the head and the
            last blocks were trained on, or the description names a file and does not lie below the
            folder of runs.
        """
        directory = Path(directory)
        description = read_description(directory)
        encoder = description.encoder
        if not is_own(directory):
            check_names_no_file(encoder, f"the detector in {directory}", weights)
        # Detectors saved before the two were stored saw OpenAI's, whatever their weights.
        mean, std = encoder.mean or OPENAI[0], encoder.std or OPENAI[1]
        encoder = encoder.model_copy(
            update={"weights": weights or encoder.weights, "mean": mean, "std": std}
        )
        detector = cls.build(encoder, description.head, description.images)
        if detector.frozen_sha256 != description.frozen_sha256:
            raise UserError(
                f"the frozen weights '{encoder.weights}' of {encoder.model} are not those that the "
                f"detector in {directory} was trained on (sha256 {description.frozen_sha256[:12]} "
                "expected); give the right weights file"
            )
        detector.restore(read_trained_tensors(directory))
        detector.threshold, detector.notice = description.threshold, description.notice
        return detector.eval()

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, revision: str | None = None, weights: str | None = None
    ) -> "Detector":
        """Read a detector from a folder, or from a hub by its name ``owner/name``.

        A folder is as `save`, `save_pretrained` or `layerfusion export` wrote it. The encoder's
        frozen weights are not in it: they are those that the description names, as for `load`.

        Raises
        ------
        UserError
            As `layerfusion.model.folder.find_folder` and `load`.
        """
        return cls.load(find_folder(name, revision=revision, weights=weights), weights=weights)

    def save_pretrained(self, directory: str | Path, *, card: str | None = None) -> None:
        """Write the folder that hubs expect: ``config.json`` and ``model.safetensors``.

        They hold what ``detector.json`` and ``trained.safetensors`` of `save` do, how images are
        prepared included. `load` reads either.

        Parameters
        ----------
        card
            Markdown of a model card, for ``README.md``; `layerfusion export` writes one.
        """
        directory = Path(directory)
        write_folder(directory, self._description(), self.trained_parameters(), hubs=True)
        if card is not None:
            (directory / CARD).write_text(card, encoding="utf-8")
        write_checksums(directory)

    def push_to_hub(
        self, name: str, *, card: str | None = None, private: bool = False, token: str | None = None
    ) -> str:
        """Write what `save_pretrained` does to a hub's repository ``owner/name``; return its page.

        Raises
        ------
        UserError
            As `layerfusion.model.folder.upload`.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, card=card)
            return upload(Path(folder), name, private=private, token=token)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace the trained tensors, all of them, by those given.

        Raises
        ------
        UserError
            If a name is missing, unknown or of another shape, or a number is not finite.
        """
        own = self.trained_parameters()
        wrong = own.keys() ^ tensors.keys() or {
            name for name in own if own[name].shape != tensors[name].shape
        }
        if wrong:
            raise UserError(
                f"the trained tensors do not fit this detector: {min(wrong)} is missing, unknown "
                "or of another shape; was the file made with other settings?"
            )
        endless = [name for name in own if not tensors[name].isfinite().all()]
        if endless:
            raise UserError(
                f"the trained tensors hold numbers that are not finite, in {min(endless)}: a "
                "training that diverged, or a damaged file; use another detector"
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(tensors[name])


@torch.inference_mode()
def extract(
    detector: Detector,
    batches: Iterable[Tensor],
    count: int,
    *,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Tensor:
    """Return the class token after every block: h, shape (count, blocks, width), float32, CPU.

    Block 1 comes first, images in their order. ViT-L/14's take 98 kB an image in memory; with a
    cache (`Detector.prefix_cache`) no image passes the frozen blocks twice.

    Parameters
    ----------
    detector
        Put into evaluation mode here. Its encoder alone is used: untrained (`Detector.build`) it is
        the pretrained one, trained it has its fine-tuned last blocks.
    batches
        uint8 images (batch, 3, crop, crop) on any device, `count` in all.
    autocast
        Opens the context of the precision to compute with, as `Fabric.autocast`.
    """
    detector.eval()
    h = torch.empty(count, detector.encoder.depth, detector.encoder.width)
    done = 0
    for images in batches:
        with autocast():
            tokens = detector.class_tokens(images.to(detector.mean.device, non_blocking=True))
        h[done : done + len(images)] = tokens.cpu()
        done += len(images)
    return h


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
