"""Image files to pixels: one upright 8-bit RGB image per file, or an error that says why not."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.Image import Transpose
from PIL.ImageFile import ImageFile

from layerfusion.errors import UserError

IMAGE_SUFFIXES: frozenset[str] = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
)

# Pillow is asked for these decoders only, whatever a file is called: among its others are some
# that start a program (EPS starts Ghostscript), which no file from the web should be able to do.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")

# How the formats above begin, to tell a damaged image from a file that never was one.
_SIGNATURES = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"II*\0", b"MM\0*", b"GIF8")

# EXIF orientation to what turns the stored pixels upright; 1 is upright already.
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
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


class _UnsupportedError(Exception):
    """Pixels that decode well and have no faithful 8-bit form; the message is the reason."""


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
        damaged, has a pixel type that has no faithful 8-bit form, or has more pixels than
        `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    with _opened(path) as image:
        turn = _UPRIGHT.get(_orientation(image))
        image.load()
        rgb = _to_rgb(image)
        if turn is not None:
            rgb = rgb.transpose(turn)
        rgb.info = {}
        return rgb


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
    with _opened(path) as image:
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        # A phone's JPEG with a second picture behind the first goes by a name of its own, MPO.
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        return ImageInfo(width, height, kind)


@contextmanager
def _opened(path: str | Path) -> Iterator[ImageFile]:
    """Open an image file; whatever goes wrong until it is closed is an `ImageError`."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            # Pillow only warns of up to twice its limit, and catching a warning is not thread safe.
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise Image.DecompressionBombError
            yield image
    except Exception as error:
        # Decoders meet hostile bytes with nearly every built-in exception; none is the user's
        # business, and one bad file among thousands must not end a run.
        raise ImageError(path, _reason(Path(path), error)) from error


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


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return a decoded image of any pixel type as RGB; not a copy where it is RGB already."""
    if image.mode == "F":
        raise _UnsupportedError("pixel type F is not supported")
    if image.mode.startswith("I"):
        return _grey16_to_rgb(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        page = Image.new("RGB", image.size, "white")
        page.paste(rgba, mask=rgba)
        return page
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey16_to_rgb(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bit by 1/257, rounded; Pillow's own conversion clips at 255."""
    wide = np.asarray(image).astype(np.int32)
    if wide.min() < 0 or wide.max() > 65535:
        raise _UnsupportedError("pixel values beyond 16 bits are not supported")
    grey = ((wide + 128) // 257).astype(np.uint8)
    if "transparency" in image.info:
        grey[wide == image.info["transparency"]] = 255
    return Image.fromarray(grey).convert("RGB")


def _reason(path: Path, error: Exception) -> str:
    """Say in a few words why opening or decoding a file failed."""
    match error:
        case _UnsupportedError():
            return str(error)
        case FileNotFoundError():
            return "file not found"
        case PermissionError():
            return "no permission to read it"
        case IsADirectoryError():
            return "it is a folder"
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            return "too many pixels (possible decompression bomb)"
        case MemoryError():
            return "not enough memory to decode it"
        case UnidentifiedImageError():
            return _unidentified(path)
        case OSError(strerror=str(trouble)):
            return trouble.lower()
    detail = " ".join(str(error).split()) or type(error).__name__
    return "truncated file" if "truncated" in detail.lower() else f"damaged file ({detail})"


def _unidentified(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        return "empty file"
    if start.startswith(_SIGNATURES):
        return "truncated or damaged file"
    return "not an image (JPEG, PNG, WebP, BMP, TIFF or GIF)"
