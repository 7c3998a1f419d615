"""Image files to pixels: one upright 8-bit RGB image per file, or an error that says why not."""

import math
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import simplejpeg
from PIL import ExifTags, Image, UnidentifiedImageError, features
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from layerfusion.errors import UserError
from layerfusion.images.jpeg import upper_rows
from layerfusion.images.parts import (
    MOST_PARTS,
    UnsupportedError,
    check_parts,
    check_scans,
    jpeg_segments,
)
from layerfusion.images.pixel_types import Pixels, decoded
from layerfusion.images.png_text import without_long_text

IMAGE_SUFFIXES: frozenset[str] = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"}
)

# Pillow is asked for these decoders only, whatever a file is called: among its others are some
# that start a program (EPS starts Ghostscript), which no file from the web should be able to do.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")

# How files of these formats begin; the length of a RIFF container stands between its names.
_SIGNATURES = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WEBP": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "BMP": re.compile(rb"BM.{4}\0\0\0\0", re.DOTALL),
    "TIFF": re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+"),
    "GIF": re.compile(rb"GIF8[79]a"),
    "AVIF": re.compile(rb".{4}ftypavi[fs]", re.DOTALL),
}
# Image formats that are known by their beginnings and not read.
_NOT_READ = {
    "HEIC": re.compile(rb".{4}ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL),
    "JPEG XL": re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    "JPEG 2000": re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    "Photoshop": re.compile(rb"8BPS"),
}
# What is no image and may hold some, and what to do with it.
_HOLDERS = {
    "an archive; extract it and give the folder": re.compile(
        rb"PK\x03\x04|PK\x05\x06|\x1f\x8b|Rar!\x1a|7z\xbc\xaf|\xfd7zXZ|BZh"
    ),
    "a PDF; save its pictures as files, with pdfimages -all for instance": re.compile(rb"%PDF"),
    "a video; save frames of it as PNG, with ffmpeg for instance": re.compile(
        rb".{4}ftyp|\x1a\x45\xdf\xa3|RIFF.{4}AVI |\x00\x00\x01\xba|FLV\x01|OggS", re.DOTALL
    ),
    "a web page; save the picture in it": re.compile(rb"\s*<(?:!doctype|html)", re.IGNORECASE),
}
_NOT_SUPPORTED = " is not supported; convert it, to PNG for instance"
_JPEGS = ("JPEG", "MPO")
# Markers of a JPEG's frame by how it is coded (ITU T.81, table B.1, and T.87).
_USUAL_JPEGS = {0xC0, 0xC1, 0xC2}
_RARE_JPEGS = {
    0xC3: "lossless",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xDE), "hierarchical"),
    **dict.fromkeys((0xC9, 0xCA), "arithmetic-coded"),
    0xCB: "lossless",
    **dict.fromkeys((0xCD, 0xCE, 0xCF), "hierarchical"),
    0xF7: "near-lossless",
}
_ANIMATED, _ANIMATED_OR_CLEAR = 0x02, 0x12  # flags of a WebP
_BEGINNING = 16  # bytes that tell

# The limit is checked here, and said of each file that is beyond it.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

LIMIT_VARIABLE = "LAYERFUSION_MAX_MEGAPIXELS"
_BYTES_PER_PIXEL = 8  # Pillow's four, once more while an image is turned or converted

# EXIF orientation to what turns stored pixels upright, without moving one; 1 is upright already.
_UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}


class ImageError(UserError):
    """A file that cannot be read as an image.

    Attributes
    ----------
    path
        The file.
    reason
        What is wrong with it, in a few words: ``truncated file``, ``file not found``.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        # Exceptions are pickled as their class and `args`: both have to be in there for the error
        # to come out of a worker process whole.
        super().__init__(path, reason)
        self.path = Path(path)
        self.reason = reason

    def __str__(self) -> str:
        """Return one sentence with the path and the reason."""
        return f"cannot read image '{self.path}': {self.reason}"


@dataclass(frozen=True)
class ImageInfo:
    """What the header of an image file says: its upright size in pixels and its format."""

    width: int
    height: int
    format: str


def read_image(path: str | Path) -> Image.Image:
    """Decode an image file as a web page would show it.

    Transparent pixels are laid over white, 16-bit grey is scaled to 8 bit, of an animation the
    first frame is taken and the EXIF orientation is applied. Colour profiles are not: the numbers
    that the file stores are what a detector should see. Several threads may read at once.

    Returns
    -------
    Image
        Mode RGB, 8 bit a channel, decoded in full; the file is closed and its metadata dropped, so
        nothing can turn the image a second time.

    Raises
    ------
    ImageError
        If the file cannot be opened, is no image of a format in `IMAGE_SUFFIXES`, is truncated or
        damaged, has a pixel type that has no faithful 8-bit form, or has more pixels than the limit
        (``$LAYERFUSION_MAX_MEGAPIXELS``, else `PIL.Image.MAX_IMAGE_PIXELS`).
    UserError
        If the limit is no number.
    """
    return Image.fromarray(read_pixels(path))


def read_pixels(path: str | Path) -> Pixels:
    """Decode an image file as `read_image` does, for whoever needs a part of it or an array.

    Returns
    -------
    Array
        Upright RGB pixels, uint8 (height, width, 3). Not contiguous where they were turned: of
        twelve million pixels, only those that are asked for are moved.

    Raises
    ------
    ImageError, UserError
        As `read_image`.
    """
    return read_picture(path).whole()


class Picture:
    """An upright RGB picture, decoded no further down than is asked for.

    Attributes
    ----------
    size
        Height and width, px.
    """

    def __init__(self, size: tuple[int, int], decode: Callable[[int], Pixels]) -> None:
        self.size = size
        self._decode = decode

    @classmethod
    def of(cls, pixels: Pixels) -> "Picture":
        """Return the picture of pixels that are there, uint8 (height, width, 3)."""
        return cls(pixels.shape[:2], lambda _: pixels)

    def whole(self) -> Pixels:
        """Return all pixels, uint8 (height, width, 3).

        Raises
        ------
        ImageError
            If the file turns out not to be readable.
        """
        return self._decode(self.size[0])

    def upper(self, rows: int) -> Pixels:
        """Return the first `rows` rows, or more of them: the same pixels as `whole`.

        Raises
        ------
        ImageError
            As `whole`.
        """
        return self._decode(rows)


def read_picture(path: str | Path) -> Picture:
    """Open an image file for whoever needs a part of it: `read_pixels`, of as many rows as needed.

    The rows of a JPEG that is upright are decoded when they are asked for, each time; of any other
    file all are decoded here.

    Raises
    ------
    ImageError, UserError
        As `read_image`; of a JPEG, for what its header tells.
    """
    with opened(path) as image:
        turn = _UPRIGHT.get(_orientation(image))
        data = _jpeg_data(image)
        if data is None or turn is not None:
            pixels = None if data is None else _decoded_jpeg(data, image.height)
            pixels = decoded(image) if pixels is None else pixels
            return Picture.of(pixels if turn is None else turn(pixels))
        size = image.height, image.width

    def decode(rows: int) -> Pixels:
        pixels = _decoded_jpeg(data, rows)
        if pixels is None:
            with opened(path) as image:
                return decoded(image)
        return pixels

    return Picture(size, decode)


def probe_image(path: str | Path) -> ImageInfo:
    """Read size and format from the header of an image file, without decoding its pixels.

    Returns
    -------
    ImageInfo
        Width and height as `read_image` would give them; the format as Pillow names it
        (``JPEG``, ``PNG``, ``WEBP``, ``BMP``, ``TIFF``, ``GIF``).

    Raises
    ------
    ImageError
        If the file cannot be opened, is no image or has too many pixels. Damage behind the header
        goes unnoticed.
    """
    with opened(path) as image:
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        # A phone's JPEG with a second picture behind the first goes by a name of its own, MPO.
        kind = "JPEG" if image.format in _JPEGS else str(image.format)
        return ImageInfo(width, height, kind)


def begins_as_image(path: Path) -> bool:
    """Say whether a file's first bytes are those of an image, of a format that is read or not.

    False for one that cannot be opened, or must not: see `is_special`.
    """
    if is_special(path):
        return False
    try:
        start = _beginning(path)
    except OSError:
        return False
    return any(sign.match(start) for sign in (*_SIGNATURES.values(), *_NOT_READ.values()))


def is_special(path: Path) -> bool:
    """Say whether there is a pipe, socket or device: to read it may take for ever."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # the second of a name that no system has
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def check_is_file(path: Path) -> None:
    """Raise the `ImageError` that says so if a path is of a pipe, socket or device."""
    if is_special(path):
        raise ImageError(path, "a pipe, socket or device, not a file")


@contextmanager
def opened(path: str | Path) -> Iterator[ImageFile]:
    """Open an image file, of a format that is read, within a block.

    Raises
    ------
    ImageError
        Whatever goes wrong until the block is left.
    """
    set_pixel_limit()
    check_is_file(Path(path))
    try:
        with (
            Path(path).open("rb") as file,
            Image.open(_for_pillow(file), formats=_FORMATS) as image,
        ):
            # Pillow only warns of up to twice its limit, and catching a warning is not thread safe.
            # A tile of a TIFF is decoded whole, however small the image is that is cut from it.
            tile = math.prod(getattr(image, "tag_v2", {}).get(tag, 0) for tag in (322, 323))
            limit, pixels = Image.MAX_IMAGE_PIXELS, max(image.width * image.height, tile)
            if limit is not None and pixels > limit:
                raise UnsupportedError(_too_many(pixels))
            yield image
    except Exception as error:
        # Decoders meet hostile bytes with nearly every built-in exception; none is the user's
        # business, and one bad file among thousands must not end a run.
        raise ImageError(path, _reason(Path(path), error)) from error


def _for_pillow(file: BinaryIO) -> BinaryIO:
    """Return a file for Pillow to open, or what of it Pillow takes; refuse one of endless parts."""
    check_parts(file)
    return without_long_text(file) or _with_clear_canvas(file) or file


def _with_clear_canvas(file: BinaryIO) -> BytesIO | None:
    """Return an animated WebP as one whose canvas may be clear: Pillow would show it black.

    None of any other file, which is left at its beginning.
    """
    start = bytearray(file.read(21))
    if start[:4] + start[8:16] != b"RIFFWEBPVP8X" or start[-1] & _ANIMATED_OR_CLEAR != _ANIMATED:
        file.seek(0)
        return None
    start[-1] |= _ANIMATED_OR_CLEAR
    return BytesIO(start + file.read())


def set_pixel_limit() -> None:
    """Have Pillow refuse images of more pixels than ``$LAYERFUSION_MAX_MEGAPIXELS``, if it is set.

    Raises
    ------
    UserError
        If it is not a number above 0.
    """
    chosen = os.environ.get(LIMIT_VARIABLE)
    if not chosen:
        return
    try:
        limit = float(chosen)
    except ValueError:
        limit = 0
    if not 0 < limit < math.inf:
        raise UserError(f"{LIMIT_VARIABLE}={chosen} is not a number of megapixels; set it to one")
    Image.MAX_IMAGE_PIXELS = round(limit * 1e6)


def _too_many(pixels: int | None) -> str:
    """Say that an image is too large, where the limit is, and what it costs to move it."""
    size = "" if pixels is None else f"{pixels / 1e6:.0f} megapixels, "
    limit = (Image.MAX_IMAGE_PIXELS or 0) / 1e6
    return (
        f"too many pixels ({size}more than {limit:.0f}); more are read where {LIMIT_VARIABLE} says "
        f"so, at about {_BYTES_PER_PIXEL} MB of memory a megapixel"
    )


def _orientation(image: ImageFile) -> int:
    """Return the EXIF orientation, 1..8, from what precedes the pixels; 1 where there is none."""
    if image.format == "TIFF":
        return 1  # Pillow turns a TIFF itself
    try:
        # The base class's method: that of PNG would decode the whole image to look behind it.
        orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1  # browsers, too, show an image whose EXIF block is damaged
    return orientation if orientation in _UPRIGHT else 1


def _jpeg_data(image: ImageFile) -> bytes | None:
    """Return an opened JPEG's bytes; None where it is none, and where its pixels are inks."""
    if image.format not in _JPEGS or image.fp is None:
        return None
    before = image.fp.tell()
    image.fp.seek(0)
    data = image.fp.read()
    image.fp.seek(before)
    check_scans(data, image.width * image.height)
    return data if image.mode in ("RGB", "L") else None


def _decoded_jpeg(data: bytes, rows: int) -> Pixels | None:
    """Return a JPEG's pixels, those that Pillow decodes; None where only Pillow does.

    They are the first `rows` rows, if these are to be had for less than all. simplejpeg takes less
    time. What it finds wrong is left to Pillow.
    """
    try:
        pixels = upper_rows(data, rows)
        whole: Pixels = simplejpeg.decode_jpeg(data, "RGB") if pixels is None else pixels
    except (ValueError, MemoryError):
        return None
    return whole


def _reason(path: Path, error: Exception) -> str:
    """Say in a few words why opening or decoding a file failed."""
    match error:
        case UnsupportedError():
            return str(error)
        case FileNotFoundError():
            return "file not found"
        case PermissionError():
            return "no permission to read it"
        case IsADirectoryError():
            return "it is a folder"
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            return _too_many(None)
        case MemoryError():
            return "not enough memory to decode it"
        case UnidentifiedImageError():
            return _unidentified(path)
        case OSError(strerror=str(trouble)):
            return trouble.lower()
    if (kind := _kind_of_jpeg(path)) is not None:
        return kind + _NOT_SUPPORTED
    detail = " ".join(str(error).split()) or type(error).__name__
    if detail.startswith("Unsupported"):
        return detail.removeprefix("Unsupported ") + _NOT_SUPPORTED
    return "truncated file" if "truncated" in detail.lower() else f"damaged file ({detail})"


def _unidentified(path: Path) -> str:
    start = _beginning(path)
    if not start:
        return "empty file"
    for name, signature in _NOT_READ.items():
        if signature.match(start):
            return f"{name} is not read; convert it, to PNG for instance"
    kind = next((name for name, begins in _SIGNATURES.items() if begins.match(start)), None)
    if kind == "TIFF" and _has_unknown_pixels(path):
        return "this pixel type of TIFF is not supported; convert it to 8 bits a channel"
    if kind == "AVIF" and not features.check("avif"):
        return "this Pillow reads no AVIF; install a newer one, or convert it to PNG"
    if kind == "JPEG" and (rare := _kind_of_jpeg(path)) is not None:
        return rare + _NOT_SUPPORTED
    if kind is not None:
        return "truncated or damaged file"
    for name, signature in _HOLDERS.items():
        if signature.match(start):
            return f"not an image but {name}"
    return "not an image (JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF)"


def _kind_of_jpeg(path: Path) -> str | None:
    """Name a kind of JPEG that few programs read; None of a usual one, and of what is none."""
    with suppress(OSError, ValueError), path.open("rb") as file:
        if not _SIGNATURES["JPEG"].match(file.read(_BEGINNING)):
            return None
        for marker, start in islice(jpeg_segments(file), MOST_PARTS):
            if marker in _RARE_JPEGS:
                return f"{_RARE_JPEGS[marker]} JPEG"
            if marker in _USUAL_JPEGS:
                file.seek(start + 4)
                frame = file.read(6)
                if len(frame) < 6:
                    return None
                bits, channels = frame[0], frame[5]
                if bits != 8:
                    return f"a JPEG of {bits} bits a channel"
                return None if channels in (1, 3, 4) else f"a JPEG of {channels} channels"
    return None


def _has_unknown_pixels(tiff: Path) -> bool:
    """Tell a TIFF of a pixel type that Pillow does not know from a damaged one."""
    try:
        TiffImageFile(tiff).close()
    except Exception as error:
        return isinstance(error, SyntaxError) and "pixel mode" in str(error)
    return False


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_BEGINNING)
