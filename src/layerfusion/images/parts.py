"""The parts that an image file is made of, up to its pixels, and how many of them it may have.

Each costs a decoder some time, however little is in it: a file of a few megabytes can be made of a
million of them.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, TypeVar

MOST_PARTS = 100_000  # of which a PNG of 800 MB is made; some two seconds' work
MOST_SCANNED = 2_000_000_000  # pixels times scans of a JPEG; some eight seconds' work
USUAL_SCANS = 20  # which any JPEG may have

MARKER, SCAN = 0xFF, 0xDA
_NO_MARKER = 0x00

_Part = TypeVar("_Part")


class UnsupportedError(Exception):
    """An image that may be whole, and is not read; the message is the reason."""


class Segment(NamedTuple):
    """A segment of a JPEG: its marker's second byte, and the offset of the first."""

    marker: int
    start: int


def few(parts: Iterator[_Part]) -> Iterator[_Part]:
    """Pass on the parts of a file; an `UnsupportedError` where they are more than any needs."""
    for number, part in enumerate(parts):
        if number == MOST_PARTS:
            raise UnsupportedError(f"it is made of more than {MOST_PARTS:,} parts")
        yield part


def check_parts(file: BinaryIO) -> None:
    """Raise an `UnsupportedError` if a PNG, or a JPEG or GIF before its pixels, has too many parts.

    Parameters
    ----------
    file
        At its beginning, and left there.
    """
    start = file.read(4)
    walked = {b"GIF8": gif_blocks, b"\xff\xd8\xff": jpeg_segments, b"\x89PNG": png_chunks}
    for beginning, parts in walked.items():
        if start.startswith(beginning):
            for _ in few(parts(file)):
                pass
    file.seek(0)


def check_scans(data: bytes, pixels: int) -> None:
    """Raise an `UnsupportedError` if a JPEG's pixels are gone over so often that it takes minutes.

    What looks like the beginning of a scan and is none counts as well: it is rare.
    """
    scans = data.count(bytes([MARKER, SCAN]))
    if scans > USUAL_SCANS and scans * pixels > MOST_SCANNED:
        raise UnsupportedError(f"its {pixels / 1e6:.0f} megapixels are coded in {scans:,} scans")


def jpeg_segments(file: BinaryIO) -> Iterator[Segment]:
    """Yield the segments of a JPEG, the first scan last; of what is none, every byte.

    What is between segments has the marker 0, as has a byte of padding.
    """
    start = 2  # behind the start of the image
    file.seek(start)
    while len(head := file.read(4)) == 4:
        marker = head[1] if head[0] == MARKER and head[1] != MARKER else _NO_MARKER
        yield Segment(marker, start)
        if marker == SCAN:
            return
        start += 2 + int.from_bytes(head[2:], "big") if marker != _NO_MARKER else 1
        file.seek(start)


def png_chunks(file: BinaryIO) -> Iterator[int]:
    """Yield the offsets of a PNG's chunks."""
    start = file.seek(8)
    while len(head := file.read(8)) == 8:
        yield start
        start = file.seek(start + 12 + int.from_bytes(head[:4], "big"))


def gif_blocks(file: BinaryIO) -> Iterator[int]:
    """Yield the offsets of a GIF's blocks, and of their pieces, before its first frame."""
    file.seek(10)
    flags = file.read(3)[:1]
    if flags and flags[0] & 0x80:
        file.seek(3 << (flags[0] & 7) + 1, 1)
    while (kind := file.read(1)) not in (b"", b",", b";"):
        yield file.tell()
        if kind != b"!":
            continue
        file.seek(1, 1)
        while length := file.read(1)[:1].strip(b"\0"):
            yield file.tell()
            file.seek(length[0], 1)
