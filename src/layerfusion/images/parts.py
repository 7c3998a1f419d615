"""The parts that an image file is made of, up to its pixels, and how many of them it may have.

Each costs a decoder some time, however little is in it: a file of a few megabytes can be made of a
million of them.
"""

from collections.abc import Iterator
from os import SEEK_END
from typing import BinaryIO, Literal, NamedTuple, TypeVar

MOST_PARTS = 100_000  # of which a PNG of 800 MB is made; some two seconds' work
MOST_SCANNED = 2_000_000_000  # pixels times scans of a JPEG; some eight seconds' work
USUAL_SCANS = 20  # which any JPEG may have
MOST_EXIF = 100  # blocks of EXIF in a JPEG, which are joined, each time anew
LONGEST_RUNS = 10_000_000  # bytes of a BMP in runs, two each; some seven seconds' work
WIDEST_RUNS = 65_535  # px of it; a run may pass over 255 rows

MARKER, SCAN, APP1 = 0xFF, 0xDA, 0xE1
_NO_MARKER = 0x00
_PIECES = (273, 279, 324, 325)  # tags of a TIFF: offsets and lengths of strips and of tiles

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
    """Raise an `UnsupportedError` if an image has more parts than decoders handle in seconds.

    Of a JPEG and a GIF those before its pixels, of a TIFF the strips or tiles of its pixels, of a
    BMP their runs; those of a PNG `layerfusion.images.png_text` counts.

    Parameters
    ----------
    file
        At its beginning, and left there.
    """
    start = file.read(34)
    if start.startswith(b"GIF8"):
        for _ in few(gif_blocks(file)):
            pass
    elif start.startswith(b"\xff\xd8\xff"):
        exif = 0
        for marker, at in few(jpeg_segments(file)):
            file.seek(at + 4)
            exif += marker == APP1 and file.read(4) == b"Exif"
            if exif > MOST_EXIF:
                raise UnsupportedError(f"its EXIF is in more than {MOST_EXIF} parts")
    elif start.startswith(b"BM") and start[30:] in (b"\1\0\0\0", b"\2\0\0\0"):
        width = abs(int.from_bytes(start[18:22], "little", signed=True))
        if file.seek(0, SEEK_END) > LONGEST_RUNS or width > WIDEST_RUNS:
            raise UnsupportedError("its pixels are packed in too many runs")
    elif start.startswith((b"II", b"MM")) and (pieces := tiff_pieces(file)) > MOST_PARTS:
        raise UnsupportedError(f"its pixels are in {pieces:,} pieces")
    file.seek(0)


def tiff_pieces(file: BinaryIO) -> int:
    """Return of how many strips or tiles a TIFF says that its first image is made."""
    file.seek(0)
    start = file.read(16)
    order: Literal["little", "big"] = "little" if start[:1] == b"I" else "big"
    wide = 43 in start[2:4]  # a BigTIFF
    entry, head, number = (20, 8, 8) if wide else (12, 2, 4)
    file.seek(int.from_bytes(start[8:] if wide else start[4:8], order))
    entries = file.read(entry * min(int.from_bytes(file.read(head), order), MOST_PARTS))
    return max(
        (
            int.from_bytes(entries[at + 4 : at + 4 + number], order)
            for at in range(0, len(entries), entry)
            if int.from_bytes(entries[at : at + 2], order) in _PIECES
        ),
        default=0,
    )


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
