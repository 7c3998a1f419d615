"""What of a detector is saved, loaded, and passed on by way of a hub."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from layerfusion.errors import UserError
from layerfusion.files import CHECKSUMS, in_place_of, write_checksums, write_record
from layerfusion.model.folder import (
    CARD,
    CONFIG,
    DESCRIPTION,
    TENSORS,
    TRAINED,
    DetectorDescription,
    read_description,
    read_trained_tensors,
)
from layerfusion.model.hub import find_folder, upload
from layerfusion.model.weight_files import tensors_sha256
from layerfusion.model.weights import OPENAI
from layerfusion.settings import EncoderSettings, HeadSettings, ImageSettings


class StoredDetector(nn.Module):
    """What of a detector is saved and loaded; `layerfusion.model.detector.Detector` computes.

    Attributes
    ----------
    threshold : float or None
        Probability from which an image is predicted synthetic: chosen on validation images, usually
        far from 0.5. None before calibration.
    notice : str or None
        What a reader of its scores must know (the embedded demo detector carries one).
    """

    encoder_settings: EncoderSettings
    head_settings: HeadSettings
    image_settings: ImageSettings
    threshold: float | None = None
    notice: str | None = None
    _frozen_sha256: str | None = None

    @classmethod
    def build(cls, encoder: EncoderSettings, head: HeadSettings, images: ImageSettings) -> Self:
        """Build an untrained detector."""
        raise NotImplementedError

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """Return what training changes, by name: the head and the encoder's last blocks."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

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
        self._write(directory, DESCRIPTION, TRAINED)

    def _write(self, directory: Path, description_name: str, tensors_name: str) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise UserError(f"{directory} is a file; a detector is saved as a folder") from None
        # What was there before goes first: new settings beside old tensors would be no detector.
        for name in (TRAINED, tensors_name, DESCRIPTION, CHECKSUMS):
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
        write_record(description, directory / description_name)
        with in_place_of(directory / tensors_name) as partial:
            save_file(tensors, partial)

    @classmethod
    def load(cls, directory: str | Path, *, weights: str | None = None) -> Self:
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
        description = read_description(directory)
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
    ) -> Self:
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
        self._write(directory, CONFIG, TENSORS)
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
