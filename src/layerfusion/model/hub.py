"""A detector's folder on a model hub: found by its name, fetched, uploaded.

Of all that reads a detector these two functions alone use the network, and only for a hub's name.
"""

import re
from pathlib import Path
from typing import cast

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from layerfusion.errors import UserError

CONFIG, TENSORS, CARD = "config.json", "model.safetensors", "README.md"  # as hubs call them

# Neither part begins with a dot, so that a mistyped ./folder is not taken for a hub's name.
_HUB_NAME = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}")
# What a detector's folder holds; code and pickles that lie beside it are not even fetched.
_WANTED = [
    CONFIG, TENSORS, CARD, "detector.json", "trained.safetensors", "validation.csv",
    "seen_images.csv", "calibration.json", "MODEL_CARD.md", "SHA256SUMS",
]  # fmt: skip
# The hub's client does not name what its HTTP library raises without an answer, and that library
# changed between its versions; it is what the error of an answer derives from.
_NO_ANSWER = cast(type[Exception], HfHubHTTPError.__bases__[0])
_REFUSED = (HFValidationError, HfHubHTTPError, _NO_ANSWER, OSError)


def find_folder(name: str | Path, *, revision: str | None = None) -> Path:
    """Return a local folder: the one that is named, or a copy of the hub's repository of that name.

    Parameters
    ----------
    name
        A folder, or ``owner/name`` where there is no such folder.
    revision
        Branch, tag or commit on the hub; None for its main branch.

    Raises
    ------
    UserError
        If there is neither, or the hub cannot be reached and holds no earlier copy here.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    if isinstance(name, Path) or not _HUB_NAME.fullmatch(name):
        raise UserError(f"there is no folder {name}, and it is no hub's name as in owner/name")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_WANTED))
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


def upload(folder: Path, name: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a folder's files to a repository of a hub, made if it is not there; return its page.

    Raises
    ------
    UserError
        If the name is none, or the hub refuses or cannot be reached.
    """
    if not _HUB_NAME.fullmatch(name):
        raise UserError(f"'{name}' is no name of a repository; give owner/name")
    api = HfApi(token=token)
    try:
        page = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="layerfusion detector")
    except _REFUSED as error:
        raise UserError(f"{name} cannot be written on the hub: {_first_line(error)}") from None
    return str(page)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
