"""PNG files with more about them than Pillow takes: generators keep whole workflows in text."""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from itertools import accumulate, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import PngImagePlugin

from layerfusion.images.parts import MOST_PARTS, few

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_PROFILE = b"iCCP"  # a printer's may be as long; nobody here applies it
_DROPPED = (*_TEXT, _PROFILE)
MOST_TEXTS = 100  # that are looked at
_FRAME = 12  # bytes of a chunk beside its data: length, name and checksum


class _Chunk(NamedTuple):
    name: bytes
    start: int  # offset in the file, of the length
    length: int  # bytes of data


def without_long_text(file: BinaryIO) -> BytesIO | None:
    """Return a PNG file without text and colour profile, if these are longer than Pillow takes.

    Pillow refuses such files whole, to be safe from texts that expand; but only generated images
    carry workflows and prompts of that length, and to skip them would be to skip a class. Pixels
    and EXIF stay as they are.

    What counts is all of it together, and what is compressed as it is expanded.

    Parameters
    ----------
    file
        At its beginning, and left there.

    Returns
    -------
    BytesIO or None
        The file's other chunks; None where Pillow can be given the file itself, also because it is
        no PNG.

    Raises
    ------
    UnsupportedError
        If it has more than `MOST_PARTS` chunks.
    """
    try:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            return None
        chunks = list(few(_chunks(file)))
        texts = [chunk for chunk in chunks if chunk.name in _DROPPED]
        lengths = accumulate(_length(file, chunk) for chunk in texts)
        if any(length > PngImagePlugin.MAX_TEXT_CHUNK for length in lengths):  # no more is unpacked
            return BytesIO(b"".join(_kept(file, chunks)))
        return None
    finally:
        file.seek(0)


def text_chunks(
    path: str | Path, longest: int, keyword: str | None = None
) -> list[tuple[str, str]]:
    """Return the keywords and texts of a PNG file, in its order, texts cut at `longest` characters.

    Nothing of a file that is no PNG, cannot be opened or breaks off before its text. The first
    `MOST_TEXTS` of them, and of `MOST_PARTS` chunks; with a keyword, its first text only.
    """
    begins, most = (b"", MOST_TEXTS) if keyword is None else (keyword.encode("latin-1") + b"\0", 1)
    try:
        with Path(path).open("rb") as file:
            if file.read(len(_SIGNATURE)) != _SIGNATURE:
                return []
            texts = (
                chunk
                for chunk in islice(_chunks(file), MOST_PARTS)
                if chunk.name in _TEXT and _read(file, chunk.start + 8, len(begins)) == begins
            )
            return [_decoded(file, chunk, longest) for chunk in islice(texts, most)]
    except OSError:
        return []


def _decoded(file: BinaryIO, chunk: _Chunk, longest: int) -> tuple[str, str]:
    """Return a chunk's keyword and the beginning of its text; of damaged text, nothing."""
    keyword, text = _content(file, chunk, 4 * longest)
    encoding = "utf-8" if chunk.name == b"iTXt" else "latin-1"
    return keyword.decode("latin-1"), text.decode(encoding, "replace")[:longest]


def _chunks(file: BinaryIO) -> Iterator[_Chunk]:
    """Yield the chunks of a PNG up to its end, or to where it breaks off."""
    start = len(_SIGNATURE)
    while len(header := _read(file, start, 8)) == 8:
        length, name = struct.unpack(">I4s", header)
        yield _Chunk(name, start, length)
        start += length + _FRAME


def _kept(file: BinaryIO, chunks: list[_Chunk]) -> Iterator[bytes]:
    yield _SIGNATURE
    for chunk in chunks:
        if chunk.name not in _DROPPED:
            yield _read(file, chunk.start, chunk.length + _FRAME)


def _length(file: BinaryIO, chunk: _Chunk) -> int:
    """Return how long a text is, expanded; of a longer one than Pillow takes, that it is longer."""
    longest = PngImagePlugin.MAX_TEXT_CHUNK
    if chunk.length > longest:
        return chunk.length
    return max(chunk.length, len(_content(file, chunk, longest + 1)[1]))


def _content(file: BinaryIO, chunk: _Chunk, longest: int) -> tuple[bytes, bytes]:
    """Return a chunk's keyword and what it holds, expanded, cut at `longest` bytes.

    Of what is damaged, nothing: to judge it is Pillow's.
    """
    keyword, _, rest = _read(file, chunk.start + 8, chunk.length).partition(b"\0")
    packed = chunk.name in (b"zTXt", _PROFILE)
    if chunk.name == b"iTXt":
        packed = rest[:1] == b"\1"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif packed:
        rest = rest[1:]
    try:
        expanded = zlib.decompressobj().decompress(rest, longest) if packed else rest
    except zlib.error:
        expanded = b""
    return keyword, expanded[:longest]


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)
