"""Decode the slowest pictures that are let in; say what time and memory each takes.

What a decoder may do is bounded before it begins (`layerfusion.images.parts`, the limit of pixels).
Here is a picture of each format at those bounds, and of each kind of part as many as are let in::

    python benchmarks/slowest_pictures.py [--only PART-OF-A-NAME]

Each is read, and inspected as a command, by a child of its own (`forked`). Ten minutes on two quiet
cores; 10 GB of memory, 3 GB of disk.
"""

import argparse
import io
import json
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forked
import numpy as np
from bad_days import draw_reference
from hostile_folders import jpeg, png
from keeping import circumstances, keep
from PIL import Image

SIDE = 9459  # px; its square is just below the limit
HANG = 300  # seconds
Make = Callable[[], bytes]


def pictures() -> dict[str, Make]:
    """Return what makes each file, by kind."""

    def saved(kind: str, mode: str = "RGB", side: int = SIDE, **options: Any) -> Make:
        def make() -> bytes:
            tile = np.random.default_rng(0).integers(0, 256, (512, 512, len(mode)), np.uint8)
            times = -(-side // 512)
            pixels = np.tile(tile, (times, times, 1))[:side, :side]
            file = io.BytesIO()
            Image.fromarray(pixels.squeeze(), mode).save(file, kind, **options)
            return file.getvalue()

        return make

    return {
        "JPEG, 89 MP, noise": saved("JPEG", quality=95, subsampling=0),
        "JPEG, 89 MP, progressive, 22 scans": lambda: _scans(saved("JPEG", progressive=True)(), 22),
        "JPEG, 89 MP, of inks, progressive": saved("JPEG", "CMYK", progressive=True),
        "JPEG, 16 px, 30 MB of scans": lambda: _scans(
            saved("JPEG", "L", 16, progressive=True)(), 400_000
        ),
        "JPEG, 99,000 segments": lambda: jpeg(b"\xff\xec\0\x02" * 99_000),
        "JPEG, 100 EXIF blocks of 64 kB": lambda: jpeg(
            (b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)) * 100
        ),
        "PNG, 89 MP, noise, clear": saved("PNG", "RGBA", compress_level=1),
        "PNG, 89 MP, 16 bits, interlaced": _deep_png,
        "PNG, 99,000 chunks": lambda: png(64, 64, pieces=99_000),
        "PNG, 99,000 texts": lambda: png(64, 64, texts=99_000),
        "PNG, a text of 200 MB packed": lambda: png(64, 64, bomb=200 << 20),
        "WebP, 89 MP, lossless": saved("WEBP", lossless=True, method=0, quality=0),
        "AVIF, 89 MP, noise": saved("AVIF", quality=60, speed=10),
        "TIFF, 89 MP, LZW": saved("TIFF", compression="tiff_lzw"),
        "TIFF, 89 MP, deflate": saved("TIFF", compression="tiff_adobe_deflate"),
        "TIFF, 99,000 strips": lambda: _strips(99_000),
        "GIF, 89 MP, noise": saved("GIF", "L"),
        "BMP, 89 MP": saved("BMP"),
        "BMP, 10 MB of runs": lambda: _runs(4_990_000),
    }


def _scans(data: bytes, number: int) -> bytes:
    """Repeat the last scan of a progressive JPEG until it has `number`."""
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (number - data.count(b"\xff\xda")) + data[-2:]


def _deep_png() -> bytes:
    packer = zlib.compressobj(1)
    row = bytes(8 * SIDE + 2)  # whatever it is cut into, there is a filter of 0 before each row
    pixels = b"".join([*(packer.compress(row) for _ in range(SIDE + 9)), packer.flush()])
    chunks = {b"IHDR": struct.pack(">IIBBBBB", SIDE, SIDE, 16, 6, 0, 0, 1), b"IDAT": pixels,
              b"IEND": b""}  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )


def _strips(number: int) -> bytes:
    end = 8 + 2 + 12 * 9 + 4
    ends = end + 4 * number  # of the offsets; the lengths follow
    entries = [(256, 1, 64), (257, 1, number), (258, 1, 8), (259, 1, 1), (262, 1, 1),
               (273, number, end), (277, 1, 1), (278, 1, 1), (279, number, ends)]  # fmt: skip
    body = b"".join(struct.pack("<HHII", tag, 4, count, value) for tag, count, value in entries)
    offsets = struct.pack("<I", 64) * 2 * number  # both are 64
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4) + offsets


def _runs(number: int) -> bytes:
    width = 1000
    head = struct.pack("<IIIIiiHHIIIIII", 0, 0, 1078, 40, width, number // width, 1, 8, 1, 0, 0, 0,
                       0, 0)  # fmt: skip
    return b"BM" + head + bytes(1024) + b"\1\7" * number + b"\0\1"


def main() -> None:
    """Print a row a picture, the slowest last, and keep the table with date and hardware."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the names of pictures")
    chosen = parser.parse_args()
    forked.load_package()
    from layerfusion.images.reading import read_pixels

    place, rows = Path(tempfile.mkdtemp(prefix="slowest-")), []
    try:
        draw_reference(place / "reference")
        (place / "work").mkdir()
        idle = forked.Child(int, place / "work").wait(HANG).peak_mib
        for kind, make in pictures().items():
            if chosen.only not in kind:
                continue
            file = place / "picture"
            file.write_bytes(make())
            inspect = ("inspect", file, "--detector", place / "reference", "--no-map")
            ways = {
                "read": forked.reading(read_pixels, file), "inspect": forked.command_line(*inspect),
            }  # fmt: skip
            row: dict[str, Any] = {"kind": kind, "mb": round(file.stat().st_size / 1e6, 1)}
            for way, work in ways.items():
                ended = forked.Child(work, place / "work").wait(HANG)
                row[way] = {
                    "ended": ended.verdict, "seconds": round(ended.seconds, 1),
                    "mib": round(ended.peak_mib - idle),
                    "said": ended.last_line.replace(f"{place}/", ""),
                }  # fmt: skip
            rows.append(row)
            print(json.dumps(row), flush=True)
    finally:
        shutil.rmtree(place)
    if not chosen.only:
        keep("slowest_pictures", circumstances() | {"pictures": rows})
    slowest = max(rows, key=lambda row: float(row["inspect"]["seconds"]))
    print(f"slowest: {slowest['kind']}, {slowest['inspect']['seconds']} s to inspect")


if __name__ == "__main__":
    main()
