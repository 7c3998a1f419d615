"""A detector's folder, here and on a hub: its description, its trained tensors, and their sha256.

There are two forms of it, which differ in the names of these files: a run's, and that of hubs. Of
all that reads a detector, what is about hubs here alone uses the network, and only for a hub's
name. A folder that comes from there is somebody else's: its description is looked at before its
tensors are fetched, and names no file of this machine.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, cast

from huggingface_hub import HfApi, ModelCard, ModelCardData, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
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
from layerfusion.model.weight_files import read_tensors, write_tensors
from layerfusion.model.weights import check_names_no_file
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


# Neither part begins with a dot, so that a mistyped ./folder is not taken for a hub's name.
_HUB_NAME = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}")
# What else a detector's folder holds; code and pickles that lie beside it are not even fetched.
_BESIDE = [
    CARD, "validation.csv", "seen_images.csv", "calibration.json", "MODEL_CARD.md", "SHA256SUMS",
]  # fmt: skip
# The hub's client does not name what its HTTP library raises without an answer, and that library
# changed between its versions; it is what the error of an answer derives from.
_NO_ANSWER = cast(type[Exception], HfHubHTTPError.__bases__[0])
_REFUSED = (HFValidationError, HfHubHTTPError, _NO_ANSWER, OSError)


def find_folder(
    name: str | Path, *, revision: str | None = None, weights: str | None = None
) -> Path:
    """Return a local folder: the one that is named, or a copy of the hub's repository of that name.

    Parameters
    ----------
    name
        A folder, or ``owner/name`` where there is no such folder.
    revision
        Branch, tag or commit on the hub; None for its main branch.
    weights
        Where the frozen weights lie on this machine, if the reader says so.

    Raises
    ------
    UserError
        If there is neither, the hub cannot be reached and holds no earlier copy here, or the
        repository is no detector's, or one that would read a file of this machine that nobody
        named.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    if isinstance(name, Path) or not _HUB_NAME.fullmatch(name):
        raise UserError(f"there is no folder {name}, and it is no hub's name as in owner/name")
    described = _fetched(name, revision, [DESCRIPTION, CONFIG])
    _check_description(described, name, weights)
    files = [DESCRIPTION, CONFIG, tensors_file(described).name, *_BESIDE]
    # A copy lies in a folder of its commit's name: what was checked, whatever came after it.
    return _fetched(name, described.name, files)


def _fetched(name: str, revision: str | None, files: list[str]) -> Path:
    """Return a local copy of some of a repository's files."""
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=files))
    except GatedRepoError:
        raise UserError(
            f"{name} is on the hub, and its owner has to let you in: ask on its page, then "
            "`hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise UserError(
            f"there is no folder {name} here and no repository of that name on the hub that you "
            "may read; private ones need `hf auth login`"
        ) from None
    except LocalEntryNotFoundError:
        raise UserError(
            f"there is no folder {name} here, and the hub cannot be reached to look there"
        ) from None
    except _REFUSED as error:
        raise UserError(f"{name} cannot be fetched from the hub: {_first_line(error)}") from None


def _check_description(folder: Path, name: str, weights: str | None) -> None:
    """Raise a UserError if a fetched folder is no detector's, or its description names a path."""
    try:
        encoder = read_description(folder).encoder
    except UserError:
        raise UserError(f"{name} is on the hub, and is not a detector of layerfusion") from None
    check_names_no_file(encoder, f"{name} on the hub", weights)


def upload(folder: Path, name: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a folder's files to a repository of a hub, made if it is not there; return its page.

    Without a card in the folder, and none there before, one is uploaded that says what these files
    are, and what its reader must know of the scores.

    Raises
    ------
    UserError
        If the name is none, or the hub refuses or cannot be reached.
    """
    if not _HUB_NAME.fullmatch(name):
        raise UserError(f"'{name}' is not a valid name of a repository; give owner/name")
    api = HfApi(token=token)
    try:
        page = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="layerfusion detector")
        if not (folder / CARD).is_file() and not api.file_exists(name, CARD):
            card = _plain_card(folder, name)
            api.upload_file(path_or_fileobj=card, path_in_repo=CARD, repo_id=name)
    except _REFUSED as error:
        raise UserError(f"{name} cannot be written on the hub: {_first_line(error)}") from None
    return str(page)


def _plain_card(folder: Path, name: str) -> bytes:
    """Return the least that a card must say: what it is, how it is read, what it warns of."""
    card = ModelCard.from_template(
        ModelCardData(
            library_name="layerfusion",
            pipeline_tag="image-classification",
            tags=["synthetic-image-detection"],
        ),
        template_path=str(Path(__file__).with_name("plain_card.md.j2")),
        name=name,
        described=read_description(folder),
    )
    return str(card).encode()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
