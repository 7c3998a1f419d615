"""Image files below a folder, and what their paths say of them: shared by the kinds of sources."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from layerfusion.data.manifest import Split, file_table
from layerfusion.errors import UserError
from layerfusion.images.finding import files_below

PLATFORMS = {
    name.lower(): name
    for name in (
        "Discord", "Facebook", "Instagram", "LinkedIn", "Pinterest", "Reddit", "Telegram", "TikTok",
        "Twitter", "WeChat", "WhatsApp", "X",
    )
}  # fmt: skip

# What may stand above a publisher's own folders: the folder that was asked for, and one or two more
# where an archive was extracted into a folder of its own.
ABOVE = "(?:[^/]+/){0,3}"


class Place(NamedTuple):
    """What is known of one image from where it lies: all columns of `file_table` but its path."""

    label: int | None
    split: Split
    source: str
    generator: str | None
    platform: str | None


class Found(NamedTuple):
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
    try:
        return [_utf8(path) for path in files_below(existing_folder(folder)).images]
    except OSError as error:
        raise UserError(f"{error.filename} cannot be listed: {error.strerror}") from None


def find_images(
    root: Path,
    folders: Sequence[str],
    pattern: re.Pattern[str],
    place: Callable[[re.Match[str]], Place],
) -> Found:
    """Find the images of a publisher's layout in the first folder that is there.

    Parameters
    ----------
    root
        The data root.
    folders
        Where the layout may lie below the root, in any case; nothing is found where none is there.
    pattern
        Matches the whole of an image's path, which begins with the name of the folder that was
        found: ``train2017/000000000009.jpg``. Images that it does not match are passed over.
    place
        Says what an image is whose path matched.

    Raises
    ------
    UserError
        If the folder cannot be listed or a file's name is not UTF-8.
    """
    folder = _first(root, folders)
    if folder is None:
        return Found(file_table([]))
    prefix = "" if folder == root else folder.relative_to(root).as_posix() + "/"
    name, rows, passed_over = folder.absolute().name, [], []
    for path in list_images(folder):
        match = pattern.fullmatch(f"{name}/{path}")
        if match is None:
            passed_over.append(prefix + path)
        else:
            rows.append((prefix + path, *place(match)))
    return Found(file_table(rows), tuple(passed_over))


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


def files_beside(root: Path, folders: Sequence[str], name: str) -> list[Path]:
    """Return the files of a name (``*`` allowed) that a publisher's layout has beside its images.

    They lie in the first of `folders` that is there, as in `find_images`, or up to two below it.
    """
    folder = _first(root, folders)
    if folder is None:
        return []
    return [path for above in ("", "*/", "*/*/") for path in sorted(folder.glob(above + name))]


def _first(root: Path, folders: Sequence[str]) -> Path | None:
    return next((there for name in folders if (there := locate(root, name))), None)


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
