"""Pixels of any type as 8-bit RGB over white, also where Pillow hands over other ones.

What a file means, its format's specification says; where that leaves a choice, what browsers show.
`tests/images/odd_forms.py` makes such files byte by byte, and Chromium is asked as well.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImagePalette
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COLORMAP,
    PHOTOMETRIC_INTERPRETATION,
    SAMPLEFORMAT,
    YCBCRSUBSAMPLING,
    TiffImageFile,
)

from layerfusion.images.parts import UnsupportedError

_STDERR = 2
_ONE_AT_A_TIME = threading.Lock()  # the descriptor belongs to the whole process


@contextmanager
def without_libtiffs_words() -> Iterator[None]:
    """Have nothing written to the standard error's descriptor while a block runs.

    The C library writes a line for every bad code word, a thousand for one file, past Python and
    past its warnings. Pillow passes on what matters as an exception.
    """
    with _ONE_AT_A_TIME:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # closed: nobody would read it
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, _STDERR)
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(nowhere)
            os.close(kept)


Pixels = NDArray[np.uint8]  # (height, width, 3), RGB

_WHITE_IS_ZERO = 0  # a photometric interpretation of TIFF
_SIGNED = 2  # a sample format of TIFF
_PNG_WIDE_RGB = "RGB;16B"  # as Pillow names three samples of 16 bits, the high byte first
_PNG_LOW_BYTES = "RGB;16L"  # of the same bytes it takes the others
_BMP_ALPHA = 0xFF000000  # the mask of the fourth byte
_BMP_RAW = {1: "P;1", 4: "P;4", 8: "P"}  # by bits a pixel


def decoded(image: ImageFile) -> Pixels:
    """Return all pixels of an image that was opened and not loaded, as they are stored.

    Raises
    ------
    UnsupportedError
        If there is no faithful 8-bit form of them.
    Exception
        Nearly any, of a damaged file.
    """
    if image.format == "GIF":
        return _gif(image)
    if image.format == "BMP":
        _by_its_header(image)
    if isinstance(image, TiffImageFile):
        return _tiff(image)
    if image.format == "PNG":
        return _png(image)
    image.load()
    return _rgb(image)


def _rgb(image: Image.Image) -> Pixels:
    """Return a decoded image of any pixel type as RGB; not a copy where it is RGB already."""
    if image.mode == "F":
        raise UnsupportedError("pixel type F is not supported")
    if image.mode.startswith("I"):
        return _grey16(image)
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        page = Image.new("RGB", image.size, "white")
        page.paste(rgba, mask=rgba)
        image = page
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _grey16(image: Image.Image, most: int = 65535, *, inverted: bool = False) -> Pixels:
    """Scale grey of up to 16 bits to 8, rounded; Pillow's own conversion clips at 255."""
    wide = np.asarray(image).astype(np.int32)
    if wide.min() < 0 or wide.max() > most:
        raise UnsupportedError("pixel values beyond 16 bits are not supported")
    grey = ((wide * 255 + most // 2) // most).astype(np.uint8)
    if "transparency" in image.info:
        grey[wide == image.info["transparency"]] = 255
    return np.asarray(Image.fromarray(255 - grey if inverted else grey).convert("RGB"))


def _gif(image: ImageFile) -> Pixels:
    """Leave white what the first frame does not cover: Pillow fills it with the first colour."""
    left, top, right, bottom = image.tile[0].extents or (0, 0, *image.size)
    image.load()
    page = np.full((image.height, image.width, 3), 255, dtype=np.uint8)
    page[top:bottom, left:right] = _rgb(image)[top:bottom, left:right]
    return page


def _png(image: ImageFile) -> Pixels:
    """Decode a PNG: of an animation the first frame, which a default image before it is not."""
    if image.tile and image.tile[0].args == _PNG_WIDE_RGB and "transparency" in image.info:
        return _wide_png_with_a_clear_colour(image)
    if getattr(image, "default_image", False) and getattr(image, "n_frames", 1) > 1:
        image.seek(1)
    elif image.mode == "P" and image.palette is not None:  # beyond it browsers show its last colour
        colours = bytes(image.palette.palette)
        image.palette.palette = (colours + 256 * colours[-3:])[:768]
    image.load()
    return _rgb(image)


def _wide_png_with_a_clear_colour(image: ImageFile) -> Pixels:
    """Compare all 16 bits with the clear colour: Pillow has the higher 8 only."""
    clear = np.array(image.info.pop("transparency"))
    with Image.open(image.fp, formats=["PNG"]) as again:  # type: ignore[arg-type]
        assert isinstance(again, ImageFile)
        again.tile = [again.tile[0]._replace(args=_PNG_LOW_BYTES)]
        again.load()
        low = np.asarray(again)
    image.load()
    high = np.array(image)
    is_clear = (low == clear % 256).all(axis=-1) & (high == clear // 256).all(axis=-1)
    high[is_clear] = 255
    return high


def _by_its_header(image: ImageFile) -> None:
    """Have a BMP's pixels decoded with as many bits as they have, and with their alpha.

    Of a palette that is no more than black and white, or the darkest greys in their order, Pillow
    takes the pixels for grey values of 1 or 8 bits, however many bits they have. And it looks for
    alpha only where colours have masks too; browsers do wherever a header has one.
    """
    assert image.fp is not None
    place = image.fp.tell()
    image.fp.seek(14)
    header = image.fp.read(56)
    image.fp.seek(place)
    bits = int.from_bytes(header[10:12] if header[0] == 12 else header[14:16], "little")
    alpha = int.from_bytes(header[52:56], "little") if header[0] >= 56 else 0
    if bits == 16 and alpha:
        raise UnsupportedError("BMP of 16 bits with alpha is not supported")
    if image.tile[0].codec_name != "raw":
        return
    if bits == 32 and image.mode == "RGB" and alpha == _BMP_ALPHA:
        _decode_as(image, "RGBA", "BGRA")
    elif bits in _BMP_RAW and bits != {"1": 1, "L": 8}.get(image.mode, bits):
        greys = np.array([0, 255]) if image.mode == "1" else np.arange(256)
        table = np.repeat(greys.astype(np.uint8), 3).tobytes()
        _decode_as(image, "P", _BMP_RAW[bits])
        image.palette = ImagePalette.raw("RGB", table)


def _decode_as(image: ImageFile, mode: str, raw_mode: str) -> None:
    """Have an opened image decoded as another pixel type, stored as Pillow's `raw_mode` says."""
    image._mode = mode
    _, *others = tuple(image.tile[0].args or ())
    image.tile = [image.tile[0]._replace(args=(raw_mode, *others))]


def _tiff(image: TiffImageFile) -> Pixels:
    """Decode a TIFF: Pillow passes on some greys and palettes as if they were usual ones."""
    tags, mode = image.tag_v2, image.mode
    bits = tags.get(BITSPERSAMPLE, (1,))
    if _SIGNED in tags.get(SAMPLEFORMAT, ()) and bits[0] < 32:
        raise UnsupportedError("signed pixel values are not supported")
    plain_colour = mode == "YCbCr" and image.tile[0].codec_name == "raw"
    if plain_colour and tags.get(YCBCRSUBSAMPLING, (2, 2)) != (1, 1):
        raise UnsupportedError("subsampled colour that is not compressed is not supported")
    with without_libtiffs_words():
        image.load()
    if mode.startswith("I;16"):
        white_first = tags.get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO
        return _grey16(image, 2 ** bits[0] - 1, inverted=white_first)
    if mode == "P" and max(colours := tags[COLORMAP]) < 256:  # of 8 bits, not of 16 as they should
        image.putpalette(np.reshape(colours, (3, -1)).T.astype(np.uint8).tobytes())
    return _rgb(image)
