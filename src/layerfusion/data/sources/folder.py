"""Source kind `folder`: a tree whose folder names, or a layout file, say what its images are.

Here is also what all kinds of sources share: listing images, and the language of layouts.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple

import pandas as pd
from pydantic import AfterValidator, Field, model_validator

from layerfusion.data.manifest import Split, file_table
from layerfusion.data.tables import read_csv
from layerfusion.errors import UserError
from layerfusion.images.finding import composed, files_below
from layerfusion.progress import warn_once
from layerfusion.settings import Strict, below_root, checked, read_yaml


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


PLATFORMS = {
    name.lower(): name
    for name in (
        "Discord", "Facebook", "Instagram", "LinkedIn", "Pinterest", "Reddit", "Telegram", "TikTok",
        "Twitter", "WeChat", "WhatsApp", "X",
    )
}  # fmt: skip
DEFAULT_SOURCE = "folder"

_TOKEN = re.compile(r"[{](?P<name>\w+)(?::(?P<values>[^{}]*))?[}]|(?P<wild>[*?])|(?P<text>.)")
_WILD = {"*": "[^/]*", "?": "[^/]"}


class Place(NamedTuple):
    """What is known of one image from where it lies: all columns of `file_table` but its path."""

    label: int | None
    split: Split
    source: str
    generator: str | None
    platform: str | None


class Entry(Strict):
    """Images of one kind: the paths where they lie, and what they are.

    In a path ``*`` and ``?`` stand for any text within a name, ``**`` for any folders.
    ``{generator}`` and ``{platform}`` stand for a name that is then the image's generator or
    platform, ``{generator:FLUX.1|SDXL*}`` only for names like one of these, upper and lower case
    alike; a name without ``*`` and ``?`` is put into the spelling given here. A platform is one of
    `PLATFORMS` where nothing else is given.
    """

    path: Annotated[str, AfterValidator(below_root)]
    label: Literal["real", "synthetic"] | None
    split: Split
    source: str = Field(default=DEFAULT_SOURCE, min_length=1)
    platform: str | None = None
    # Its ``{generator}`` is what the path's stands for.
    generator: str | None = None

    @model_validator(mode="after")
    def _labelled_unless_test(self) -> "Entry":
        if self.label is None and self.split != "test":
            raise ValueError(f"images for {self.split} need a label, real or synthetic")
        self.pattern()
        return self

    def pattern(self) -> str:
        """Return the regular expression of the entry's paths, each of which ends in a slash."""
        steps = PurePosixPath(self.path).parts
        return "".join(
            "(?:[^/]+/)*" if step == "**" else _TOKEN.sub(_expression, step) + "/" for step in steps
        )

    @cached_property
    def spellings(self) -> dict[str, dict[str, str]]:
        """By name in braces, the spelling of what it stands for, by the text in lower case."""
        named = (token for token in _TOKEN.finditer(self.path) if token["name"])
        return {
            token["name"]: {value.lower(): value for value in _values(token)} for token in named
        }

    def place(self, match: re.Match[str]) -> Place:
        """Return what an image is whose path matched the `pattern`."""
        found = {
            name: self.spellings[name].get(text.lower(), text)
            for name, text in match.groupdict().items()
        }
        generator = found.get("generator")
        if self.generator is not None:
            generator = self.generator.replace("{generator}", generator or "")
        return Place(
            None if self.label is None else int(self.label == "synthetic"),
            self.split,
            self.source,
            generator,
            found.get("platform", self.platform),
        )


Patterns = list[tuple[re.Pattern[str], Entry]]  # in the order in which they are tried


def find_place(path: str, patterns: Patterns) -> Place | None:
    """Return what an image is by the first entry whose pattern matches its path and a slash."""
    matches = ((pattern.match(path + "/"), entry) for pattern, entry in patterns)
    return next((entry.place(match) for match, entry in matches if match), None)


def _values(token: re.Match[str]) -> list[str]:
    """Return what a name in braces may be like."""
    usual = "|".join(PLATFORMS.values()) if token["name"] == "platform" else "*"
    return (token["values"] or usual).split("|")


def _expression(token: re.Match[str]) -> str:
    """Return the regular expression of one token of a path."""
    name = token["name"]
    if name is None:
        return _WILD[token["wild"]] if token["wild"] else re.escape(token["text"])
    if name not in ("generator", "platform"):
        raise ValueError(f"{token[0]} in the path is neither {{generator}} nor {{platform}}")
    like = (
        "".join(_WILD.get(letter, re.escape(letter)) for letter in value)
        for value in _values(token)
    )
    return f"(?P<{name}>(?i:{'|'.join(like)}))"


DESCRIPTIONS = ("manifest.csv", "metadata.csv")


def described(root: Path, paths: pd.Index, columns: Sequence[str]) -> pd.DataFrame:
    """Return what the `DESCRIPTIONS` in a root say of images, the first that says something.

    Paths that differ in how accents are stored alone are the same (`composed`).

    Returns
    -------
    DataFrame
        Indexed by `paths`: the columns asked for, text, missing where nothing is said.

    Raises
    ------
    UserError
        If a file is no CSV.
    """
    table = pd.DataFrame(index=paths, columns=list(columns), dtype="str")
    for name in DESCRIPTIONS:
        rows = read_description(root / name, columns)
        if rows is not None:
            names = rows.index.map(composed)
            known = rows.set_axis(names)[~names.duplicated()]
            found = known.reindex(paths.map(composed), columns=table.columns)
            if len(paths) and known.columns.size and not names.isin(paths.map(composed)).any():
                warn_once(f"{root / name} is not used: it names no image that is in {root}")
            table = table.fillna(found.set_axis(paths))
    return table


def read_description(file: Path, columns: Sequence[str]) -> pd.DataFrame | None:
    """Return what a CSV in the root says of images: those of `columns` that it has, as text.

    Returns
    -------
    DataFrame or None
        Indexed by path below the root, the first row of each; None if there is no such file, or
        it names no images.

    Raises
    ------
    UserError
        If the file is no CSV.
    """
    if not file.is_file():
        return None
    rows = read_csv(file)
    key = next((column for column in ("path", "file_name") if column in rows), None)
    if key is None:
        warn_once(f"{file} is not used: it has no column path or file_name, separated by commas")
        return None
    paths = rows[key].str.replace("\\", "/").str.removeprefix("./")
    rows = rows[[column for column in columns if column in rows]]
    rows = rows.set_axis(paths, axis=0)[~paths.duplicated().to_numpy() & paths.notna().to_numpy()]
    if "platform" in rows:
        known = rows["platform"].str.lower().map(PLATFORMS)
        rows = rows.assign(platform=known.fillna(rows["platform"]))
    return rows


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

    A path takes in what it matches (`layerfusion.data.sources.folder.Entry` says how it is written)
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
