"""The image files below a folder: one way to walk a tree, for scores, submissions and data sets."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import NamedTuple

from layerfusion.errors import UserError
from layerfusion.images.reading import IMAGE_SUFFIXES, begins_as_image, is_special

# What other programs leave beside images: the resource forks of macOS's archives, thumbnails and
# bins of network storage, what Windows and file systems keep for themselves.
DEBRIS = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
)


class FilesBelow(NamedTuple):
    """The files below a folder: paths relative to it (POSIX), sorted.

    Attributes
    ----------
    images
        Files that are named as images, or begin as one; links that lead nowhere and are named so.
    others
        All other files, hidden ones and debris left out; pipes, sockets and devices are of them,
        whatever their names, for to read them may take for ever.
    """

    images: list[str]
    others: list[str]


def files_below(folder: Path) -> FilesBelow:
    """Find all files below a folder.

    Links are followed, to files and to folders, but never back up, so that a walk ends. Hidden
    files and folders and those of `DEBRIS` are passed over. Of a file whose name does not end as an
    image's, its first bytes decide, for browsers, phones and sites drop suffixes or make up their
    own (``.jfif``, ``.jpg_large``, none).

    Raises
    ------
    UserError
        If a folder cannot be listed.
    """
    images: list[str] = []
    others: list[str] = []
    try:
        for path in _walked(folder):
            (images if _is_image(folder, path) else others).append(path)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be listed: {error.strerror}") from None
    return FilesBelow(sorted(images), sorted(others))


def composed(name: str) -> str:
    """Return a file's name with composed letters, so that names which look alike are alike.

    macOS stores an "e" with an accent as two characters, other systems as one.
    """
    return unicodedata.normalize("NFC", name)


def printable(name: str) -> str:
    r"""Return a name that any text can hold: bytes in it that are not UTF-8 as ``\xe9``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _walked(folder: Path) -> Iterator[str]:
    to_walk: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while to_walk:
        prefix, above = to_walk.pop()
        place = os.path.join(folder, prefix)  # noqa: PTH118, of 1,200 folders a `Path` takes longer
        found = os.stat(place)  # noqa: PTH116
        own = found.st_dev, found.st_ino
        if own in above:
            continue
        within = above | {own}
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower() in DEBRIS:
                    continue
                if _is_folder(entry):
                    to_walk.append((f"{prefix}{entry.name}/", within))
                else:
                    yield prefix + entry.name


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: an entry that nothing can be read from
        return False


def _is_image(folder: Path, path: str) -> bool:
    if is_special(folder / path):
        return False
    return PurePath(path).suffix.lower() in IMAGE_SUFFIXES or begins_as_image(folder / path)
