"""The images that a detector has seen, by the beginning of their hash: a list beside it.

Metrics on images that a detector was trained on, or that chose it, are optimistically biased.
"""

from pathlib import Path

import pandas as pd

from layerfusion.data.manifest import Manifest
from layerfusion.data.selection import SELECTION
from layerfusion.data.tables import read_csv
from layerfusion.errors import UserError
from layerfusion.runs.record import MANIFEST

SEEN = "seen_images.csv"  # in a detector's folder
DIGITS = 16  # of the hash: among any number of images two that agree in them are the same
TRAINED_ON, CHOSEN_ON = "training", "choice"  # of weights; of an epoch or a threshold
COLUMNS = ["sha256", "use"]


def seen_images(training: pd.DataFrame, choice: pd.DataFrame) -> pd.DataFrame | None:
    """Return the list of images that a detector was trained on, and of those that chose it.

    Parameters
    ----------
    training, choice
        Rows of manifests, with their ``sha256``.

    Returns
    -------
    DataFrame or None
        ``sha256``, its first `DIGITS` hex digits; ``use``, `TRAINED_ON` or `CHOSEN_ON`. None if the
        hash of an image is not known.
    """
    parts = [used_images(training, TRAINED_ON), used_images(choice, CHOSEN_ON)]
    table = pd.concat(parts, ignore_index=True)
    return None if table["sha256"].isna().any() else table


def write_seen(seen: pd.DataFrame, detector: Path) -> None:
    """Write the list beside a detector, each image once of each use, by their hashes."""
    table = seen[COLUMNS].drop_duplicates().sort_values(COLUMNS[::-1], ignore_index=True)
    table.to_csv(detector / SEEN, index=False, lineterminator="\n")


def read_seen(detector: Path) -> pd.DataFrame | None:
    """Read the list beside a detector, or make that of the run whose folder it lies in.

    Returns
    -------
    DataFrame or None
        As `seen_images` returns it; None where nothing is known.

    Raises
    ------
    UserError
        If a list is there and is none.
    """
    path = detector / SEEN
    if not path.is_file():
        return _of_run(detector.absolute().parent)
    table = read_csv(path)
    if list(table.columns) != COLUMNS or not table["use"].isin([TRAINED_ON, CHOSEN_ON]).all():
        raise UserError(
            f"{path} must hold the columns {' and '.join(COLUMNS)}, and as use {TRAINED_ON} or "
            f"{CHOSEN_ON}"
        )
    return table


def count_seen(seen: pd.DataFrame | None, rows: pd.DataFrame) -> dict[str, int | None]:
    """Return how many images are in a list, by use.

    Parameters
    ----------
    rows
        Of a manifest, with their ``sha256``.

    Returns
    -------
    dict
        For `TRAINED_ON` and `CHOSEN_ON` how many of the images were used so, those of both under
        the first alone; None where no image of the list was, so that it does not know.
    """
    own = rows["sha256"].str[:DIGITS]
    counts: dict[str, int | None] = {}
    counted = pd.Series(False, index=rows.index)
    for use in (TRAINED_ON, CHOSEN_ON):
        listed = [] if seen is None else list(seen.loc[seen["use"] == use, "sha256"])
        found = own.isin(listed) & ~counted
        counts[use] = int(found.sum()) if listed else None
        counted |= found
    return counts


def used_images(rows: pd.DataFrame, use: str) -> pd.DataFrame:
    """Return the list of images, rows of a manifest with their ``sha256``, of one use."""
    return pd.DataFrame({"sha256": rows["sha256"].str[:DIGITS].to_numpy(), "use": use})


def _of_run(folder: Path) -> pd.DataFrame | None:
    manifest, selection = folder / MANIFEST, folder / SELECTION
    if not (manifest.is_file() and selection.is_file()):
        return None
    rows = Manifest.load(manifest, folder).rows
    chosen = selection.read_text(encoding="utf-8").splitlines()
    trained = (rows["split"] == "train") & rows["path"].isin(chosen)
    return seen_images(rows[trained], rows[rows["split"] == "val"])
