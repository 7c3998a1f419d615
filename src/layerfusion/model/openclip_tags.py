"""The pretrained tags that OpenCLIP knows of the usual CLIP models, and which are here."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import open_clip
from huggingface_hub import try_to_load_from_cache

from layerfusion.errors import UserError

# Parameters of a whole model, both towers: its file holds them in float32.
MODELS = {"ViT-B-32": 151_277_313, "ViT-B-16": 149_620_737, "ViT-L-14": 427_616_513}

# As the publishers state them, by what a tag begins with.
_LICENCES = {
    "openai": "MIT",
    "laion": "MIT",
    "datacomp": "MIT",
    "commonpool": "MIT",
    "metaclip": "CC BY-NC 4.0",
    "dfn": "Apple's sample code licence",
}

# Where OpenCLIP looks in a repository of the hub, in this order.
_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True)
class PretrainedTag:
    """Weights that OpenCLIP downloads by itself: ``encoder.model`` and ``encoder.weights``."""

    model: str
    tag: str

    @property
    def name(self) -> str:
        """Both in one word, as ``ViT-L-14/openai``."""
        return f"{self.model}/{self.tag}"

    @property
    def licence(self) -> str:
        """Its publisher's licence."""
        found = (text for start, text in _LICENCES.items() if self.tag.startswith(start))
        return next(found, "see its publisher")

    @property
    def bytes(self) -> int:
        """Size of the file, near enough."""
        return 4 * MODELS[self.model]

    def file(self) -> Path | None:
        """Return its file if OpenCLIP has downloaded it to this machine; asks no network."""
        config = open_clip.get_pretrained_cfg(self.model, self.tag)
        repository = config.get("hf_hub", "").strip("/")
        found = (try_to_load_from_cache(repository, name) for name in _HUB_FILES if repository)
        return next((Path(file) for file in found if isinstance(file, str)), None)

    def get(self) -> Path:
        """Let OpenCLIP download its file, if it is not there, and return it.

        Raises
        ------
        UserError
            If OpenCLIP cannot.
        """
        try:
            config = open_clip.get_pretrained_cfg(self.model, self.tag)
            return Path(open_clip.download_pretrained(config))
        except Exception as error:  # the hub's clients raise whatever their transport raises
            if os.strerror(errno.ENOSPC) in str(error) or getattr(error, "filename", None):
                raise UserError(
                    f"{self.name} cannot be kept ({' '.join(str(error).split())}); make room for "
                    f"{self.bytes / 1e6:.0f} MB, or have HF_HOME name a folder that has some"
                ) from None
            raise UserError(
                f"OpenCLIP could not download {self.name} ({type(error).__name__}); go online, or "
                "download it elsewhere and give the file's path as encoder.weights"
            ) from error


def pretrained_tags() -> list[PretrainedTag]:
    """Return every tag of ViT-B/32, ViT-B/16 and ViT-L/14, in OpenCLIP's order."""
    return [
        PretrainedTag(model, tag)
        for model in MODELS
        for tag in open_clip.list_pretrained_tags_by_model(model)
    ]
