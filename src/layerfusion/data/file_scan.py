"""What one image file says of itself: size, format, hashes, and whether it is whole."""

from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.fft
from PIL import Image

from layerfusion.files import file_sha256
from layerfusion.images.reading import ImageError, probe_image, read_image
from layerfusion.recipe import RECIPE
from layerfusion.settings import digest

# How whole files end. Others may be whole too (there are cameras that write something behind the
# image), which only decoding can tell.
_ENDINGS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_PADDING = b"\0\r\n "
_TAIL = 64  # bytes in which the ending is looked for

_LIBRARIES = ("pillow", "scipy")


class FileScan(NamedTuple):
    """What one file says of itself.

    `bytes` and `state` (`file_state`) are what the file was when it was read; `state` is missing
    where the outcome may be another without the file changing, as when it may not be read.
    Width and height are upright pixels. Hashes are missing where they were not asked for.

    `reason` says why the file cannot be used, as its header or its end tell; everything below it is
    missing then. `damage` says why its pixels cannot be decoded, as far as that was tried.
    """

    bytes: int | None = None
    state: str | None = None
    reason: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    sha256: str | None = None
    damage: str | None = None
    phash: str | None = None


def scan_file(path: Path, *, hash_file: bool, decode_file: bool) -> FileScan:
    """Read what a file says of itself; whatever is wrong with it is said in the answer.

    A file that does not end as whole ones do, or is of a format without an end of its own, is
    decoded in any case: most truncated files are found for the price of reading their last bytes.

    Parameters
    ----------
    hash_file
        Whether to read the whole file for its sha256.
    decode_file
        Whether to decode the image for its perceptual hash, which finds the corrupt ones.
    """
    try:
        whole = FileScan(*file_state(path))
    except OSError:
        whole = FileScan()  # the next attempt says why
    try:
        info = probe_image(path)
        image = None if _ends_well(path, info.format) else read_image(path)
        sha256 = file_sha256(path) if hash_file else None
    except (ImageError, OSError) as error:
        lasting = whole.state if _lasts(error) else None
        return whole._replace(state=lasting, reason=_reason(error))
    whole = whole._replace(width=info.width, height=info.height, format=info.format, sha256=sha256)
    if not decode_file:
        return whole
    try:
        return whole._replace(phash=perceptual_hash(image or read_image(path)))
    except ImageError as error:
        lasting = whole.state if _lasts(error) else None
        return whole._replace(state=lasting, damage=error.reason)


def file_state(path: Path) -> tuple[int, str]:
    """Return a file's length in bytes and what else changes when its content does, as text.

    Modification time (ns), change time (ns) and inode. Programs that copy or exchange files often
    set the first as it was; the second is the system's own, and a file put in place of another is
    another inode.

    Raises
    ------
    OSError
        If there is no such file.
    """
    found = path.stat()
    return found.st_size, f"{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_ino}"


def perceptual_hash(image: Image.Image) -> str:
    """Return a 64-bit hash, 16 hex digits, of which images that look alike differ in few bits.

    Each bit says whether one of the lowest 8 x 8 frequencies of the image at 32 x 32 grey pixels
    (its cosine transform, by rows) is above their median: the `phash` of the library ImageHash.
    """
    grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS))
    low = scipy.fft.dctn(grey)[:8, :8]
    return np.packbits(low > np.median(low)).tobytes().hex()


def scanner_digest() -> str:
    """Return the sha256, 64 hex digits, of recipe and libraries that inspections rely on."""
    return digest({"recipe": RECIPE, "libraries": {name: version(name) for name in _LIBRARIES}})


def _ends_well(path: Path, kind: str) -> bool:
    """Say whether the file ends as whole ones of its format do; False where nothing is known."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if kind == "WEBP":  # says at its beginning how long it is
            return int.from_bytes(file.read(8)[4:], "little") + 8 <= size
        if kind not in _ENDINGS:
            return False
        file.seek(-min(_TAIL, size), 2)
        return file.read().rstrip(_PADDING).endswith(_ENDINGS[kind])


def _lasts(error: ImageError | OSError) -> bool:
    """Say whether the trouble is the file's content, and not the machine's or its permissions'."""
    cause = error.__cause__ if isinstance(error, ImageError) else error
    return not (isinstance(cause, MemoryError) or getattr(cause, "errno", None) is not None)


def _reason(error: ImageError | OSError) -> str:
    if isinstance(error, ImageError):
        return error.reason
    return error.strerror or type(error).__name__
