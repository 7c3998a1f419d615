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
    if names.empty:
        raise UserError(f"there are no test images for the labels in {labels}; leave it out")
    if files.loc[tested, "label"].notna().any():
        raise UserError(
            f"the test images have labels already, by their folders; leave out the labels in "
            f"{labels}"
        )
    _same_images(names, given, labels)
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


def _same_images(names: pd.Series, given: pd.Series, labels: Path) -> None:
    """Raise a UserError unless the test images' names are those of the labels, each once."""
    if given.index.has_duplicates:
        twice = given.index[given.index.duplicated()][0]
        raise UserError(f"the test labels in {labels} name {twice} more than once")
    if names.duplicated().any():
        twice = names[names.duplicated()].iloc[0]
        raise UserError(
            f"two test images are called {twice}: the labels in {labels}, which go by file name, "
            "cannot tell them apart"
        )
    unknown = given.index.difference(pd.Index(names))
    if len(unknown):
        raise UserError(
            f"the test labels in {labels} name images that are not there: {len(unknown)}, the "
            f"first of them {unknown[0]!r}; image_id is the file name with its extension"
        )
    unlabelled = pd.Index(names).difference(given.index)
    if len(unlabelled):
        raise UserError(
            f"the test labels in {labels} lack {len(unlabelled)} of the {len(names)} test images, "
            f"the first of them {unlabelled[0]!r}"
        )
