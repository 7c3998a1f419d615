"""Whether the data sets of a profile are there and whole, and which of its runs can run."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from layerfusion.data.labels import label_test_images
from layerfusion.data.manifest import SPLITS, Progress
from layerfusion.data.opening import find_files, images_root
from layerfusion.data.scanning import in_threads, scan
from layerfusion.data.selection import select_training
from layerfusion.data.sources.folder import SourceFiles
from layerfusion.data.sources.published import PUBLISHED
from layerfusion.errors import UserError
from layerfusion.files import file_sha256
from layerfusion.progress import Reporter
from layerfusion.settings import Profile, PublishedSource, WorldSource

VALIDATION = "itw_sm"  # the published set that every run is validated on
LISTED = 20  # unreadable files that are listed
END = 4096  # bytes of either end that are compared


@dataclass(frozen=True, kw_only=True)
class SourceCheck:
    """What was found of one data set; numbers of files, unless it says otherwise.

    Attributes
    ----------
    found, expected
        Images of the parts that its publisher counts, and how many there should be; where nobody
        counts, all images and None.
    bytes
        Of all its files.
    corrupt
        Files that cannot be read, empty ones among them.
    duplicates
        Files that equal another of the same set.
    licence
        What its publisher says of it; None for a folder of the user's own.
    needed_by
        The profile's runs that a published set matters to.
    advice
        Where a published set is offered, if none of it is there.
    incomplete
        How much there is of each part that is not there as a whole.
    """

    name: str
    found: int
    bytes: int
    corrupt: int
    duplicates: int
    expected: int | None = None
    licence: str | None = None
    needed_by: Sequence[str] = ()
    advice: str | None = None
    incomplete: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """All that `check_data` found.

    Attributes
    ----------
    findings
        Headings and sentences: what is missing, incomplete, unreadable or to be noted.
    unreadable
        Columns source, path (below the root) and reason, a row a file.
    obstacles
        By run, what keeps it from running: sentences, none where it can run.
    """

    sources: list[SourceCheck]
    findings: list[tuple[str, str]]
    unreadable: pd.DataFrame
    obstacles: dict[str, list[str]]


def check_data(profile: Profile, root: Path | None, *, decode: bool = False) -> DataCheck:
    """Find the images of all of a profile's sources and scan every file.

    Parameters
    ----------
    root
        The data root.
    decode
        Whether every file is decoded, which alone finds damage in the middle, where a decoder
        notices it. Otherwise the header and the last bytes are read, and a file that does not end
        as its format does is decoded.

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
    root = images_root(profile.data, root, Path())
    found = [find_files(source, root) for source in profile.data.sources]
    files = pd.concat(
        [one.files.assign(origin=number) for number, one in enumerate(found)], ignore_index=True
    )
    notes, labels = [], profile.data.test_labels
    if labels is not None:
        labelled = label_test_images(files, root / labels)
        count = int((labelled["split"] == "test").sum())
        notes.append(f"{labels} labels all {count:,} test images")
    files = _scanned(root, files, decode)
    readable = files[files["reason"].isna()]
    unreadable = files.loc[files["reason"].notna(), ["source", "path", "reason"]]
    sources: list[SourceCheck] = []
    for number, (source, one) in enumerate(zip(profile.data.sources, found, strict=True)):
        own = files[files["origin"] == number]
        if isinstance(source, PublishedSource):
            sources.append(_published(profile, source, root, one, own))
        else:
            sources += _separate_sources(own)
    notes += _across_splits(readable)
    return DataCheck(
        sources=sources,
        findings=list(_findings(sources, unreadable, notes)),
        unreadable=unreadable.reset_index(drop=True),
        obstacles={run: list(_obstacles(profile, run, readable)) for run in profile.runs},
    )


def _scanned(root: Path, files: pd.DataFrame, decode: bool) -> pd.DataFrame:
    """Return files with their ``bytes``, the ``reason`` why one cannot be read, and ``content``.

    Equal files share the last, and others do not.
    """
    reporter = Reporter()
    with reporter.bar("scanning files", len(files)) as bar:
        files = scan(root, files, hash_files=False, decode_files=decode, progress=bar)
    with reporter.bar("comparing files", 0) as bar:
        return files.assign(content=_contents(root, files[files["reason"].isna()], bar))


def _contents(root: Path, files: pd.DataFrame, progress: Progress) -> pd.Series:
    """Return a key of each file's content; only what is alike so far is read further."""
    content = files["bytes"].astype("str")
    for read in (_ends, file_sha256):
        alike = files["path"][content.duplicated(keep=False)]
        keys = in_threads(read, [root / path for path in alike], progress)
        content.update(pd.Series(list(keys), index=alike.index, dtype="str"))
    return content


def _ends(path: Path) -> str:
    """Return a hash of a file's first and last bytes."""
    with path.open("rb") as file:
        first = file.read(END)
        file.seek(max(0, file.seek(0, 2) - END))
        return hashlib.blake2b(first + file.read(END)).hexdigest()


def _counted(name: str, files: pd.DataFrame, **said: Any) -> SourceCheck:
    """Return the check of a data set: what is counted of any files, and what is said of these."""
    counts = {
        "found": len(files),
        "bytes": int(files["bytes"].sum()),
        "corrupt": int(files["reason"].notna().sum()),
        "duplicates": int(files["content"].dropna().duplicated().sum()),
    }
    return SourceCheck(name=name, **(counts | said))


def _separate_sources(files: pd.DataFrame) -> Iterator[SourceCheck]:
    """Yield a check of each source that folders or a layout separate."""
    order = files["split"].map(list(SPLITS).index)
    for _, part in files.groupby([order, "source"]):
        split, name = part[["split", "source"]].iloc[0]
        yield _counted(f"{split}: {name}", part)


def _published(
    profile: Profile, source: PublishedSource, root: Path, own: SourceFiles, files: pd.DataFrame
) -> SourceCheck:
    data_set = PUBLISHED[source.kind]
    counts = [(part, int(part.rows(files).sum())) for part in data_set.parts]
    found = sum(count for _, count in counts) if counts else len(files)
    trained = [run for run, its in profile.runs.items() if source.kind in its.train_sources]
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
    return _counted(
        data_set.name,
        files,
        found=found,
        expected=data_set.expected,
        licence=data_set.licence.text,
        needed_by=list(profile.runs) if source.kind == VALIDATION else trained,
        advice=None if found else data_set.advice(source, root),
        incomplete=less if found else (),
        notes=[*notes, data_set.known] if data_set.known and found else notes,
    )


def _findings(
    sources: list[SourceCheck], unreadable: pd.DataFrame, notes: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield headings and sentences, the gravest first."""
    for one in sources:
        if one.advice:
            runs = " and ".join(one.needed_by)
            needed = f"needed by: {runs}" if runs else "no run is trained or validated on it"
            yield f"{one.name} is missing ({needed})", one.advice
    for one in sources:
        if one.incomplete:
            yield "Incomplete, perhaps half extracted:", f"{one.name}: {'; '.join(one.incomplete)}"
    more = f", the first {LISTED}; --out FILE writes all" if len(unreadable) > LISTED else ""
    for path, reason in unreadable[["path", "reason"]].head(LISTED).values:
        heading = f"{len(unreadable):,} files cannot be read and are left out{more}:"
        yield heading, f"{path}: {reason}"
    for note in [f"{one.name}: {note}" for one in sources for note in one.notes] + notes:
        yield "Notes:", note


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
    equal = files[files["content"].duplicated(keep=False)]
    shared = equal.groupby("content")["split"].transform("nunique") > 1
    if shared.any():
        first = equal[equal["content"] == equal.loc[shared, "content"].iloc[0]]["path"]
        yield (
            f"{int(shared.sum()):,} files have an equal in another split, such as "
            f"{first.iloc[0]} and {first.iloc[-1]}"
        )
