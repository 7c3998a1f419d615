"""Source kind `folder`: a tree whose folder names, or a layout file, say what its images are."""

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from pydantic import Field

from layerfusion.data.manifest import Split, file_table
from layerfusion.data.sources.description import described
from layerfusion.data.sources.layout import DEFAULT_SOURCE, PLATFORMS, Entry, Place, find_place
from layerfusion.data.sources.tree import list_images
from layerfusion.errors import UserError
from layerfusion.settings.user_yaml import Strict, checked, read_yaml

LAYOUT = "layerfusion.yaml"
FILLED = ("generator", "platform")  # what a description may add to the manifest

# What a folder's name means, in lower case.
LABELS = dict.fromkeys(("real", "0_real", "nature", "photo", "photos", "authentic"), 0) | (
    dict.fromkeys(("synthetic", "1_fake", "fake", "ai", "generated"), 1)
)
SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "heldout": "heldout",
}


def find_folder_images(root: Path, layout: Path | None = None) -> pd.DataFrame:
    """Find the images below a folder, and what they are.

    Without a layout the names of an image's folders say it (in any case): one of `LABELS`, one of
    `SPLIT_NAMES`, perhaps one of `PLATFORMS`. The folders between split and label name the source,
    those below the label the generator of synthetic images; where none names a source, it is
    ``folder``. Images without a label may only be test images.

    A layout, given or `layerfusion.yaml` in the root, says it instead::

        folders:
          - {path: "Facebook/Fake/SDXL", label: synthetic, split: train, source: truefake,
             platform: Facebook, generator: SDXL}
          - {path: "{platform}/Fake/{generator}", label: synthetic, split: train, source: truefake}

    A path takes in what it matches (`layerfusion.data.sources.layout.Entry` says how it is written)
    and everything below it; the first that matches counts, and images that none matches are left
    out.

    In both cases the columns ``generator`` and ``platform`` of a `manifest.csv` or `metadata.csv`
    in the root, whose ``path`` or ``file_name`` is relative to it, fill in what is still unknown.
    Labels, splits and sources are never taken from there. What counts as an image,
    `layerfusion.images.finding.files_below` says.

    Returns
    -------
    DataFrame
        As `layerfusion.data.manifest.file_table` makes it: columns path, label, split, source,
        generator and platform, sorted by path.

    Raises
    ------
    UserError
        If there is no such folder, no image in it, a file's name has backslashes, or it is unclear
        what an image is.
    """
    paths = list_images(root)
    if not paths:
        raise UserError(f"there are no images in {root}")
    packed = next((path for path in paths if "\\" in path), None)
    if packed is not None:
        raise UserError(
            f"the name of {root / packed} has backslashes in it, as a program that does not know "
            "Windows's archives leaves them; extract the archive with another one, or delete the "
            "file"
        )
    if layout is None and (root / LAYOUT).is_file():
        layout = root / LAYOUT
    place = _by_names(root) if layout is None else _by_layout(layout, root, paths)
    places = ((path, place(path)) for path in paths)
    table = file_table((path, *found) for path, found in places if found)
    return _fill_in(table, root)


def _by_names(root: Path) -> Callable[[str], Place]:
    """Return the function that reads a place from the names of an image's folders."""

    @cache
    def place(folder: PurePosixPath) -> Place:
        where = root / folder
        names = [name.lower() for name in folder.parts]
        label = _only(LABELS, names, where, "label")
        split = _only(SPLIT_NAMES, names, where, "split")
        if split is None:
            raise UserError(
                f"nothing says what the images in {where} are for; sort them into folders named "
                f"train, val and test, or give a layout ({LAYOUT})"
            )
        if label is None and split != "test":
            raise UserError(
                f"nothing says whether the images in {where} are real or synthetic; sort them into "
                f"folders named so, or give a layout ({LAYOUT}){numbered(names)}"
            )
        platform = _only(PLATFORMS, names, where, "platform")
        labelled = next((i for i, name in enumerate(names) if name in LABELS), len(names))
        above, below = _unnamed(folder.parts[:labelled]), _unnamed(folder.parts[labelled:])
        generator = below if label == 1 else None
        return Place(label, split, above or DEFAULT_SOURCE, generator, platform)

    return lambda path: place(PurePosixPath(path).parent)


def numbered(names: Iterable[str]) -> str:
    """Return what to do if names of folders are numbers of classes, which may mean either."""
    return "; a folder 0 or 1 says neither: rename it" if {"0", "1"} & {*names} else ""


def _only(meanings: dict[str, Any], names: list[str], where: Path, what: str) -> Any:
    """Return what the names mean, None if nothing, or raise a UserError if two contradict."""
    found = {meanings[name]: name for name in names if name in meanings}
    if len(found) > 1:
        both = " and ".join(f"'{name}'" for name in found.values())
        raise UserError(f"{where} names its {what} twice, {both}; rename one or give a layout")
    return next(iter(found), None)


def _unnamed(names: tuple[str, ...]) -> str | None:
    """Join the names that mean neither label nor split nor platform."""
    known = LABELS.keys() | SPLIT_NAMES.keys() | PLATFORMS.keys()
    return "/".join(name for name in names if name.lower() not in known) or None


class _Layout(Strict):
    folders: list[Entry] = Field(min_length=1)


def _by_layout(file: Path, root: Path, paths: list[str]) -> Callable[[str], Place | None]:
    """Return the function that looks a place up in the layout; None where no entry matches."""
    what = f"layout {file}"
    entries = checked(_Layout, read_yaml(file, what), what).folders
    patterns = [(re.compile(entry.pattern()), entry) for entry in entries]
    for pattern, entry in patterns:
        if not any(pattern.match(path + "/") for path in paths):
            raise UserError(f"{file}: '{entry.path}' matches no image in {root}")

    return lambda path: find_place(path, patterns)


def _fill_in(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Take generator (never of real images) and platform from the root's CSV where missing."""
    said = described(root, pd.Index(table["path"]), FILLED).reset_index(drop=True)
    said["generator"] = said["generator"].where((table["label"] != 0).fillna(True))
    return table.assign(**{column: table[column].fillna(said[column]) for column in FILLED})
