"""JPEG files: their upper rows alone, and the quality that they were written with."""

import io
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from layerfusion.images.parts import jpeg_segments

_BASELINE = (0xC0, 0xC1)  # frames whose rows are coded in their order
_OTHER_FRAMES = {*range(0xC2, 0xD0)} - {0xC4, 0xC8, 0xCC}  # these three are no frames
_END = b"\xff\xd9"
_BLOCK = 8  # px
_TAIL = 64  # bytes at the end of a file, among which the end of the image must be


class _Frame(NamedTuple):
    height_at: int  # offset of the height, two bytes, in the data
    height: int  # px
    step: int  # px; rows that are coded together


def upper_rows(data: bytes, rows: int) -> NDArray[np.uint8] | None:
    """Return the first `rows` rows of a JPEG, equal to those of the whole image.

    Damage below them is not noticed. One row of blocks more is decoded than is asked for, since
    colour at a block's edge is smoothed with the next one's.

    Returns
    -------
    Array or None
        RGB, uint8 (rows, width, 3); None where only the whole image will do, because nearly
        all of it is wanted, it is progressive or of another rare kind, or its end is missing.

    Raises
    ------
    ValueError
        If these rows cannot be decoded.
    """
    frame = _baseline_frame(data)
    if frame is None or _END not in data[-_TAIL:]:
        return None
    height = (rows // frame.step + 2) * frame.step
    if height >= frame.height:
        return None
    shorter = bytearray(data)
    shorter[frame.height_at : frame.height_at + 2] = height.to_bytes(2, "big")
    # Not strict: what follows would be found to be too much.
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(bytes(shorter), "RGB", strict=False)
    return pixels[:rows]


def _baseline_frame(data: bytes) -> _Frame | None:
    """Find the frame of a baseline JPEG; None of any other."""
    for marker, start in jpeg_segments(BytesIO(data)):
        if marker in _BASELINE and start + 18 <= len(data):
            components = data[start + 9]
            sampling = [each & 15 for each in data[start + 11 : start + 11 + 3 * components : 3]]
            if not 1 <= components <= 3 or not all(1 <= each <= 4 for each in sampling):
                return None
            height = int.from_bytes(data[start + 5 : start + 7], "big")
            return _Frame(start + 5, height, _BLOCK * max(sampling))
        if marker in _OTHER_FRAMES:
            return None
    return None


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
