"""Encoder and fusion head together: uint8 images in, synthetic-image logits out; save and load."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from layerfusion.errors import UserError
from layerfusion.files import in_place_of, write_record
from layerfusion.model.architecture import check_architecture
from layerfusion.model.batch_memory import BatchMemory
from layerfusion.model.encoder import ClassTokenEncoder, FrozenTokens
from layerfusion.model.fusion import LayerFusion, blocks_read, build_head
from layerfusion.model.hub import CARD, CONFIG, TENSORS, find_folder, upload
from layerfusion.model.prefix_cache import PrefixCache
from layerfusion.model.weight_files import tensors_sha256
from layerfusion.model.weights import OPENAI, build_tower, normalisation, weights_source
from layerfusion.settings import EncoderSettings, HeadSettings, ImageSettings

DESCRIPTION = "detector.json"
TRAINED = "trained.safetensors"
CHECKSUMS = "SHA256SUMS"  # of what else is in a folder that is passed on


class DetectorDescription(BaseModel):
    """What `detector.json` says: all that is needed, beside the trained tensors, to rebuild it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    encoder: EncoderSettings
    head: HeadSettings
    images: ImageSettings
    frozen_sha256: str
    threshold: Annotated[float, Field(ge=0, le=1, strict=True)] | None = None
    notice: str | None = None


class Detector(nn.Module):
    """The paper's detector: class tokens of every block, fused and classified.

    Build one with `Detector.build`, read one with `Detector.load`. Images go in as uint8 and are
    normalised here, with the statistics that the encoder's weights were trained with, on the
    device, so that loaders move a quarter of the bytes.

    Attributes
    ----------
    threshold : float or None
        Probability from which an image is called synthetic: chosen on validation images, usually
        far from 0.5. None before calibration.
    notice : str or None
        What a reader of its scores must know (the embedded demo detector carries one).
    prefix_cache : PrefixCache, BatchMemory or None
        Where what the frozen blocks give is kept, for whoever opens a detector to set. None, as
        built and loaded: nothing is kept, and everything is computed.
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
        self.threshold: float | None = None
        self.notice: str | None = None
        self.prefix_cache: PrefixCache | BatchMemory | None = None
        self._frozen_sha256: str | None = None
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
        tower, activation = build_tower(encoder)
        mean, std = normalisation(encoder, weights_source(encoder))
        class_tokens = ClassTokenEncoder(
            tower,
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
            encoder_settings=encoder.model_copy(
                update={"activation": activation, "mean": mean, "std": std}
            ),
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

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """Return what training changes, by name: the head and the encoder's last blocks."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def parameter_counts(self) -> dict[str, int]:
        """Return the number of scalars in the frozen encoder, its trained blocks and the head."""
        counts = {"frozen": 0, "trained_blocks": 0, "head": 0}
        for name, parameter in self.named_parameters():
            part = "head" if name.startswith("head.") else "trained_blocks"
            counts[part if parameter.requires_grad else "frozen"] += parameter.numel()
        return counts

    def frozen_sha256(self) -> str:
        """Return the sha256 of the frozen tensors: which pretrained weights these really are."""
        if self._frozen_sha256 is None:  # frozen, so once is enough: ViT-L/14 takes a second
            self._frozen_sha256 = tensors_sha256(
                {n: p for n, p in self.named_parameters() if not p.requires_grad}
            )
        return self._frozen_sha256

    def save(self, directory: Path) -> None:
        """Write the trained tensors (safetensors) and the description (JSON) into `directory`.

        The frozen weights are not written: they are named, with their sha256, and read again from
        where they came.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise UserError(f"{directory} is a file; a detector is saved as a folder") from None
        # What was there before goes first: new settings beside old tensors would be no detector.
        for name in (TRAINED, CHECKSUMS):
            (directory / name).unlink(missing_ok=True)
        description = DetectorDescription(
            encoder=self.encoder_settings,
            head=self.head_settings,
            images=self.image_settings,
            frozen_sha256=self.frozen_sha256(),
            threshold=self.threshold,
            notice=self.notice,
        )
        tensors = {n: p.detach().cpu().contiguous() for n, p in self.trained_parameters().items()}
        # The tensors go last and by rename, so that a half-written detector has none.
        write_record(description, directory / DESCRIPTION)
        with in_place_of(directory / TRAINED) as partial:
            save_file(tensors, partial)

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
            If a file is missing or damaged, or the frozen weights are not those that the head and
            the last blocks were trained on.
        """
        directory = Path(directory)
        description = _read_description(directory)
        encoder = description.encoder
        # Detectors saved before the two were stored saw OpenAI's, whatever their weights.
        mean, std = encoder.mean or OPENAI[0], encoder.std or OPENAI[1]
        encoder = encoder.model_copy(
            update={"weights": weights or encoder.weights, "mean": mean, "std": std}
        )
        detector = cls.build(encoder, description.head, description.images)
        if detector.frozen_sha256() != description.frozen_sha256:
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
            As `layerfusion.model.hub.find_folder` and `load`.
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
        self.save(directory)
        # In this order: the description says which tensors are its own.
        (directory / TRAINED).replace(directory / TENSORS)
        (directory / DESCRIPTION).replace(directory / CONFIG)
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
            As `layerfusion.model.hub.upload`.
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


def read_trained_tensors(directory: Path) -> dict[str, Tensor]:
    """Return the trained tensors of a saved detector, by name, on the CPU.

    Raises
    ------
    UserError
        If the file is missing or damaged, or is not the one that the folder's checksums name.
    """
    path = tensors_file(directory)
    _check_sum(path)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read as trained tensors: {error}") from None


def description_file(directory: Path) -> Path:
    """Return the description in a folder, whether `Detector.save` wrote it or `save_pretrained`."""
    own, hubs = directory / DESCRIPTION, directory / CONFIG
    return hubs if hubs.is_file() and not own.is_file() else own


def tensors_file(directory: Path) -> Path:
    """Return the trained tensors that belong to the description in a folder."""
    return directory / (TENSORS if description_file(directory).name == CONFIG else TRAINED)


def write_checksums(directory: Path) -> None:
    """Write the sha256 of each file of a detector's folder beside it, for whoever gets a copy."""
    files = sorted(path for path in directory.iterdir() if path.is_file())
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in files
        if path.name != CHECKSUMS
    ]
    (directory / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def _check_sum(path: Path) -> None:
    """Raise a UserError if a file is not the one that `CHECKSUMS` beside it names; it need not."""
    try:
        sums = (path.parent / CHECKSUMS).read_text(encoding="utf-8").splitlines()
        expected = [line.split()[0] for line in sums if line.endswith(f"  {path.name}")]
        if expected and hashlib.sha256(path.read_bytes()).hexdigest() != expected[0]:
            raise UserError(
                f"{path} is not the file that {CHECKSUMS} beside it names: damaged, or changed; "
                "get the folder anew"
            )
    except (OSError, ValueError):
        return  # a folder without them; what is wrong with the file itself is said in reading it


def _read_description(directory: Path) -> DetectorDescription:
    path = description_file(directory)
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        return DetectorDescription.model_validate(values)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{directory} holds no {DESCRIPTION}; give the folder 'detector' of a finished run"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{path} is not a detector's description: {where}: {first['msg']}"
        ) from None
    except (ValueError, OSError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is not a detector's description: {reason}") from None
