"""What a CSV in the data root says of images, beside what their folders say."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from layerfusion.data.csv_tables import read_csv
from layerfusion.data.sources.layout import PLATFORMS
from layerfusion.images.finding import composed
from layerfusion.progress import warn_once

DESCRIPTIONS = ("manifest.csv", "metadata.csv")


def described(root: Path, paths: pd.Index, columns: Sequence[str]) -> pd.DataFrame:
    """Return what the `DESCRIPTIONS` in a root say of images, the first that says something.

    Paths that differ in how accents are stored alone are the same (`composed`).

    Returns
    -------
    DataFrame
        Indexed by `paths`: the columns asked for, text, missing where nothing is said.

    Raises
    ------
    UserError
        If a file is no CSV.
    """
    table = pd.DataFrame(index=paths, columns=list(columns), dtype="str")
    for name in DESCRIPTIONS:
        rows = read_description(root / name, columns)
        if rows is not None:
            names = rows.index.map(composed)
            known = rows.set_axis(names)[~names.duplicated()]
            found = known.reindex(paths.map(composed), columns=table.columns)
            if len(paths) and known.columns.size and not names.isin(paths.map(composed)).any():
                warn_once(f"{root / name} is not used: it names no image that is in {root}")
            table = table.fillna(found.set_axis(paths))
    return table


def read_description(file: Path, columns: Sequence[str]) -> pd.DataFrame | None:
    """Return what a CSV in the root says of images: those of `columns` that it has, as text.

    Returns
    -------
    DataFrame or None
        Indexed by path below the root, the first row of each; None if there is no such file, or
        it names no images.

    Raises
    ------
    UserError
        If the file is no CSV.
    """
    if not file.is_file():
        return None
    rows = read_csv(file)
    key = next((column for column in ("path", "file_name") if column in rows), None)
    if key is None:
        warn_once(f"{file} is not used: it has no column path or file_name, separated by commas")
        return None
    paths = rows[key].str.replace("\\", "/").str.removeprefix("./")
    rows = rows[[column for column in columns if column in rows]]
    rows = rows.set_axis(paths, axis=0)[~paths.duplicated().to_numpy() & paths.notna().to_numpy()]
    if "platform" in rows:
        known = rows["platform"].str.lower().map(PLATFORMS)
        rows = rows.assign(platform=known.fillna(rows["platform"]))
    return rows
