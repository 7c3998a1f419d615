"""What an XMP packet says of its picture: read as the XML that it is, in any of its spellings.

A property may stand as an attribute, as an element, as an ``rdf:resource`` or in a list, in UTF-8
or UTF-16 (ISO 16684-1). Packets are anybody's: a document type, and with it every entity, is
refused.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from xml.parsers import expat

from PIL.Image import Image

IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
XMP = "http://ns.adobe.com/xap/1.0/"
_RESOURCE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#resource"
_LONGEST = 10_000_000  # bytes of a packet; of a longer one its beginning is read
_DEEPEST = 100  # elements in one another; real packets have about ten


class _NotReadError(Exception):
    pass


def properties(packet: bytes, names: tuple[str, ...]) -> dict[str, str]:
    """Return the properties of an XMP packet that are asked for and in it; the first of each.

    Parameters
    ----------
    packet
        As it lies in the file. Of one that is damaged, what stands before the damage.
    names
        Namespace and name, joined: ``IPTC + "DigitalSourceType"``.
    """
    found: dict[str, str] = {}
    inside: list[str] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if len(inside) == _DEEPEST:
            raise _NotReadError
        inside.append(name)
        for known in attributes.keys() & set(names):
            found.setdefault(known, attributes[known])
        keep(attributes.get(_RESOURCE, ""))

    def keep(text: str) -> None:
        for name in set(inside) & set(names):
            if text.strip():
                found.setdefault(name, text.strip())

    def refuse(*_: Any) -> None:
        raise _NotReadError

    parser = expat.ParserCreate(namespace_separator="")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: inside.pop() and None
    parser.CharacterDataHandler = keep
    with suppress(expat.ExpatError, _NotReadError):
        parser.Parse(packet[:_LONGEST], True)
    return found


def packet_of(image: Image) -> bytes:
    """Return the XMP packet of an opened picture, of a PNG of a decoded one; empty where none."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp", b"")
    return packet.encode() if isinstance(packet, str) else bytes(packet)
