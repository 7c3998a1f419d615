"""EXIF values as text, each decoded by the encoding that its tag has."""

from PIL import ExifTags

_LONGEST = 10_000  # bytes that are decoded
_UTF16 = {"<": "utf-16-le", ">": "utf-16-be"}  # by byte order of the block
_PREFIX = 8  # bytes of a user comment that name its encoding
# Tags of Windows, which writes UTF-16 into them, the low byte first whatever the block's order.
_WINDOWS = {
    ExifTags.Base.XPTitle,
    ExifTags.Base.XPComment,
    ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords,
    ExifTags.Base.XPSubject,
}


def as_text(tag: int, value: object, order: str) -> str:
    """Return an EXIF value as text, empty where there is none.

    Parameters
    ----------
    tag
        Its number, which tells the encoding.
    value
        As Pillow hands it over: a text's bytes as Latin-1, though most programs write UTF-8.
    order
        Byte order of the block, ``<`` or ``>``.
    """
    if value is None:
        return ""
    if isinstance(value, tuple) and all(isinstance(one, int) and 0 <= one < 256 for one in value):
        value = bytes(value) if tag in _WINDOWS else value
    if isinstance(value, str):
        return _of_ascii(value[:_LONGEST])
    if not isinstance(value, bytes):
        return str(value)
    data = value[:_LONGEST]
    if tag in _WINDOWS:
        return _until_nul(data.decode("utf-16-le", "replace"))
    if tag == ExifTags.Base.UserComment:
        return _user_comment(data[:_PREFIX], data[_PREFIX:], order)
    return _until_nul(data.decode("utf-8", "replace"))


def _of_ascii(text: str) -> str:
    """Return a text that is UTF-8 as such, and any other as it is."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _user_comment(prefix: bytes, data: bytes, order: str) -> str:
    """Decode a user comment by its prefix (EXIF 2.32, table 9); without one, as UTF-8."""
    name = prefix.rstrip(b"\0 ")
    if name == b"UNICODE":
        marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        return _until_nul(data.decode("utf-16" if marked else _UTF16[order], "ignore"))
    rest = data if name in (b"ASCII", b"") else prefix + data
    return _until_nul(rest.decode("utf-8", "replace"))


def _until_nul(text: str) -> str:
    return text.partition("\0")[0].strip()
