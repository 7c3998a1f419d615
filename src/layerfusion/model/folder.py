"""A detector's folder: its description, its trained tensors, and the sha256 of both.

There are two forms of it, which differ in the names of these files: a run's, and that of hubs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from layerfusion.errors import UserError
from layerfusion.files import (
    CHECKSUMS,
    file_sha256,
    in_place_of,
    leads_out,
    read_record,
    read_text,
    write_record,
)
from layerfusion.model.tensors import read_tensors, write_tensors
from layerfusion.paths import runs_root
from layerfusion.settings import EncoderSettings, HeadSettings, ImageSettings

DESCRIPTION, TRAINED = "detector.json", "trained.safetensors"
CONFIG, TENSORS, CARD = "config.json", "model.safetensors", "README.md"  # as hubs call them
_LONGEST_DESCRIPTION = 20_000  # bytes; usual ones have a thousand


class DetectorDescription(BaseModel):
    """What `detector.json` says: all that is needed, beside the trained tensors, to rebuild it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    encoder: EncoderSettings
    head: HeadSettings
    images: ImageSettings
    frozen_sha256: str
    threshold: Annotated[float, Field(ge=0, le=1, strict=True)] | None = None
    notice: str | None = None


def write_folder(
    directory: Path, described: DetectorDescription, tensors: Mapping[str, Tensor], *, hubs: bool
) -> None:
    """Write description and trained tensors, under the names that hubs expect or under our own.

    Raises
    ------
    UserError
        If `directory` is a file.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{directory} is a file; a detector is saved as a folder") from None
    description_name, tensors_name = (CONFIG, TENSORS) if hubs else (DESCRIPTION, TRAINED)
    others = {DESCRIPTION, TRAINED, description_name, CHECKSUMS} - {tensors_name}
    with (
        in_place_of(directory / description_name) as new_description,
        in_place_of(directory / tensors_name) as new_tensors,
    ):
        write_record(described, new_description)
        write_tensors(new_tensors, tensors)
        # Both are whole: only now what was there goes, the description first, for new settings
        # beside old tensors would be another detector. Without one the folder holds none.
        for name in others:
            (directory / name).unlink(missing_ok=True)


def read_description(directory: Path) -> DetectorDescription:
    """Read the description in a folder.

    Raises
    ------
    UserError
        If there is none, it is not valid, or the folder is somebody else's and a file in it is a
        link that leads out of it.
    """
    path = description_file(directory)
    if directory.is_dir() and not is_own(directory):
        for out in filter(leads_out, directory.iterdir()):
            raise UserError(
                f"{out} is a link that leads out of the detector's folder, and in a detector from "
                "elsewhere it may not; put the file itself there if you trust it"
            )
    if not path.is_file():
        raise UserError(
            f"{directory} holds no {DESCRIPTION}; give the folder 'detector' of a finished run"
        )
    if path.stat().st_size > _LONGEST_DESCRIPTION:  # each wrong value becomes a kilobyte
        raise UserError(f"{path} is too long for a detector's description")
    return read_record(DetectorDescription, path, "detector's description")


def is_own(directory: Path) -> bool:
    """Say whether a folder lies below that of my runs, and so is no stranger's."""
    return directory.resolve().is_relative_to(runs_root().resolve())


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
        return read_tensors(path)[0]
    except ValueError as error:
        raise UserError(f"{path} cannot be read as trained tensors: {error}") from None


def description_file(directory: Path) -> Path:
    """Return the description in a folder, whether `Detector.save` wrote it or `save_pretrained`."""
    own, hubs = directory / DESCRIPTION, directory / CONFIG
    return hubs if hubs.is_file() and not own.is_file() else own


def tensors_file(directory: Path) -> Path:
    """Return the trained tensors that belong to the description in a folder."""
    return directory / (TENSORS if description_file(directory).name == CONFIG else TRAINED)


def _check_sum(path: Path) -> None:
    """Raise a UserError if a file is not the one that `CHECKSUMS` beside it names; it need not."""
    try:
        sums = read_text(path.parent / CHECKSUMS).splitlines()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UserError(f"{path.parent / CHECKSUMS} cannot be read: {error}") from None
    expected = [line.split()[0] for line in sums if line.endswith(f"  {path.name}")]
    if expected and path.is_file() and file_sha256(path) != expected[0]:
        raise UserError(
            f"{path} is not the file that {CHECKSUMS} beside it names: damaged, or changed; "
            "get the folder again"
        )
