"""What a file says of itself: cameras, programs, generators, Content Credentials.

None of it is evidence of how pixels came to be: all but a signature can be written by anybody, and
most sites remove it. It stands beside a score and is never mixed with it.
"""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile

from layerfusion.apps.evidence.credentials import credentials
from layerfusion.apps.evidence.exif_text import as_text
from layerfusion.apps.evidence.source_types import source_type
from layerfusion.apps.evidence.xmp import IPTC, XMP, packet_of, properties
from layerfusion.images.reading import ImageError, is_special, opened

MOST_TEXTS = 100  # of a PNG that are shown
LONGEST = 200  # characters of a value that is shown
_LOOKED_AT = 10 * LONGEST  # of which blanks and what cannot be printed may be many

_EXIF = {
    ExifTags.Base.Make: "camera maker",
    ExifTags.Base.Model: "camera model",
    ExifTags.Base.Software: "software",
    ExifTags.Base.DateTime: "changed",
    ExifTags.Base.ImageDescription: "description",
    ExifTags.Base.Artist: "artist",
    ExifTags.Base.Copyright: "copyright",
    ExifTags.Base.XPTitle: "title",
    ExifTags.Base.XPComment: "comment of Windows",
    ExifTags.Base.XPAuthor: "author",
    ExifTags.Base.XPKeywords: "keywords",
    ExifTags.Base.XPSubject: "subject",
}
_PHOTOGRAPHED = {
    ExifTags.Base.DateTimeOriginal: "photographed",
    ExifTags.Base.ExposureTime: "exposure",
    ExifTags.Base.UserComment: "comment",
}
_SOURCE_TYPE, _TOOL = IPTC + "DigitalSourceType", XMP + "CreatorTool"
# Keywords under which generators and their front ends write settings into PNG files.
_GENERATORS = {
    "parameters": "generator's parameters",
    "prompt": "generator's prompt",
    "workflow": "generator's workflow",
    "dream": "generator's parameters",
    "sd-metadata": "generator's parameters",
    "invokeai_metadata": "generator's parameters",
}
# How a store of Content Credentials begins, in a JPEG segment, a PNG chunk or a box.
_CREDENTIALS = (b"jumbc2pa", b"caBX", b"c2pa.claim")
_READ_AT_MOST = 50_000_000  # bytes in which marks are looked for


class Mark(NamedTuple):
    """Something that a file says of itself.

    Attributes
    ----------
    what
        Such as ``camera model``.
    says
        Its text, of one line, cut where it is long.
    """

    what: str
    says: str


def marks(path: Path) -> list[Mark]:
    """Return what a file says of itself, in a fixed order; nothing where nothing was found.

    Never fails: a file whose metadata cannot be read has none that is known.
    """
    if is_special(path):
        return []
    found: list[Mark] = []
    with suppress(ImageError), opened(path) as image:
        found = [*_exif(image), *_png_text(image), *_xmp(image)]
    try:
        with path.open("rb") as file:
            data = file.read(_READ_AT_MOST)
    except OSError:
        return found
    if any(sign in data for sign in _CREDENTIALS):
        signature, claims = map(shown, credentials(path))
        found.append(Mark("Content Credentials (C2PA)", signature))
        found += [Mark("Content Credentials claim", claims)] if claims else []
    return found


def _exif(image: ImageFile) -> list[Mark]:
    try:
        exif = Image.Image.getexif(image)
        deeper = exif.get_ifd(ExifTags.IFD.Exif)
    except Exception:  # a damaged block, which does not cost the picture or its other marks
        return []
    order = exif.endian or "<"
    own = {name: as_text(tag, exif.get(tag), order) for tag, name in _EXIF.items()}
    own |= {name: as_text(tag, deeper.get(tag), order) for tag, name in _PHOTOGRAPHED.items()}
    return [Mark(name, shown(text)) for name, text in own.items() if text]


def _xmp(image: ImageFile) -> list[Mark]:
    said = properties(packet_of(image), (_SOURCE_TYPE, _TOOL))
    claims = {
        "IPTC digital source type": source_type(said.get(_SOURCE_TYPE, "")),
        "creator tool": said.get(_TOOL, ""),
    }
    return [Mark(what, shown(claim)) for what, claim in claims.items() if claim]


def _png_text(image: ImageFile) -> list[Mark]:
    """Return the texts of a PNG; to have those behind its pixels, it is decoded."""
    if image.format != "PNG":
        return []
    with suppress(Exception):  # damaged: what stands before the damage is read
        image.load()
    texts = [(str(key), text) for key, text in image.info.items() if isinstance(text, str)]
    return [
        Mark(_GENERATORS.get(keyword.lower(), f"PNG text '{shown(keyword)}'"), shown(text))
        for keyword, text in texts[:MOST_TEXTS]
    ]


def shown(text: str) -> str:
    """Return a text as one printable line, cut where it is long."""
    beginning = text[:_LOOKED_AT]
    line = " ".join("".join(c if c.isprintable() else " " for c in beginning).split())
    return line if len(line) <= LONGEST else line[:LONGEST] + "..."
