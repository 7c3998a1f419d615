"""Tables in CSV and Parquet files: whatever is wrong with one, it is one sentence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as arrow

from layerfusion.errors import UserError
from layerfusion.files import check_regular

_LONGEST_HEAD = 100_000  # bytes; of a million columns pandas makes a million objects


def read_csv(file: Path, *, what: str | None = None, **options: Any) -> pd.DataFrame:
    """Read a CSV file as text.

    Parameters
    ----------
    what
        The file, as an error begins; None: its path.
    options
        Further ones of `pandas.read_csv`.

    Raises
    ------
    FileNotFoundError
        If there is none.
    UserError
        If it cannot be read.
    """
    try:
        check_regular(file)
        with file.open("rb") as beginning:
            if len(beginning.readline(_LONGEST_HEAD)) == _LONGEST_HEAD:
                raise ValueError("its first line is too long for names of columns")
        table: pd.DataFrame = pd.read_csv(file, dtype="str", **options)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # pandas' and Unicode's errors are ValueErrors
        reason = " ".join(str(error).split())
        raise UserError(f"{what or file} cannot be read as CSV: {reason}") from None
    return table


def csv_text(table: pd.DataFrame) -> str:
    r"""Return a table as CSV: rows end in ``\n`` on all systems, floats are in full.

    Before Python 3.13 a cell with a ``\r``, which a file's name may hold, is quoted only if it has
    a line feed too; without quotes it tears its row.
    """
    marked = table.replace("\r", "\n\0", regex=True)  # no name or text holds the second of them
    text: str = marked.to_csv(index=False, lineterminator="\n")
    return text.replace("\n\0", "\r")


def read_parquet(path: Path, dtypes: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read a Parquet file.

    Parameters
    ----------
    dtypes
        By column, in the order in which they are returned, those that it must have; others are left
        out. None for all that it has, as they are.

    Raises
    ------
    FileNotFoundError
        If there is none.
    UserError
        If it cannot be read, a column is missing, or holds other values.
    """
    try:
        check_regular(path)
        found = pd.read_parquet(path)
        for column in found.columns[found.dtypes == "str"]:  # not UTF-8, it would fail where used
            arrow.array(found[column]).validate(full=True)
    except FileNotFoundError:
        raise
    except Exception:  # of damaged bytes pandas and pyarrow raise what their parsers happen to meet
        raise UserError(f"{path} cannot be read as Parquet; download or make it again") from None
    if dtypes is None:
        return found
    if lacking := [column for column in dtypes if column not in found]:
        raise UserError(f"{path} lacks the column '{lacking[0]}'; download or make it again")
    try:
        return found[list(dtypes)].astype(dict(dtypes))
    except (ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} has unexpected values: {reason}") from None
