"""CSV files of users: a table of text or one sentence."""

from pathlib import Path
from typing import Any

import pandas as pd

from layerfusion.errors import UserError


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
        table: pd.DataFrame = pd.read_csv(file, dtype="str", **options)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # pandas' and Unicode's errors are ValueErrors
        reason = " ".join(str(error).split())
        raise UserError(f"{what or file} cannot be read as CSV: {reason}") from None
    return table
