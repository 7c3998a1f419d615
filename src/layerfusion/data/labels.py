"""Labels of the test images, from a file of their own: the organisers publish them apart, if ever.

A file of labels changes no run: training knows nothing of test images.
"""

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from layerfusion.data.tables import read_csv
from layerfusion.errors import UserError
from layerfusion.images.finding import composed

KEYS = ("image_id", "path", "file_name")
# What else may be known of an image, for reports alone.
DESCRIBED = ("source", "style", "generator", "platform")
_MEANINGS = {"0": 0, "1": 1, "real": 0, "synthetic": 1}


def label_test_images(files: pd.DataFrame, labels: Path) -> pd.DataFrame:
    """Return the table with the labels of its test images taken from a CSV, by file name.

    Parameters
    ----------
    files
        As `layerfusion.data.manifest.file_table` makes it.
    labels
        CSV with the columns image_id (a file name with its extension) and label: 0 or real, 1 or
        synthetic. It names every test image exactly once.

    Raises
    ------
    UserError
        If the file cannot be read or a label is none, an image is named twice, not at all or not
        there, or the images are labelled already.
    """
    given = read_labels(labels)["label"].rename(file_name)
    tested = files["split"] == "test"
    names = files.loc[tested, "path"].map(file_name)
    listed, there = given.index, pd.Index(names)
    if names.empty or files.loc[tested, "label"].notna().any():
        raise UserError(
            f"there are no test images without labels for those in {labels}; leave it out"
        )
    for wrong, what in (
        (listed[listed.duplicated()], "are named more than once"),
        (there[there.duplicated()], "have the file name of another"),
        (listed.difference(there), "are not there: image_id is the file name with its extension"),
        (there.difference(listed), "have no label"),
    ):
        if len(wrong):
            raise UserError(
                f"of the images of the test labels in {labels}, {len(wrong)} {what}; the first of "
                f"them is {wrong[0]!r}"
            )
    files = files.copy()
    files.loc[tested, "label"] = names.map(given).astype("Int8")
    return files


def file_name(path: str) -> str:
    """Return the last part of an image's path, accents composed."""
    return composed(PurePosixPath(path).name)


def read_labels(file: Path) -> pd.DataFrame:
    """Read a CSV of labels.

    Parameters
    ----------
    file
        Its columns: ``image_id`` (or ``path``, ``file_name``), a file's name, with folders or
        without; ``label``, 0 or real, 1 or synthetic; and any of `DESCRIBED`.

    Returns
    -------
    DataFrame
        Indexed by image as the file names it: ``label`` (0 or 1) and those of `DESCRIBED` that
        there are, text.

    Raises
    ------
    UserError
        If the file cannot be read, lacks a column, or a label is none.
    """
    try:
        table = read_csv(file, what=f"the test labels in {file}", keep_default_na=False)
    except FileNotFoundError:
        raise UserError(f"file of test labels not found: {file}") from None
    key = next((column for column in KEYS if column in table), KEYS[0])
    lacking = [column for column in (key, "label") if column not in table]
    if lacking:
        raise UserError(
            f"the test labels in {file} lack the column '{lacking[0]}'; the first line must be "
            f"{KEYS[0]},label"
        )
    meant = table["label"].str.strip().str.lower().map(_MEANINGS)
    if meant.isna().any():
        row = int(meant.isna().to_numpy().argmax())
        raise UserError(
            f"{file}, line {row + 2}: '{table['label'].iloc[row]}' is not a label; use 0 or "
            "real, 1 or synthetic"
        )
    described = table[[column for column in DESCRIBED if column in table]].replace("", np.nan)
    names = table[key].str.strip().map(composed)
    return described.assign(label=meant.astype("int8")).set_axis(names, axis=0)
