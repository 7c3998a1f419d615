"""Every prediction of a study in one table: all that its numbers are made of, and no image."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from layerfusion.data.manifest import Manifest
from layerfusion.data.parquet import read_parquet
from layerfusion.data.sources.folder import DESCRIPTIONS, read_description, said_of
from layerfusion.errors import UserError
from layerfusion.files import in_place_of
from layerfusion.settings import Blocks

PREDICTIONS = "predictions.parquet"

# What tells rows apart, what was predicted, and what is known of the image. A detector's logits are
# float32, so that nothing is rounded here.
DTYPES = {
    "run": "str",
    "seed": "int64",
    "blocks": "str",
    "condition": "str",
    "image_id": "str",
    "label": "Int8",
    "logit": "float32",
    "width": "Int32",
    "height": "Int32",
    "source": "str",
    "style": "str",
    "generator": "str",
    "platform": "str",
}
DESCRIBED = ("source", "style", "generator", "platform")


class Setup(NamedTuple):
    """What tells the runs of a study apart."""

    seed: int
    run: str
    blocks: Blocks

    def __str__(self) -> str:
        heads = {"all": "all blocks", "last": "last block alone", "mean": "mean of the blocks"}
        return f"{self.run}, seed {self.seed}, {heads[self.blocks]}"


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
    said = pd.DataFrame(index=known.index, columns=list(DESCRIBED), dtype="str")
    for name in DESCRIPTIONS:
        described = read_description(manifest.root / name, DESCRIBED)
        if described is not None:
            said = said.fillna(said_of(described, said.index).reindex(columns=said.columns))
    said["source"] = said["source"].fillna(known["source"])
    for column in ("generator", "platform"):
        said[column] = known[column].fillna(said[column])
    return said.astype("str")


def collect_predictions(
    scored: Mapping[Setup, Mapping[str, pd.DataFrame]], described: pd.DataFrame
) -> pd.DataFrame:
    """Return the predictions of all runs of a study as one table, with the columns of `DTYPES`.

    Parameters
    ----------
    scored
        By run, then by condition (names in `layerfusion.runs.conditions.CONDITIONS`): tables as
        `layerfusion.runs.conditions.obtain_predictions` returns them.
    described
        As `describe_images` returns it, of all images that were scored.

    Returns
    -------
    DataFrame
        A row a run, condition and image, in the order given; images in the manifest's order, which
        resampling goes by.
    """
    parts = []
    for setup, tables in scored.items():
        for condition, table in tables.items():
            about = described.loc[table["image_id"]].reset_index(drop=True)
            own = table[["image_id", "label", "logit", "width", "height"]]
            parts.append(
                pd.concat([own, about], axis=1).assign(**setup._asdict(), condition=condition)
            )
    together = pd.concat(parts, ignore_index=True)
    rounded = together["logit"].astype("float32").astype("float64")
    if not np.array_equal(rounded, together["logit"], equal_nan=True):
        raise ValueError("these logits are not float32; a table of them would round them")
    return together[list(DTYPES)].astype(DTYPES)


def write_predictions(predictions: pd.DataFrame, folder: Path) -> Path:
    """Write a table as `collect_predictions` returns it into a folder; return the file."""
    path = folder / PREDICTIONS
    with in_place_of(path) as partial:
        predictions.to_parquet(partial, index=False, compression="zstd")
    return path


def read_predictions(folder: Path) -> pd.DataFrame:
    """Read the predictions of a study from its folder, or from where it was published.

    Returns
    -------
    DataFrame
        As `collect_predictions` returns it.

    Raises
    ------
    UserError
        If there is no such file, it is not Parquet, or it is not such a table.
    """
    return read_table(folder / PREDICTIONS, DTYPES, "predictions of a study")


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
        raise UserError(f"there are no {what} at {path}") from None


def by_run(predictions: pd.DataFrame) -> dict[Setup, dict[str, pd.DataFrame]]:
    """Take a table as `collect_predictions` returns it apart again, by run and by condition.

    Raises
    ------
    UserError
        If two runs do not have the same images in the same order under a condition: what is
        subtracted image by image would be of different ones.
    """
    apart: dict[Setup, dict[str, pd.DataFrame]] = {}
    first: dict[str, pd.DataFrame] = {}
    keys = ["seed", "run", "blocks", "condition"]
    for names, rows in predictions.groupby(keys, sort=False):
        seed, run, blocks, condition = cast(tuple[int, str, Blocks, str], names)
        table = rows.drop(columns=keys).reset_index(drop=True)
        images = table[["image_id", "label"]]
        if not images.equals(first.setdefault(condition, images)):
            raise UserError(
                f"the {run} run of seed {seed} ({blocks}) has other images under '{condition}' "
                "than the runs before it; the table of predictions is damaged"
            )
        apart.setdefault(Setup(seed, run, blocks), {})[condition] = table
    return apart
