"""The two tables of a study: images, a row each, and what was predicted of them, logits alone."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from layerfusion.data.card import IMAGE_DTYPES, IMAGES
from layerfusion.data.labels import DESCRIBED
from layerfusion.data.manifest import Manifest
from layerfusion.data.sources.folder import described
from layerfusion.data.tables import read_csv, read_parquet
from layerfusion.errors import UserError
from layerfusion.files import in_place_of

PREDICTIONS = "predictions.parquet"
LABELS = "labels.csv"  # of test images, let in after the study was sealed

# Of one variant, seed and condition all images lie together, in the manifest's order, which
# resampling goes by. A detector's logits are float32, so that nothing is rounded here.
DTYPES = {
    "variant": "str", "seed": "int64", "condition": "str", "image_id": "str", "logit": "float32",
}  # fmt: skip


def describe_images(manifest: Manifest) -> pd.DataFrame:
    """Return what is known of images for reports alone; no training sees it.

    A `manifest.csv` or `metadata.csv` in the data root may say an image's ``source``, ``style``,
    ``generator`` and ``platform``, each where its ``path`` is. Of what the manifest itself knows,
    the source stands in where the file says nothing; generator and platform go before.

    Returns
    -------
    DataFrame
        Indexed by path: the columns of `DESCRIBED`, text, missing where unknown.

    Raises
    ------
    UserError
        If such a file is no CSV.
    """
    known = manifest.rows.set_index("path")[["source", "generator", "platform"]]
    said = described(manifest.root, known.index, DESCRIBED)
    said["source"] = said["source"].fillna(known["source"])
    for column in ("generator", "platform"):
        said[column] = known[column].fillna(said[column])
    return said.astype("str")


def image_table(manifest: Manifest) -> pd.DataFrame:
    """Return a row an image with the columns of `IMAGE_DTYPES`; ``label`` is the true class."""
    rows = manifest.rows.drop(columns=list(DESCRIBED), errors="ignore").set_index("path")
    return (
        rows.join(describe_images(manifest)).reset_index()[list(IMAGE_DTYPES)].astype(IMAGE_DTYPES)
    )


def predictions_table(cells: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the predictions of a study as one table with the columns of `DTYPES`.

    Parameters
    ----------
    cells
        Tables with these columns, rows of each condition in the manifest's order.

    Raises
    ------
    ValueError
        If a logit has more digits than float32.
    """
    together = pd.concat(cells, ignore_index=True)[list(DTYPES)]
    table = together.astype(DTYPES)
    if not table["logit"].astype("float64").equals(together["logit"].astype("float64")):
        raise ValueError("these logits are not float32; a table of them would round them")
    return table


def write_csv(table: pd.DataFrame, path: Path) -> Path:
    """Write a table as CSV; `path` is complete or what it was before. Return it."""
    with in_place_of(path, shared=True) as partial:
        table.to_csv(partial, index=False, lineterminator="\n")
    return path


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """Write a table as Parquet; `path` is complete or what it was before. Return it."""
    with in_place_of(path, shared=True) as partial:
        table.to_parquet(partial, index=False, compression="zstd")
    return path


def read_predictions(folder: Path) -> pd.DataFrame:
    """Read the predictions of a study, as `predictions_table` returns them, from its folder.

    Raises
    ------
    UserError
        If there is no such file, it is not Parquet, or it is not such a table.
    """
    return read_table(folder / PREDICTIONS, DTYPES, "predictions of a study")


def read_images(folder: Path) -> pd.DataFrame:
    """Read the images of a study from its folder, or from the one that all studies of a set share.

    Returns
    -------
    DataFrame
        As `image_table` returns it, missing text as NaN.

    Raises
    ------
    UserError
        As `read_predictions`.
    """
    shared = folder.parent.parent / IMAGES
    path = folder / IMAGES if (folder / IMAGES).is_file() else shared
    table = read_table(path, IMAGE_DTYPES, "images of a study").replace("", np.nan)
    if not (folder / LABELS).is_file():
        return table
    let_in = read_csv(folder / LABELS).set_index("path").astype({"label": "Int8"})
    known = let_in.reindex(table["path"]).set_axis(table.index)
    for name in known:
        table[name] = known[name].combine_first(table[name])
    return table


def joined(predictions: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return predictions with what is known of each image, rows in their order.

    Raises
    ------
    UserError
        If an image is not known.
    """
    known = images.set_index("path").drop(columns="sha256").rename_axis("image_id")
    lacking = ~predictions["image_id"].isin(known.index)
    if lacking.any():
        raise UserError(
            f"{IMAGES} lacks {predictions.loc[lacking, 'image_id'].iloc[0]}, which was scored; it "
            "is of another set of images"
        )
    return predictions.join(known, on="image_id")


def read_table(path: Path, dtypes: Mapping[str, str], what: str) -> pd.DataFrame:
    """Read a Parquet file that must have certain columns; others are left out.

    Parameters
    ----------
    dtypes
        By column, in the order in which they are returned.
    what
        The file's content, in the plural, for messages.

    Raises
    ------
    UserError
        If there is no such file, it is not Parquet, or a column is missing.
    """
    try:
        return read_parquet(path, dtypes)
    except FileNotFoundError:
        raise UserError(f"{what} not found: {path}") from None
