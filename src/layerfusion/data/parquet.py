"""Tables in Parquet files: whatever is wrong with one, it is one sentence."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as arrow

from layerfusion.errors import UserError
from layerfusion.files import check_regular


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
