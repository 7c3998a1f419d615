"""Labels of the test images, from a file of their own: the organisers publish them apart, if ever.

A file of labels changes no run: training knows nothing of test images.
"""

from pathlib import Path, PurePosixPath

import pandas as pd

from layerfusion.data.csv_tables import read_csv
from layerfusion.errors import UserError
from layerfusion.images.finding import composed

COLUMNS = ("image_id", "label")
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
    given = _read(labels)
    tested = files["split"] == "test"
    names = files.loc[tested, "path"].map(lambda path: composed(PurePosixPath(path).name))
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


def _read(labels: Path) -> pd.Series:
    """Return the labels (0 or 1) by image_id."""
    try:
        table = read_csv(labels, what=f"the test labels in {labels}", keep_default_na=False)
    except FileNotFoundError:
        raise UserError(f"file of test labels not found: {labels}") from None
    lacking = [column for column in COLUMNS if column not in table]
    if lacking:
        raise UserError(
            f"the test labels in {labels} lack the column '{lacking[0]}'; the first line must be "
            f"{','.join(COLUMNS)}"
        )
    meant = table["label"].str.strip().str.lower().map(_MEANINGS)
    if meant.isna().any():
        row = int(meant.isna().to_numpy().argmax())
        raise UserError(
            f"{labels}, line {row + 2}: '{table['label'].iloc[row]}' is not a label; use 0 or "
            "real, 1 or synthetic"
        )
    names = table["image_id"].str.strip().map(composed)
    return pd.Series(meant.to_numpy(dtype="int8"), index=names)
