"""Published data sets: each is a layout file in `data/layouts`, with what its publisher says of it.

A new data set is one more such file: its name is the source's `kind`.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import pandas as pd
from pydantic import BeforeValidator, Field

from layerfusion.data.manifest import file_table
from layerfusion.data.sources.folder import (
    Entry,
    Place,
    SourceFiles,
    find_place,
    list_images,
    locate,
    read_description,
)
from layerfusion.errors import UserError
from layerfusion.settings import (
    LAYOUTS,
    PUBLISHED_KINDS,
    PublishedSource,
    Strict,
    checked,
    read_yaml,
)

# Who says what, by the short names that layout files use.
CITED = {
    "paper": "the paper, section 3",
    "task": "README of mever-team/mediaeval2026-sid",
    # Facts whose own page could not be opened where this was written.
    "notes": "notes of this project, November 2026",
}
# What may stand above a publisher's own folders: the folder that was asked for, and one or two more
# where an archive was extracted into a folder of its own.
_ABOVE = "(?:[^/]+/){0,3}"


class Fact(Strict):
    """A statement about a data set, and the source of the statement."""

    text: str
    source: Annotated[str, BeforeValidator(lambda name: CITED.get(name, name))]


class Part(Strict):
    """A part of a data set, its number of files, and which rows of a source's table are in it."""

    name: str
    # As published: files that are found short of it have not been extracted.
    images: int
    label: Literal["real", "synthetic"] | None = None
    platform: str | None = None
    # What the generator begins with.
    generator: str | None = None

    def rows(self, files: pd.DataFrame) -> pd.Series:
        """Return which rows of a `file_table` are in this part, as booleans."""
        label = None if self.label is None else int(self.label == "synthetic")
        inside = files["generator"].fillna("").str.startswith(self.generator or "")
        for column, value in (("label", label), ("platform", self.platform)):
            if value is not None:
                inside &= (files[column] == value).fillna(False).astype(bool)
        return inside


class PublicDataSet(Strict):
    """A data set of the task or the paper: what its publisher says of it, and where its images lie.

    The entries' paths are whole paths of images below the folder's parent, in any case: up to three
    folders may stand above them.
    """

    # Its place in tables of data sets.
    order: int
    name: str
    in_the_paper: Fact
    images: Fact
    layout: Fact
    size: Fact
    published: Fact
    licence: Fact
    # Its key in the book's references.
    citation: str
    # Where its archive extracts to, below the data root.
    folder: str
    # Other folders that are looked for where that is not there.
    elsewhere: tuple[str, ...] = ()
    # Its archives' folders, where these have no common one.
    archives: tuple[str, ...] = ("",)
    entries: tuple[Entry, ...] = Field(min_length=1)
    # What is counted, if it is known how many files there are.
    parts: tuple[Part, ...] = ()
    # Defects that others have met in it.
    known: str | None = None
    # Files that list real images.
    lists: str | None = None
    # By a further source, the folder whose images it has.
    apart: dict[str, str] = Field(default_factory=dict)
    # CSV (file_name, platform) beside the images, if it is there.
    metadata: str | None = None

    @property
    def expected(self) -> int | None:
        """The number of files of all parts; None if nobody says it."""
        return sum(part.images for part in self.parts) or None

    @property
    def facts(self) -> dict[str, Fact]:
        """All facts by name, in their order: ``in the paper``, ``images``, ``layout``..."""
        return {name.replace("_", " "): value for name, value in self if isinstance(value, Fact)}

    def advice(self, source: PublishedSource, root: Path) -> str:
        """Say in one clause what the set is, how big, where it is offered and where to put it."""
        return (
            f"{self.name} ({self.images.text}; size: {self.size.text}) is offered at "
            f"{self.published.text}; put it at {root / (source.folder or self.folder)} (layout: "
            f"{self.layout.text})"
        )


def _published() -> dict[str, PublicDataSet]:
    sets = {}
    for kind in PUBLISHED_KINDS:
        path = LAYOUTS / f"{kind}.yaml"
        what = f"layout {path}"
        sets[kind] = checked(PublicDataSet, read_yaml(path, what), what)
    return dict(sorted(sets.items(), key=lambda item: item[1].order))


# By kind, which is also the `source` of the images that runs train on.
PUBLISHED = _published()


def find_published(source: PublishedSource, root: Path) -> SourceFiles:
    """Find the images of a published set below a data root; nothing where nothing of it is there.

    Whether a run needs them is for the run to say.

    Raises
    ------
    UserError
        If a folder cannot be listed, a file's name is not UTF-8, or metadata cannot be read.
    """
    data_set = PUBLISHED[source.kind]
    patterns = [
        (re.compile(rf"{_ABOVE}{entry.pattern()}\Z", re.IGNORECASE), entry)
        for entry in data_set.entries
    ]
    rows: list[tuple[str, *Place]] = []
    passed_over = []
    folders = list(_folders(data_set, source, root))
    for folder in folders:
        prefix = "" if folder == root else folder.relative_to(root).as_posix() + "/"
        name = folder.absolute().name
        for path in list_images(folder):
            place = find_place(f"{name}/{path}", patterns)
            if place is None:
                passed_over.append(prefix + path)
            else:
                rows.append((prefix + path, *place))
    files = file_table(rows)
    if not rows:
        return SourceFiles(files, tuple(passed_over))
    files["platform"] = _platforms(data_set, folders[0], files)
    notes = tuple(_notes(data_set, folders[0], files))
    return SourceFiles(files, tuple(passed_over), notes)


def _folders(data_set: PublicDataSet, source: PublishedSource, root: Path) -> Iterator[Path]:
    """Yield the folder of each archive that is there: the chosen one, or the first known."""
    folders = [source.folder or data_set.folder]
    if folders[0] == data_set.folder:
        folders += data_set.elsewhere
    for archive in data_set.archives:
        there = (locate(root, f"{folder}/{archive}") for folder in folders)
        folder = next(filter(None, there), None)
        if folder is not None:
            yield folder


def _notes(data_set: PublicDataSet, folder: Path, files: pd.DataFrame) -> Iterator[str]:
    """Yield sentences on images and platforms that are not where they might be looked for."""
    if data_set.lists and (lists := _beside(folder, data_set.lists)):
        names = sum(len(path.read_bytes().split()) for path in lists)
        yield (
            f"its real images are lists only ({names:,} names in {len(lists)} files "
            f"{data_set.lists}): no file of them is missing"
        )
    for source, part in data_set.apart.items():
        if count := int((files["source"] == source).sum()):
            yield f"{count:,} images of {part} are a source of their own, {source}"
    if data_set.metadata and not _beside(folder, data_set.metadata):
        yield f"there is no {data_set.metadata}: platforms are what file names begin with"


def _platforms(data_set: PublicDataSet, folder: Path, files: pd.DataFrame) -> pd.Series:
    """Return the platforms of files: what the set's metadata say of their names, if it has any."""
    metadata = _beside(folder, data_set.metadata) if data_set.metadata else []
    if not metadata:
        return files["platform"]
    rows = read_description(metadata[0], ["platform"])
    if rows is None or "platform" not in rows:
        raise UserError(
            f"{metadata[0]} cannot be read as the metadata of {data_set.name}: it lacks the "
            "columns file_name and platform"
        )
    names = [PurePosixPath(path).name for path in rows.index]
    by_name = dict(zip(names, rows["platform"], strict=True))
    own = [by_name.get(PurePosixPath(path).name) for path in files["path"]]
    return pd.Series(own, index=files.index, dtype="str").fillna(files["platform"])


def _beside(folder: Path, name: str) -> list[Path]:
    """Return the files of a name (``*`` allowed) in a folder, or up to two below it."""
    return [path for above in ("", "*/", "*/*/") for path in sorted(folder.glob(above + name))]
