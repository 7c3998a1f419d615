"""A user's labelled images: found by the names of their folders, each picture once."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from layerfusion.data.manifest import Manifest, Progress, file_table
from layerfusion.data.scanning import scan
from layerfusion.data.sources.folder import LABELS, SPLIT_NAMES, list_images, numbered
from layerfusion.errors import UserError
from layerfusion.metrics.classes import CLASSES

FEWEST = 50
FEWEST_OF_A_CLASS = 10
NO_FOLDER = "(no sub-folder)"


@dataclass(frozen=True, eq=False)
class OwnImages:
    """What was found of a user's images.

    Attributes
    ----------
    manifest
        A row an image that counts: label 0 or 1, both of them; ``source`` is its folder.
    unreadable
        Files that cannot be used: ``class``, ``path``, ``reason``.
    copies
        How many files have the bytes of another of their class, and do not count.
    unlabelled
        How many lie in no folder that is named as a class.
    """

    manifest: Manifest
    unreadable: pd.DataFrame
    copies: int
    unlabelled: int

    @property
    def counts(self) -> dict[str, int]:
        """How many real and synthetic images count."""
        labels = self.manifest.rows["label"]
        return {name: int((labels == kind).sum()) for kind, name in CLASSES.items()}


def find_own_images(root: Path, progress: Progress | None = None) -> OwnImages:
    """Find the labelled images below a folder, and scan every file.

    One of an image's folders is named as its class, as in `layerfusion.data.sources.folder.LABELS`
    (in any case). Its source is the folder above that, if there is one below the root that does not
    name a split, or else the first one below it.

    Raises
    ------
    UserError
        If there is no such folder or image, a path names both classes, a file is in both classes,
        or there are fewer than `FEWEST` images or `FEWEST_OF_A_CLASS` of a class.
    """
    paths = list_images(root)
    if not paths:
        raise UserError(f"there are no images in {root}")
    placed = [(path, *_place(root, path)) for path in paths]
    files = file_table(
        (path, label, "val", source, None, None)
        for path, label, source in placed
        if label is not None
    )
    if files.empty:
        raise UserError(
            f"nothing says whether the images in {root} are real or synthetic; sort them into "
            f"folders named so{numbered(part for path in paths for part in path.split('/'))}"
        )
    scans = scan(root, files, hash_files=True, decode_files=True, progress=progress)
    scanned = Manifest.of_scans(root, scans)
    rows = _once(scanned.rows)
    skipped = scanned.skipped.merge(files[["path", "label"]], on="path")
    own = OwnImages(
        manifest=Manifest(root, rows, scanned.skipped),
        unreadable=skipped.assign(**{"class": skipped["label"].map(CLASSES)})[
            ["class", "path", "reason"]
        ],
        copies=len(scanned.rows) - len(rows),
        unlabelled=len(paths) - len(files),
    )
    _check_enough(own, root)
    return own


def _place(root: Path, path: str) -> tuple[int | None, str]:
    """Return the label and source of an image."""
    folders = PurePosixPath(path).parent.parts
    classes = [name for name in folders if name.lower() in LABELS]
    labels = {LABELS[name.lower()] for name in classes}
    if len(labels) > 1:
        raise UserError(
            f"{root / path} lies in folders of both classes, {' and '.join(classes)}; rename one "
            "of them"
        )
    if not classes:
        return None, NO_FOLDER
    at = folders.index(classes[0])
    above = [name for name in folders[:at] if name.lower() not in SPLIT_NAMES]
    below = [name for name in folders[at:] if name.lower() not in LABELS]
    return labels.pop(), "/".join(above) or next(iter(below), NO_FOLDER)


def _once(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without those whose bytes came before."""
    labels = rows.groupby("sha256")["label"].transform("nunique")
    if (labels > 1).any():
        both = rows[labels > 1].sort_values(["sha256", "label"])["path"].iloc[:2]
        raise UserError(
            f"{' and '.join(both)} are the same file in both classes; one of the labels is wrong"
        )
    return rows[~rows.duplicated("sha256")].reset_index(drop=True)


def _check_enough(own: OwnImages, root: Path) -> None:
    real, synthetic = own.counts.values()
    there = f"{root} has {real} real and {synthetic} synthetic images that can be used"
    unread = Counter(own.unreadable["class"])
    if unread:
        there += f" ({unread['real']} and {unread['synthetic']} cannot be read)"
    if real + synthetic < FEWEST or min(real, synthetic) < FEWEST_OF_A_CLASS:
        raise UserError(
            f"{there}; {FEWEST} are needed at least, {FEWEST_OF_A_CLASS} of each class among them"
        )
