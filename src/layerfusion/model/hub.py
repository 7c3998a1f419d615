"""A detector's folder on a model hub: found by its name, fetched, uploaded.

Of all that reads a detector these two functions alone use the network, and only for a hub's name.
A folder that comes from there is somebody else's: its description is looked at before its tensors
are fetched, and names no file of this machine.
"""

import re
from pathlib import Path
from typing import cast

from huggingface_hub import HfApi, ModelCard, ModelCardData, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from layerfusion.errors import UserError
from layerfusion.model.folder import CARD, CONFIG, DESCRIPTION, read_description, tensors_file
from layerfusion.model.weights import check_names_no_file

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
