"""Whether the data sets of a profile are there and whole, and which of its runs can run."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from layerfusion.data.integrity import Depth, look_at_files, number_contents
from layerfusion.data.labels import label_test_images
from layerfusion.data.manifest import SPLITS
from layerfusion.data.selection import select_training
from layerfusion.data.sources.published import PUBLISHED, PublicDataSet
from layerfusion.data.sources.registry import find_files
from layerfusion.data.sources.tree import SourceFiles, existing_folder
from layerfusion.errors import UserError
from layerfusion.progress import Reporter
from layerfusion.settings import Profile, PublishedSource, WorldSource


@dataclass(frozen=True, kw_only=True)
class SourceCheck:
    """What was found of one data set; numbers of files, unless it says otherwise.

    Attributes
    ----------
    data_set
        What its publisher says; None for a folder of the user's own.
    place
        Where it was looked for.
    needed_by
        The profile's runs that it matters to.
    found
        Images of the parts that its publisher counts, or all where nobody counts.
    bytes
        Of all its files.
    corrupt
        Files that cannot be read, empty ones among them.
    duplicates
        Files that equal another of the same set; None where that was not looked for.
    incomplete
        How much there is of each part that is not there as a whole.
    """

    name: str
    data_set: PublicDataSet | None
    place: Path
    needed_by: tuple[str, ...]
    found: int
    bytes: int
    corrupt: int
    duplicates: int | None
    incomplete: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def expected(self) -> int | None:
        """How many images there should be; None if nobody says it."""
        return None if self.data_set is None else self.data_set.expected

    @property
    def missing(self) -> int | None:
        """How many images are missing; None if nobody says how many there should be."""
        return None if self.expected is None else max(0, self.expected - self.found)


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """All that `check_data` found.

    Attributes
    ----------
    unreadable
        Columns source, path (below the root) and reason, a row a file.
    obstacles
        By run, what keeps it from running: sentences, none where it can run.
    notes
        Sentences on all sets together.
    """

    root: Path
    sources: tuple[SourceCheck, ...]
    unreadable: pd.DataFrame
    obstacles: dict[str, list[str]]
    notes: tuple[str, ...]


def check_data(
    profile: Profile, root: Path | None, *, depth: Depth = "ends", reporter: Reporter | None = None
) -> DataCheck:
    """Find the images of all of a profile's sources and look at every file.

    Parameters
    ----------
    root
        The data root.
    depth
        How much of every file is read (`layerfusion.data.integrity`); equal files are looked for
        unless it is ``names``.

    Raises
    ------
    UserError
        If the profile makes its own images, there is no data root, images are not as their source's
        module says, or the labels of test images not as `label_test_images` does.
    """
    root = _root(profile, root)
    reporter = reporter or Reporter()
    found = [find_files(source, root) for source in profile.data.sources]
    files = pd.concat(
        [one.files.assign(origin=number) for number, one in enumerate(found)], ignore_index=True
    )
    labels = _check_labels(profile, root, files)
    paths = files["path"].tolist()
    with reporter.bar("scanning files", len(paths)) as bar:
        files = files.join(look_at_files(root, paths, depth, bar))
    if depth != "names":
        with reporter.bar("comparing files", 0) as bar:
            files["content"] = number_contents(root, paths, files, bar)
    readable = files[files["reason"].isna()]
    unreadable = files.loc[files["reason"].notna(), ["source", "path", "reason"]]
    return DataCheck(
        root=root,
        sources=tuple(_source_checks(profile, root, found, files)),
        unreadable=unreadable.reset_index(drop=True),
        obstacles={run: list(_obstacles(profile, run, readable)) for run in profile.runs},
        notes=(*labels, *_across_splits(readable)),
    )


def _root(profile: Profile, root: Path | None) -> Path:
    if any(isinstance(source, WorldSource) for source in profile.data.sources):
        raise UserError(
            f"profile '{profile.name}' makes its own images: there is nothing to check; use the "
            "profile paper or folder"
        )
    if root is None:
        raise UserError("give the folder to look into with --data-root")
    return existing_folder(root)


def _check_labels(profile: Profile, root: Path, files: pd.DataFrame) -> tuple[str, ...]:
    if profile.data.test_labels is None:
        return ()
    labelled = label_test_images(files, root / profile.data.test_labels)
    count = int((labelled["split"] == "test").sum())
    return (f"{profile.data.test_labels} labels all {count:,} test images",)


def _source_checks(
    profile: Profile, root: Path, found: list[SourceFiles], files: pd.DataFrame
) -> Iterator[SourceCheck]:
    for number, (source, one) in enumerate(zip(profile.data.sources, found, strict=True)):
        own = files[files["origin"] == number]
        if isinstance(source, PublishedSource):
            notes = (*one.notes, *_passed_over(one.passed_over))
            yield _published(profile, source, root, own, notes)
        else:
            yield from _own_folders(profile, root, own)


def _published(
    profile: Profile,
    source: PublishedSource,
    root: Path,
    files: pd.DataFrame,
    notes: tuple[str, ...],
) -> SourceCheck:
    data_set = PUBLISHED[source.kind]
    counts = [(part, int(part.rows(files).sum())) for part in data_set.parts]
    found = sum(count for _, count in counts) if counts else len(files)
    more = tuple(
        f"{part.name} has {count:,} images, more than the {part.images:,} published"
        for part, count in counts
        if count > part.images
    )
    less = tuple(
        f"{part.name} {count:,} of {part.images:,}" for part, count in counts if count < part.images
    )
    known = (data_set.known,) if data_set.known and found else ()
    return SourceCheck(
        name=data_set.name,
        data_set=data_set,
        place=data_set.place(source, root),
        needed_by=_needed_by(profile, source.kind),
        found=found,
        incomplete=less if found else (),
        notes=(*more, *notes, *known),
        **_counts(files),
    )


def _own_folders(profile: Profile, root: Path, files: pd.DataFrame) -> Iterator[SourceCheck]:
    """Yield a check of each source of folders that their names or a layout separate."""
    splits = files["split"].map({split: number for number, split in enumerate(SPLITS)})
    for _, own in files.groupby([splits, "source"]):
        split, source = own[["split", "source"]].iloc[0]
        needed_by = _needed_by(profile, source) if split == "train" else ()
        yield SourceCheck(
            name=f"{split}: {source}",
            data_set=None,
            place=root,
            needed_by=tuple(profile.runs) if split == "val" else needed_by,
            found=len(own),
            incomplete=(),
            notes=(),
            **_counts(own),
        )


def _counts(files: pd.DataFrame) -> dict[str, Any]:
    """Return what is counted of the files of any source: bytes, corrupt and duplicates."""
    duplicates = int(files["content"].duplicated().sum()) if "content" in files else None
    corrupt = int(files["reason"].notna().sum())
    return {"bytes": int(files["bytes"].sum()), "corrupt": corrupt, "duplicates": duplicates}


def _needed_by(profile: Profile, source: str) -> tuple[str, ...]:
    """Return the runs that train on a source, or all for the validation images."""
    if source == "itw_sm":
        return tuple(profile.runs)
    return tuple(run for run, its in profile.runs.items() if source in its.train_sources)


def _passed_over(paths: tuple[str, ...]) -> tuple[str, ...]:
    if not paths:
        return ()
    return (
        f"images in its folder that do not lie as its layout says are passed over: {len(paths):,}, "
        f"the first of them {paths[0]}",
    )


def _obstacles(profile: Profile, run: str, files: pd.DataFrame) -> Iterator[str]:
    """Say what keeps a run from being the one that the profile describes.

    That is what `Experiment.check` would stop it for, and a selection that cannot be filled: with
    fewer images a run can be trained, but it would be another one, and better known beforehand.

    Parameters
    ----------
    files
        The readable files.
    """
    sources = profile.runs[run].train_sources
    trained = files[(files["split"] == "train") & files["source"].isin(sources)]
    absent = [source for source in sources if not (trained["source"] == source).any()]
    for source in absent:
        yield f"{_name(source)} is missing"
    if not absent and trained["label"].nunique() < 2:
        yield "real or synthetic training images are missing"
    if not absent:
        yield from select_training(trained, profile.data.selection, run).shortfalls
    if files.loc[files["split"] == "val", "label"].nunique() < 2:
        published = any(source.kind == "itw_sm" for source in profile.data.sources)
        wild = _name("itw_sm") if published else "real or synthetic validation images"
        yield f"{wild} {'is' if published else 'are'} missing"


def _name(source: str) -> str:
    return PUBLISHED[source].name if source in PUBLISHED else f"source '{source}'"


def _across_splits(files: pd.DataFrame) -> Iterator[str]:
    """Say whether files of different splits are equal."""
    if "content" not in files:
        return
    equal = files[files["content"].duplicated(keep=False)]
    shared = equal.groupby("content")["split"].transform("nunique") > 1
    if shared.any():
        first = equal[equal["content"] == equal.loc[shared, "content"].iloc[0]]["path"]
        yield (
            f"{int(shared.sum()):,} files have an equal in another split, such as "
            f"{first.iloc[0]} and {first.iloc[-1]}"
        )
