"""Image files below a folder: shared by the kinds of sources."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from layerfusion.errors import UserError
from layerfusion.images.finding import files_below


class SourceFiles(NamedTuple):
    """What a source has found below the data root.

    Attributes
    ----------
    files
        As `layerfusion.data.manifest.file_table` makes it.
    passed_over
        Image files in the source's folder that its layout does not know, relative to the root.
    notes
        Sentences on what was found.
    """

    files: pd.DataFrame
    passed_over: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def existing_folder(folder: Path) -> Path:
    """Return the folder, or raise a UserError if there is none."""
    if not folder.exists():
        raise UserError(f"there is no folder {folder}; give the one that holds the images")
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; give the folder that holds the images")
    return folder


def list_images(folder: Path) -> list[str]:
    """Return the paths of all images below a folder, relative to it (POSIX), sorted.

    What `layerfusion.images.finding.files_below` takes for one.

    Raises
    ------
    UserError
        If there is no such folder, it cannot be listed or a file's name is not UTF-8.
    """
    return [_utf8(path) for path in files_below(existing_folder(folder)).images]


def locate(root: Path, name: str) -> Path | None:
    """Return the folder of this name below the root, upper and lower case alike; None if none."""
    folder = root
    for part in PurePosixPath(name).parts:
        exact = folder / part
        if not exact.is_dir():
            alike = (entry for entry in _entries(folder) if entry.name.lower() == part.lower())
            exact = next((entry for entry in alike if entry.is_dir()), exact)
        folder = exact
    return folder if folder.is_dir() else None


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _utf8(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:  # bytes of another encoding, which Python carries as surrogates
        raise UserError(f"the file name {path!a} is not UTF-8; rename the file") from None
    return path
