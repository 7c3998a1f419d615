"""A data card: what a described set of images is made of, in tables, and no image of it."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd

from layerfusion.data.manifest import SPLITS
from layerfusion.data.sources.folder import existing_folder, find_folder_images, read_description
from layerfusion.data.tables import csv_text
from layerfusion.errors import UserError, reason
from layerfusion.files import file_sha256, in_place_of
from layerfusion.paths import PACKAGE

DESCRIPTION = "manifest.csv"
SOURCES, IMAGES, CROISSANT = "sources.csv", "images.parquet", "croissant.json"

# What the whole of each value is, where it is not free text that may be missing.
MEANT = {
    "label": "[01]",
    "split": "|".join(SPLITS),
    "source": ".+",
    "generator": ".*",
    "platform": ".*",
    "style": ".*",
    "width": "[1-9][0-9]{0,8}",
    "height": "[1-9][0-9]{0,8}",
    "sha256": "[0-9a-f]{64}",
    "origin": ".*",
    "licence": ".+",
}
IMAGE_DTYPES = {
    "path": "str", "sha256": "str", "label": "Int8", "split": "str", "source": "str",
    "style": "str", "generator": "str", "platform": "str", "width": "Int32", "height": "Int32",
}  # fmt: skip
WHAT = ("real", "generated", "both")
BETWEEN = " | "  # of several values in one cell; their own text may have commas and semicolons

# An origin that is a place on its author's machine says nothing to others, and too much of it.
_LOCAL = re.compile(r"[/\\~]|[A-Za-z]:[/\\]|file:", flags=re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Card:
    """What a set is made of.

    Attributes
    ----------
    sources
        A row a source, sorted by name: source, what (of `WHAT`), generators, styles, platforms
        (text, several apart by `BETWEEN`, empty where none is known), the number of images in
        train, in val and in each further split that is described (int64), licence and origin.
    images
        A row a labelled image, sorted by path: the columns of `IMAGE_DTYPES`.
    unlabelled
        Test images that lie in the set without a description, and so without a label.
    """

    sources: pd.DataFrame
    images: pd.DataFrame
    unlabelled: int


def make_card(root: Path) -> Card:
    """Describe the images below a data root from its `manifest.csv`, whose word on them is checked.

    Parameters
    ----------
    root
        A tree as `layerfusion.data.sources.folder` reads it, with a `manifest.csv` of the columns
        path (relative to the root), label (0 real, 1 generated) and the others of `MEANT`.

    Raises
    ------
    UserError
        If there is no such file, it lacks columns or has other values, or the images are not as it
        says: not there, in a folder of another class or split, or with other contents.
    """
    file, rows = root / DESCRIPTION, _read(existing_folder(root))
    files = find_folder_images(root).set_index("path")
    lie = files.reindex(rows.index)
    _refuse(rows, lie["split"].isna(), file, f"is described, but no such image is in {root}")
    other = (lie["label"].astype("str") != rows["label"]) & lie["label"].notna()
    other |= lie["split"] != rows["split"]
    _refuse(rows, other, file, "lies in a folder of another label or split")
    found = pd.Series([_sha256(root / path) for path in rows.index], rows.index, dtype="str")
    _refuse(rows, found != rows["sha256"], file, "is not the image with this sha256")
    images = rows.rename_axis("path").reset_index().sort_values("path", ignore_index=True)
    untold = files[(files["split"] == "test") & ~files.index.isin(rows.index)]
    table = images[list(IMAGE_DTYPES)].astype(IMAGE_DTYPES)
    return Card(_sources(images), table, len(untold))


def write_card(
    card: Card, folder: Path, *, name: str, published: date, creator: str | None = None
) -> None:
    """Write the two tables and what describes them for machines; each file whole or not at all.

    Parameters
    ----------
    name, published, creator
        Of the set: what it is called, when this card was made public, and by whom.

    Raises
    ------
    UserError
        If a file cannot be written.
    """
    try:
        contents = {
            SOURCES: csv_text(card.sources).encode(),
            IMAGES: card.images.to_parquet(None, index=False, compression="zstd"),
        }
        contents[CROISSANT] = _croissant(card, contents, name, published, creator)
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in contents.items():  # the last holds the hashes of the others
            with in_place_of(folder / file, shared=True) as partial:
                partial.write_bytes(content)
    except OSError as error:
        raise UserError(f"the card cannot be written into {folder}: {reason(error)}") from None


def _read(root: Path) -> pd.DataFrame:
    """Return the description by path, text with nothing missing, or raise what is wrong with it."""
    file = root / DESCRIPTION
    rows = read_description(file, list(MEANT))
    if rows is None:
        raise UserError(
            f"there is no {file} with a path an image; a data card is made from one that also says "
            f"{', '.join(MEANT)}"
        )
    lacking = [column for column in MEANT if column not in rows]
    if lacking:
        raise UserError(f"{file} lacks {', '.join(lacking)}; a data card needs these columns")
    rows = rows.fillna("")
    for column, meant in MEANT.items():
        _refuse(rows, ~rows[column].str.fullmatch(meant), file, f"is not described by a {column}")
    return rows


def _refuse(rows: pd.DataFrame, wrong: pd.Series, file: Path, what: str) -> None:
    """Raise a UserError if an image is not as the description has it; it names the first."""
    if wrong.any():
        raise UserError(f"{file}: {rows.index[wrong][0]} {what}; correct one of them")


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {reason(error)}") from None


def _sources(images: pd.DataFrame) -> pd.DataFrame:
    """Return a row a source, as `Card` says, of images with the columns of `MEANT` as text."""
    used = set(images["split"])
    splits = [split for split in SPLITS if split in ("train", "val") or split in used]
    public = images["origin"].mask(images["origin"].str.match(_LOCAL), "")
    grouped = images.assign(origin=public).groupby("source")
    labels = grouped["label"].agg(lambda own: own.iloc[0] if own.nunique() == 1 else "both")
    what = labels.replace({"0": "real", "1": "generated"}).rename("what")
    counts = grouped["split"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=splits, fill_value=0)
    listed = grouped[["generator", "style", "platform", "licence", "origin"]].agg(_listed)
    plural = {name: f"{name}s" for name in ("generator", "style", "platform")}
    table = pd.concat([what, listed.rename(columns=plural), counts], axis=1).reset_index()
    return table[["source", "what", *plural.values(), *splits, "licence", "origin"]]


def _listed(values: pd.Series) -> str:
    """Return the different values that are known, sorted, in one text."""
    return BETWEEN.join(sorted(set(values) - {""}))


def _croissant(
    card: Card, contents: Mapping[str, bytes], name: str, published: date, creator: str | None
) -> bytes:
    """Return the description of a card's tables in Croissant 1.1, JSON-LD that machines read.

    The template in this package has all that every card says, and a field for every split.

    Parameters
    ----------
    contents
        The files of the two tables.
    """
    said = json.loads((PACKAGE / "data" / CROISSANT).read_text(encoding="utf-8"))
    said |= {"name": name, "description": _about(card), "datePublished": published.isoformat()}
    said["creator"]["name"] = creator
    if not creator:
        del said["creator"]
    for file in said["distribution"]:
        content = contents[file["name"]]
        file["contentSize"] = f"{len(content)} B"
        file["sha256"] = hashlib.sha256(content).hexdigest()
    sources = said["recordSet"][0]
    sources["field"] = [field for field in sources["field"] if field["name"] in card.sources]
    return (json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode()


def _about(card: Card) -> str:
    """Return what a person should know of the set first."""
    real, generated = ((card.images["label"] == label).sum() for label in (0, 1))
    about = (
        f"{len(card.images):,} labelled images, {real:,} real and {generated:,} generated, from "
        f"{len(card.sources)} public sources with licences of their own. The images are not "
        f"redistributed: {SOURCES} says where each source lies and under which licence, {IMAGES} "
        "has the sha256 of each image."
    )
    if card.unlabelled:
        about += f" {card.unlabelled:,} test images of the set are unlabelled and not listed."
    return about
