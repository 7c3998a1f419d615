"""Whether the data sets of a profile are there and whole, and which of its runs can run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from layerfusion.data.integrity import Depth, number_contents, scan_files
from layerfusion.data.labels import label_test_images
from layerfusion.data.manifest import SPLITS
from layerfusion.data.opening import images_root
from layerfusion.data.selection import select_training
from layerfusion.data.sources.published import PUBLISHED, PublicDataSet
from layerfusion.data.sources.registry import find_files
from layerfusion.data.sources.tree import SourceFiles
from layerfusion.errors import UserError
from layerfusion.progress import Reporter
from layerfusion.settings import Profile, PublishedSource, WorldSource

VALIDATION = "itw_sm"  # the published set that every run is validated on


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
    place: Path
    needed_by: list[str]
    found: int
    bytes: int
    corrupt: int
    duplicates: int | None
    data_set: PublicDataSet | None = None
    incomplete: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def expected(self) -> int | None:
        """How many images there should be; None if nobody says it."""
        return self.data_set.expected if self.data_set else None


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

    sources: list[SourceCheck]
    unreadable: pd.DataFrame
    obstacles: dict[str, list[str]]
    notes: list[str]


def check_data(profile: Profile, root: Path | None, *, depth: Depth = "ends") -> DataCheck:
    """Find the images of all of a profile's sources and scan every file.

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
    if any(isinstance(source, WorldSource) for source in profile.data.sources):
        raise UserError(
            f"profile '{profile.name}' makes its own images: there is nothing to check; use the "
            "profile paper or folder"
        )
    root, reporter = images_root(profile.data, root, Path()), Reporter()
    found = [find_files(source, root) for source in profile.data.sources]
    files = pd.concat(
        [one.files.assign(origin=number) for number, one in enumerate(found)], ignore_index=True
    )
    notes, labels = [], profile.data.test_labels
    if labels is not None:
        labelled = label_test_images(files, root / labels)
        count = int((labelled["split"] == "test").sum())
        notes.append(f"{labels} labels all {count:,} test images")
    paths = files["path"].tolist()
    with reporter.bar("scanning files", len(paths)) as bar:
        files = files.join(scan_files(root, paths, depth, bar))
    if depth != "names":
        with reporter.bar("comparing files", 0) as bar:
            files["content"] = number_contents(root, paths, files, bar)
    readable = files[files["reason"].isna()]
    unreadable = files.loc[files["reason"].notna(), ["source", "path", "reason"]]
    return DataCheck(
        sources=list(_source_checks(profile, root, found, files)),
        unreadable=unreadable.reset_index(drop=True),
        obstacles={run: list(_obstacles(profile, run, readable)) for run in profile.runs},
        notes=[*notes, *_across_splits(readable)],
    )


def _source_checks(
    profile: Profile, root: Path, found: list[SourceFiles], files: pd.DataFrame
) -> Iterator[SourceCheck]:
    """Yield a check of each published set, and of each source that folders or a layout separate."""
    for number, (source, one) in enumerate(zip(profile.data.sources, found, strict=True)):
        own = files[files["origin"] == number]
        if isinstance(source, PublishedSource):
            yield _published(profile, source, root, own, one)
            continue
        order = own["split"].map(list(SPLITS).index)
        for _, part in own.groupby([order, "source"]):
            split, name = part[["split", "source"]].iloc[0]
            trained = _trained_by(profile, name) if split == "train" else []
            yield SourceCheck(
                name=f"{split}: {name}",
                place=root,
                needed_by=list(profile.runs) if split == "val" else trained,
                found=len(part),
                **_counts(part),
            )


def _published(
    profile: Profile, source: PublishedSource, root: Path, files: pd.DataFrame, own: SourceFiles
) -> SourceCheck:
    data_set = PUBLISHED[source.kind]
    counts = [(part, int(part.rows(files).sum())) for part in data_set.parts]
    found = sum(count for _, count in counts) if counts else len(files)
    notes = [
        f"{part.name} has {count:,} images, more than the {part.images:,} published"
        for part, count in counts
        if count > part.images
    ] + list(own.notes)
    if own.passed_over:
        notes.append(
            "images in its folder that do not lie as its layout says are passed over: "
            f"{len(own.passed_over):,}, the first of them {own.passed_over[0]}"
        )
    less = [
        f"{part.name} {count:,} of {part.images:,}" for part, count in counts if count < part.images
    ]
    all_runs = source.kind == VALIDATION
    return SourceCheck(
        name=data_set.name,
        data_set=data_set,
        place=data_set.place(source, root),
        needed_by=list(profile.runs) if all_runs else _trained_by(profile, source.kind),
        found=found,
        incomplete=less if found else (),
        notes=[*notes, data_set.known] if data_set.known and found else notes,
        **_counts(files),
    )


def _counts(files: pd.DataFrame) -> dict[str, Any]:
    """Return what is counted of the files of any source: bytes, corrupt and duplicates."""
    duplicates = int(files["content"].duplicated().sum()) if "content" in files else None
    corrupt = int(files["reason"].notna().sum())
    return {"bytes": int(files["bytes"].sum()), "corrupt": corrupt, "duplicates": duplicates}


def _trained_by(profile: Profile, source: str) -> list[str]:
    return [run for run, its in profile.runs.items() if source in its.train_sources]


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
        published = any(source.kind == VALIDATION for source in profile.data.sources)
        wild = "real or synthetic validation images are"
        yield f"{f'{_name(VALIDATION)} is' if published else wild} missing"


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
