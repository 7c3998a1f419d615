"""The images that somebody names: files and folders in, an id of its own for each out."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path

from layerfusion.errors import UserError
from layerfusion.images.finding import files_below, printable

_ADDRESS = re.compile(r"(?:https?|ftp|s3|gs|file):/")  # a path has one slash in place of two


def check_paths(paths: Sequence[Path]) -> None:
    """Raise a UserError if one of some files and folders does not exist."""
    for path in paths:
        if _ADDRESS.match(str(path)):
            address = str(path).replace(":/", "://", 1)
            raise UserError(f"{address} is an address, not a file; download it and name the file")
        if not (path.exists() or path.is_symlink()):
            raise UserError(f"there is no file or folder {path}")


def find_images(paths: Sequence[Path]) -> tuple[dict[str, Path], int]:
    r"""Find the image files that paths name.

    A file stands for itself, whatever it is called and holds; a folder for every image below it, as
    `layerfusion.images.finding.files_below` finds them.

    Returns
    -------
    images
        By image id, sorted; every input has one of its own. It is a file's name, or for a file
        below a folder its path from there; where two would get the same, the path as it was given,
        then the absolute one; of a file that was given twice the second is marked ``(2)``. Bytes
        of a name that are not UTF-8 stand there as ``\xe9``.
    passed_over
        Number of other files in the folders.

    Raises
    ------
    UserError
        If a path does not exist or no image is found at all.
    """
    check_paths(paths)
    found: list[tuple[str, Path]] = []
    passed_over = 0
    for path in paths:
        if path.is_dir():
            below = files_below(path)
            passed_over += len(below.others)
            found += [(name, path / name) for name in below.images]
        else:
            found.append((path.name, path))
    if not found:
        raise UserError(f"there are no images in {', '.join(map(str, paths))}")
    return dict(sorted(zip(_ids(found), (file for _, file in found), strict=True))), passed_over


def _ids(found: Sequence[tuple[str, Path]]) -> list[str]:
    """Return an id for each input that no other one has; see `find_images`."""
    ids = [printable(name) for name, _ in found]
    for longer in (os.fspath, os.path.abspath):
        times = Counter(ids)
        ids = [
            name if times[name] == 1 else printable(longer(file))
            for name, (_, file) in zip(ids, found, strict=True)
        ]
    unique: dict[str, None] = {}
    for name in ids:
        numbered = (f"{name} ({number})" for number in count(2))
        unique[next(own for own in chain([name], numbered) if own not in unique)] = None
    return list(unique)
