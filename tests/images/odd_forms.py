"""Image files of odd forms, made byte by byte, each with the pixels that a web page shows of it.

Formats' own specifications say what these are: PNG (third edition), GIF89a, TIFF 6.0, and for BMP
what Windows documents. Pillow has no part in it but for the coding of WebP and of JPEG.
"""

import struct
import zlib
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 7, 5
_RNG = np.random.default_rng(24)
BYTES = _RNG.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
WIDE = _RNG.integers(0, 65536, (HEIGHT, WIDTH, 4), dtype=np.uint16)
INDICES = _RNG.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
PALETTE = _RNG.integers(0, 256, (256, 3), dtype=np.uint8)
WHITE = (255, 255, 255)


class Form(NamedTuple):
    """A file, and what it shows over white: RGB, (height, width, 3)."""

    data: bytes
    shows: NDArray


def over_white(rgb, alpha):
    """Lay colours in 0..255 over white, alpha in 0..1."""
    weight = np.asarray(alpha, dtype=float)[..., None]
    return np.asarray(rgb, dtype=float) * weight + 255 * (1 - weight)


def grey(values, most=255):
    """Return grey values 0..most as RGB, 0..255."""
    return np.repeat(np.asarray(values, dtype=float)[..., None] * 255 / most, 3, axis=-1)


def packed(rows, bits):
    """Pack rows of samples into bytes, the first in the highest bits; each row begins a byte."""
    rows = np.asarray(rows).reshape(len(rows), -1)
    if bits >= 8:
        return [row.astype(f">u{bits // 8}").tobytes() for row in rows]
    each = (rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return [np.packbits(row.ravel()).tobytes() for row in each]


# PNG


def png_chunk(name, data):
    """Return a chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(samples, bits, colour, *chunks, size=None):
    """Return a PNG of samples (height, width[, channels])."""
    width, height = size or (len(samples[0]), len(samples))
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row for row in packed(samples, bits))
    body = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in body)


def _png_greys():
    for bits in (1, 2, 4, 8, 16):
        values = WIDE[..., 0] >> (16 - bits)
        clear = int(values[2, 3])
        yield f"PNG, grey of {bits} bits", Form(png(values, bits, 0), grey(values, 2**bits - 1))
        shows = over_white(grey(values, 2**bits - 1), values != clear)
        key = (b"tRNS", struct.pack(">H", clear))
        yield f"PNG, grey of {bits} bits, one of them clear", Form(png(values, bits, 0, key), shows)


def _png_palettes():
    for bits in (1, 2, 4, 8):
        used = INDICES >> (8 - bits)
        plte = (b"PLTE", PALETTE[: 2**bits].tobytes())
        colours = PALETTE[used]
        yield f"PNG, palette of {bits} bits", Form(png(used, bits, 3, plte), colours)
        alphas = np.arange(2**bits) * 37 % 256
        alphas[2 ** (bits - 1) :] = 255  # fewer are written than there are colours
        trns = (b"tRNS", alphas[: 2 ** (bits - 1)].astype(np.uint8).tobytes())
        shows = over_white(colours, alphas[used] / 255)
        name = f"PNG, palette of {bits} bits, some of it transparent"
        yield name, Form(png(used, bits, 3, plte, trns), shows)
        if bits > 1:
            trns = (b"tRNS", b"\xff\0")
            shows = over_white(colours, used != 1)
            name = f"PNG, palette of {bits} bits, its second colour clear"
            yield name, Form(png(used, bits, 3, plte, trns), shows)


def _pngs():
    yield from _png_greys()
    yield from _png_palettes()
    rgb, wide = BYTES[..., :3], WIDE[..., :3]
    few = PALETTE[np.minimum(INDICES, 99)]  # nothing says so but browsers
    data = png(INDICES, 8, 3, (b"PLTE", PALETTE[:100].tobytes()))
    yield "PNG, colours beyond its palette", Form(data, few)
    frames = [Image.fromarray(frame) for frame in (rgb, 255 - rgb)]
    moving = {"save_all": True, "append_images": frames[1:]}
    yield "PNG, animated", Form(_coded(frames[0], "PNG", **moving), rgb)
    data = _coded(frames[0], "PNG", **moving, default_image=True)
    yield "PNG, animated, with another image for old programs", Form(data, 255 - rgb)
    key = (b"tRNS", struct.pack(">3H", *map(int, rgb[2, 3])))
    clear = np.ones((HEIGHT, WIDTH))
    clear[2, 3] = 0
    yield "PNG, RGB, one colour clear", Form(png(rgb, 8, 2, key), over_white(rgb, clear))
    yield "PNG, RGB of 16 bits", Form(png(wide, 16, 2), wide / 257)
    near = wide.copy()
    near[2, 4] = near[2, 3] ^ 1  # alike in its higher bytes
    key = (b"tRNS", struct.pack(">3H", *map(int, near[2, 3])))
    shows = over_white(near / 257, clear)
    yield "PNG, RGB of 16 bits, one colour clear", Form(png(near, 16, 2, key), shows)
    low = wide.copy()
    low[2, 3] = 1, 2, 3  # a clear colour below 256 is one of 16 bits
    low[2, 4] = 257, 514, 771
    key = (b"tRNS", struct.pack(">3H", 1, 2, 3))
    name = "PNG, RGB of 16 bits, a dark colour clear"
    yield name, Form(png(low, 16, 2, key), over_white(low / 257, clear))
    value, alpha = BYTES[..., 0], BYTES[..., 1]
    shows = over_white(grey(value), alpha / 255)
    yield "PNG, grey with alpha", Form(png(BYTES[..., :2], 8, 4), shows)
    shows = over_white(grey(WIDE[..., 0], 65535), WIDE[..., 1] / 65535)
    yield "PNG, grey with alpha, 16 bits", Form(png(WIDE[..., :2], 16, 4), shows)
    shows = over_white(rgb, BYTES[..., 3] / 255)
    yield "PNG, RGB with alpha", Form(png(BYTES, 8, 6), shows)
    shows = over_white(wide / 257, WIDE[..., 3] / 65535)
    yield "PNG, RGB with alpha, 16 bits", Form(png(WIDE, 16, 6), shows)
    gama = (b"gAMA", struct.pack(">I", 100_000))
    yield "PNG, RGB with a gamma, which is not applied", Form(png(rgb, 8, 2, gama), rgb)
    bits = (b"sBIT", b"\5\6\5")
    yield "PNG, RGB of fewer bits than are stored", Form(png(rgb, 8, 2, bits), rgb)
    back = (b"bKGD", struct.pack(">3H", 9, 99, 199))
    shows = over_white(rgb, BYTES[..., 3] / 255)
    yield "PNG, RGB with alpha and a background", Form(png(BYTES, 8, 6, back), shows)


# GIF


def _gif_frame(indices, at=(0, 0), clear=None, own=None, interlaced=False):
    """Return one frame: 7-bit indices, whose codes are bytes as long as the table is cleared."""
    control = b"" if clear is None else b"!\xf9\4" + struct.pack("<BHBB", 1, 0, clear, 0)
    height, width = indices.shape
    flags = (0 if own is None else 0x86) | 0x40 * interlaced
    head = b"," + struct.pack("<4HB", *at, width, height, flags)
    order = [*range(0, height, 8), *range(4, height, 8), *range(2, height, 4), *range(1, height, 2)]
    pixels = indices[order if interlaced else slice(None)].ravel()
    codes = b"".join(
        b"\x80" + chunk.tobytes() for chunk in np.array_split(pixels, 1 + pixels.size // 90)
    )
    codes += b"\x81"
    blocks = [codes[i : i + 255] for i in range(0, len(codes), 255)]
    data = b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    return control + head + (b"" if own is None else own.tobytes()) + b"\7" + data


def gif(*frames, palette=PALETTE[:128], size=(WIDTH, HEIGHT), background=0):
    """Return a GIF of frames, with a palette for all of them or none."""
    flags = 0x70 if palette is None else 0xF6
    head = b"GIF89a" + struct.pack("<HHBBB", *size, flags, background, 0)
    return head + (b"" if palette is None else palette.tobytes()) + b"".join(frames) + b";"


def _gifs():
    indices, part = INDICES % 128, (INDICES % 128)[:3, :4]
    colours = PALETTE[:128]
    greys = np.repeat(np.arange(128, dtype=np.uint8)[:, None], 3, axis=1)
    page = np.full((HEIGHT, WIDTH, 3), 255)
    placed = page.copy()
    placed[1:4, 2:6] = colours[part]
    partly = page.copy()
    partly[1:4, 2:6] = over_white(colours[part], part != part[1, 1])
    grown = np.full((HEIGHT + 1, WIDTH, 3), 255)
    grown[3:6, 2:6] = colours[part]
    grey_part = page.copy()
    grey_part[1:4, 2:6] = greys[part]
    clear = int(part[1, 1])
    frame = _gif_frame
    yield "GIF", Form(gif(frame(indices)), colours[indices])
    yield "GIF, interlaced", Form(gif(frame(indices, interlaced=True)), colours[indices])
    own = PALETTE[128:]
    yield "GIF, a frame's own palette", Form(gif(frame(indices, own=own)), own[indices])
    data = gif(frame(indices, own=own), palette=None)
    yield "GIF, no palette for all", Form(data, own[indices])
    yield "GIF of greys", Form(gif(frame(indices), palette=greys), greys[indices])
    shows = over_white(colours[indices], indices != indices[0, 0])
    yield "GIF, one colour clear", Form(gif(frame(indices, clear=int(indices[0, 0]))), shows)
    shows = over_white(greys[indices], indices != indices[0, 0])
    data = gif(frame(indices, clear=int(indices[0, 0])), palette=greys)
    yield "GIF of greys, one of them clear", Form(data, shows)
    for back in (0, 5):
        data = gif(frame(part, (2, 1)), background=back)
        yield f"GIF, a part of the canvas, background {back}", Form(data, placed)
    data = gif(frame(part, (2, 1)), palette=greys)
    yield "GIF of greys, a part of the canvas", Form(data, grey_part)
    data = gif(frame(part, (2, 1), own=colours), palette=None)
    yield "GIF, a part of the canvas, no palette for all", Form(data, placed)
    data = gif(frame(part, (2, 1), clear=clear))
    yield "GIF, a part of the canvas, one colour clear", Form(data, partly)
    data = gif(frame(part, (2, 1), clear=200))
    yield "GIF, a part of the canvas, a clear colour that is none", Form(data, placed)
    data = gif(frame(part, (2, 1)), frame(indices, clear=3))
    yield "GIF, a part of the canvas, and a second frame", Form(data, placed)
    yield "GIF, a frame beyond the canvas", Form(gif(frame(part, (2, 3))), grown)


# BMP


def bmp(rows, bits, *, head=40, top_down=False, compression=0, masks=b"", palette=b"", used=0):
    """Return a BMP of packed rows, the first at the top; an OS/2 header has 12 bytes."""
    width, height = WIDTH, HEIGHT
    if isinstance(rows, bytes):
        data = rows
    else:
        data = b"".join(row + bytes(-len(row) % 4) for row in (rows if top_down else rows[::-1]))
    if head == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        signed = -height if top_down else height
        info = struct.pack(
            "<IiiHHIIiiII", head, width, signed, 1, bits, compression, len(data), 0, 0, used, 0
        )
        info += masks.ljust(head - 40, b"\0") if head > 40 else masks
    start = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + palette + data


def _masks(*masks):
    return struct.pack(f"<{len(masks)}I", *masks)


def _bmps():
    rgb, alpha = BYTES[..., :3], BYTES[..., 3]
    bgr = [row.tobytes() for row in rgb[..., ::-1]]
    bgra = [row.tobytes() for row in BYTES[..., [2, 1, 0, 3]]]
    for down in (False, True):
        where = "top down" if down else "bottom up"
        yield f"BMP of 24 bits, {where}", Form(bmp(bgr, 24, top_down=down), rgb)
        yield f"BMP of 32 bits, the fourth unused, {where}", Form(bmp(bgra, 32, top_down=down), rgb)
    usual = (0xFF0000, 0xFF00, 0xFF)
    for head, most in ((108, 0xFF000000), (124, 0xFF000000), (56, 0xFF000000)):
        data = bmp(bgra, 32, head=head, compression=3, masks=_masks(*usual, most))
        name = f"BMP with alpha, header of {head} bytes"
        yield name, Form(data, over_white(rgb, alpha / 255))
    for head in (108, 124):
        data = bmp(bgra, 32, head=head, masks=_masks(*usual, 0xFF000000))
        name = f"BMP with alpha and no masks of colours, header of {head} bytes"
        yield name, Form(data, over_white(rgb, alpha / 255))
    data = bmp(bgra, 32, head=52, compression=3, masks=_masks(*usual))
    yield "BMP of 32 bits with masks in its header and no alpha", Form(data, rgb)
    data = bmp(bgra, 32, compression=3, masks=_masks(*usual))
    yield "BMP of 32 bits with masks behind its header", Form(data, rgb)
    data = bmp(bgr, 24, head=12)
    yield "BMP of OS/2", Form(data, rgb)
    for name, masks, shifts, mosts in (
        ("565", (0xF800, 0x7E0, 0x1F), (11, 5, 0), (31, 63, 31)),
        ("555", (0x7C00, 0x3E0, 0x1F), (10, 5, 0), (31, 31, 31)),
    ):
        parts = (rgb >> (8 - np.log2(np.array(mosts) + 1).astype(int))).astype(int)
        words = (parts << np.array(shifts)).sum(axis=-1).astype("<u2")
        data = bmp([row.tobytes() for row in words], 16, compression=3, masks=_masks(*masks))
        yield f"BMP of {name}", Form(data, parts * 255 / mosts)
        if name == "555":
            data = bmp([row.tobytes() for row in words], 16)
            yield "BMP of 16 bits without masks", Form(data, parts * 255 / mosts)
    yield from _bmp_palettes()


def _bmp_palettes():
    def table(colours):
        return b"".join(bytes([*colour[::-1], 0]) for colour in colours)

    for bits in (1, 4, 8):
        used = INDICES >> (8 - bits)
        data = bmp(packed(used, bits), bits, palette=table(PALETTE[: 2**bits]))
        yield f"BMP, palette of {bits} bits", Form(data, PALETTE[used])
    two, black_white = INDICES % 2, np.array([(0, 0, 0), WHITE])
    data = bmp(packed(two, 1), 1, palette=table(black_white))
    yield "BMP, black and white", Form(data, black_white[two])
    data = bmp(packed(two, 1), 1, palette=table(black_white[::-1]))
    yield "BMP, white and black", Form(data, black_white[::-1][two])
    for bits in (4, 8):
        data = bmp(packed(two, bits), bits, palette=table(black_white), used=2)
        yield f"BMP, black and white in {bits} bits", Form(data, black_white[two])
    few = INDICES % 16
    dark = np.repeat(np.arange(16, dtype=np.uint8)[:, None], 3, axis=1)
    data = bmp(packed(few, 4), 4, palette=table(dark), used=16)
    yield "BMP, dark greys of 4 bits", Form(data, dark[few])
    data = bmp(packed(few, 8), 8, palette=table(dark), used=16)
    yield "BMP, dark greys in 8 bits", Form(data, dark[few])
    small = b"".join(bytes(colour[::-1]) for colour in PALETTE[:16])
    yield "BMP of OS/2, palette", Form(bmp(packed(few, 4), 4, head=12, palette=small), PALETTE[few])
    runs = b"".join(b"".join(bytes([1, value]) for value in row) + b"\0\0" for row in INDICES[::-1])
    data = bmp(runs + b"\0\1", 8, compression=1, palette=table(PALETTE), used=256)
    yield "BMP, runs of 8 bits", Form(data, PALETTE[INDICES])
    runs = b"".join(
        b"".join(bytes([1, value << 4]) for value in row) + b"\0\0" for row in few[::-1]
    )
    data = bmp(runs + b"\0\1", 4, compression=2, palette=table(PALETTE[:16]), used=16)
    yield "BMP, runs of 4 bits", Form(data, PALETTE[few])
    for bits, compression in ((8, 1), (4, 2)):
        runs = b"".join(
            b"".join(bytes([1, value << (8 - bits) % 8]) for value in row) + b"\0\0"
            for row in two[::-1]
        )
        data = bmp(
            runs + b"\0\1", bits, compression=compression, palette=table(black_white), used=2
        )
        yield f"BMP, black and white, runs of {bits} bits", Form(data, black_white[two])


# TIFF


def tiff(strips, *, bits, photometric, byte="<", **tags):
    """Return a TIFF of one directory; further tags by their numbers, as ``t258=(type, values)``."""
    count = len(bits)
    fields = {
        256: (4, [WIDTH]), 257: (4, [HEIGHT]), 258: (3, bits), 259: (3, [1]),
        262: (3, [photometric]), 277: (3, [count]), 278: (4, [HEIGHT]),
    } | {int(name[1:]): value for name, value in tags.items()}  # fmt: skip
    fields[273], fields[279] = (4, [0] * len(strips)), (4, [len(strip) for strip in strips])
    sizes = {1: "B", 3: "H", 4: "I"}
    start = 8 + 2 + 12 * len(fields) + 4
    room = sum(
        len(values) * struct.calcsize(sizes[kind]) + 3 & ~3 for kind, values in fields.values()
    )
    at = start + room
    fields[273] = (4, [at + sum(map(len, strips[:i])) for i in range(len(strips))])
    entries, further = b"", b""
    for tag, (kind, values) in sorted(fields.items()):
        data = struct.pack(f"{byte}{len(values)}{sizes[kind]}", *map(int, values))
        data = data.ljust(len(data) + 3 & ~3, b"\0")
        place = data
        if len(data) > 4:
            place = struct.pack(byte + "I", start + len(further))
            further += data
        entries += struct.pack(byte + "HHI", tag, kind, len(values)) + place
    head = (b"II" if byte == "<" else b"MM") + struct.pack(byte + "HI", 42, 8)
    directory = struct.pack(byte + "H", len(fields)) + entries + bytes(4)
    return (head + directory + further).ljust(at, b"\0") + b"".join(strips)


def _tiff_greys():
    for photometric, name in ((0, "white is 0"), (1, "black is 0")):
        for bits in (1, 2, 4, 8):
            values = INDICES >> (8 - bits)
            shows = grey(values if photometric else 2**bits - 1 - values, 2**bits - 1)
            data = tiff([b"".join(packed(values, bits))], bits=[bits], photometric=photometric)
            yield f"TIFF, grey of {bits} bits, {name}", Form(data, shows)
        for byte, order in (("<", "little"), (">", "big")):
            wide = WIDE[..., 0]
            strip = wide.astype(byte + "u2").tobytes()
            data = tiff([strip], bits=[16], photometric=photometric, byte=byte)
            shows = grey(wide if photometric else 65535 - wide, 65535)
            yield f"TIFF, grey of 16 bits, {name}, {order} end first", Form(data, shows)
    values = WIDE[..., 0] >> 4
    digits = [f"{''.join(f'{value:03x}' for value in row)}" for row in values]
    strip = b"".join(bytes.fromhex(row + "0" * (len(row) % 2)) for row in digits)
    yield "TIFF, grey of 12 bits", Form(tiff([strip], bits=[12], photometric=1), grey(values, 4095))
    data = tiff([BYTES[..., :2].tobytes()], bits=[8, 8], photometric=1, t338=(3, [2]))
    shows = over_white(grey(BYTES[..., 0]), BYTES[..., 1] / 255)
    yield "TIFF, grey with alpha", Form(data, shows)
    alpha = BYTES[..., 1].astype(float)
    light = (BYTES[..., 0] * (alpha / 255)).astype(np.uint8)
    data = tiff(
        [np.dstack([light, BYTES[..., 1]]).tobytes()], bits=[8, 8], photometric=1, t338=(3, [1])
    )
    yield "TIFF, grey multiplied by its alpha", Form(data, grey(light + (255 - alpha)))
    data = tiff([BYTES[..., :2].tobytes()], bits=[8, 8], photometric=1, t338=(3, [0]))
    yield "TIFF, grey and something else", Form(data, grey(BYTES[..., 0]))


def _tiffs():
    yield from _tiff_greys()
    rgb, alpha = BYTES[..., :3], BYTES[..., 3].astype(float)
    three = {"bits": [8] * 3, "photometric": 2}
    yield "TIFF, RGB", Form(tiff([rgb.tobytes()], **three), rgb)
    planes = [rgb[..., i].tobytes() for i in range(3)]
    yield "TIFF, RGB by planes", Form(tiff(planes, **three, t284=(3, [2])), rgb)
    strips = [row.tobytes() for row in rgb]
    yield "TIFF, RGB by rows", Form(tiff(strips, **three, t278=(4, [1])), rgb)
    strips = [row.tobytes() for i in range(3) for row in rgb[..., i]]
    data = tiff(strips, **three, t278=(4, [1]), t284=(3, [2]))
    yield "TIFF, RGB by planes and rows", Form(data, rgb)
    bits = [8] * 4
    data = tiff([BYTES.tobytes()], bits=bits, photometric=2, t338=(3, [2]))
    yield "TIFF, RGB with alpha", Form(data, over_white(rgb, alpha / 255))
    light = (rgb * (alpha[..., None] / 255)).astype(np.uint8)
    data = np.dstack([light, BYTES[..., 3]]).tobytes()
    data = tiff([data], bits=bits, photometric=2, t338=(3, [1]))
    yield "TIFF, RGB multiplied by its alpha", Form(data, light + (255 - alpha)[..., None])
    data = tiff([BYTES.tobytes()], bits=bits, photometric=2, t338=(3, [0]))
    yield "TIFF, RGB and something else", Form(data, rgb)
    for byte in "<>":
        strip = WIDE[..., :3].astype(byte + "u2").tobytes()
        data = tiff([strip], bits=[16] * 3, photometric=2, byte=byte)
        yield f"TIFF, RGB of 16 bits, {byte}", Form(data, WIDE[..., :3] / 257)
    packed_rows = b"".join(zlib.compress(rgb.tobytes(), 9) for _ in range(1))
    yield "TIFF, RGB, deflated", Form(tiff([packed_rows], **three, t259=(3, [8])), rgb)
    steps = np.diff(rgb, axis=1, prepend=np.zeros((HEIGHT, 1, 3), np.uint8)).astype(np.uint8)
    data = tiff([zlib.compress(steps.tobytes())], **three, t259=(3, [8]), t317=(3, [2]))
    yield "TIFF, RGB, differences deflated", Form(data, rgb)
    wide = WIDE[..., 0]
    for photometric in (0, 1):
        shows = grey(wide if photometric else 65535 - wide, 65535)
        for byte in "<>":
            strip = zlib.compress(wide.astype(byte + "u2").tobytes())
            data = tiff([strip], bits=[16], photometric=photometric, byte=byte, t259=(3, [8]))
            yield f"TIFF, grey {photometric} of 16 bits, deflated, {byte}", Form(data, shows)
    inks = BYTES.astype(float)
    shows = (255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255
    yield "TIFF, inks", Form(tiff([BYTES.tobytes()], bits=bits, photometric=5), shows)
    planes = [BYTES[..., i].tobytes() for i in range(4)]
    data = tiff(planes, bits=bits, photometric=5, t284=(3, [2]))
    yield "TIFF, inks by planes", Form(data, shows)
    colour_map = (3, (PALETTE.astype(int) * 257).T.ravel())
    data = tiff([INDICES.tobytes()], bits=[8], photometric=3, t320=colour_map)
    yield "TIFF, palette", Form(data, PALETTE[INDICES])
    data = tiff([INDICES.tobytes()], bits=[8], photometric=3, t320=(3, PALETTE.T.ravel()))
    yield "TIFF, palette of 8-bit colours", Form(data, PALETTE[INDICES])
    turned = rgb[::-1, ::-1]
    yield "TIFF, upside down", Form(tiff([turned.tobytes()], **three, t274=(3, [3])), rgb)


# WebP and JPEG


def _coded(image, kind, **options):
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _webps():
    rgb = BYTES[..., :3]
    data = _coded(Image.fromarray(rgb), "WEBP", lossless=True)
    yield "WebP", Form(data, rgb)
    frames = {"save_all": True, "append_images": [Image.fromarray(255 - rgb)]}
    data = _coded(Image.fromarray(rgb), "WEBP", lossless=True, **frames)
    yield "WebP, animated", Form(data, rgb)
    image = Image.fromarray(BYTES)
    data = _coded(image, "WEBP", lossless=True, exact=True)
    yield "WebP with alpha", Form(data, over_white(rgb, BYTES[..., 3] / 255))
    part = _coded(Image.fromarray(rgb[:2, :4]), "WEBP", lossless=True)[12:]

    def chunk(name, body):
        return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)

    def three(*values):
        return b"".join(struct.pack("<I", value)[:3] for value in values)

    head = chunk(b"VP8X", b"\x02\0\0\0" + three(WIDTH - 1, HEIGHT - 1))
    anim = chunk(b"ANIM", bytes([9, 99, 199, 255]) + b"\0\0")
    frame = chunk(b"ANMF", three(1, 1, 3, 1, 100) + b"\0" + part)
    body = b"WEBP" + head + anim + frame
    placed = np.full((HEIGHT, WIDTH, 3), 255)
    placed[2:4, 2:6] = rgb[:2, :4]
    data = b"RIFF" + struct.pack("<I", len(body)) + body
    yield "WebP, a part of the canvas", Form(data, placed)


def _jpegs():
    plain = Image.fromarray(np.full((16, 16, 3), (200, 120, 40), np.uint8))
    shows = np.asarray(plain)
    yield "JPEG of RGB", Form(_coded(plain, "JPEG", keep_rgb=True, quality=100), shows)
    named = bytearray(_coded(plain, "JPEG", keep_rgb=True, quality=100))
    adobe = named.find(b"Adobe")
    if adobe > 0:
        del named[adobe - 4 : adobe + 12]
    yield "JPEG of RGB by the names of its components", Form(bytes(named), shows)
    inks = np.full((16, 16, 4), (50, 100, 150, 60), np.uint8)
    written = _coded(Image.fromarray(inks, "CMYK"), "JPEG", quality=100)
    values = inks[0, 0].astype(float)
    colour = (255 - values[:3]) * (255 - values[3]) / 255
    yield "JPEG of inks", Form(written, np.broadcast_to(colour, (16, 16, 3)))


FORMS = dict([*_pngs(), *_gifs(), *_bmps(), *_tiffs(), *_webps(), *_jpegs()])
