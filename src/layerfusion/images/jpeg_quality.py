"""The quality that a JPEG was written with, read off its tables."""

import io
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def jpeg_quality(path: Path) -> int | None:
    """Return the quality of libjpeg, 1 to 100, whose luminance table is nearest to a file's.

    Most programs scale the tables of the standard's annex K as libjpeg does; of one that has tables
    of its own, such as a camera, it is the quality that loses most nearly as much. It is that of
    the last writing: what was lost before, the tables do not say.

    Returns
    -------
    int or None
        None of a file that is no JPEG or cannot be read.
    """
    try:
        with Image.open(path) as image:
            tables = getattr(image, "quantization", None)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    if not tables or 0 not in tables:
        return None
    own = np.asarray(tables[0], dtype=np.float64)
    return int(np.abs(_luminance_tables() - own).sum(axis=1).argmin()) + 1


@cache
def _luminance_tables() -> NDArray[np.float64]:
    """Return the table of each quality as Pillow's libjpeg writes it, shape (100, 64)."""
    pixel, tables = Image.new("L", (1, 1)), []
    for quality in range(1, 101):
        file = io.BytesIO()
        pixel.save(file, "jpeg", quality=quality)
        with Image.open(file) as image:
            tables.append(image.quantization[0])  # type: ignore[attr-defined]
    return np.asarray(tables, dtype=np.float64)
