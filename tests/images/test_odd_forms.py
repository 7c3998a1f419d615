"""Files of odd forms show what their formats say, here and in Chromium."""

import base64
import io
import struct

import numpy as np
import pytest
from odd_forms import (
    BYTES,
    FORMS,
    HEIGHT,
    INDICES,
    WIDE,
    WIDTH,
    bmp,
    gif,
    packed,
    png,
    png_chunk,
    tiff,
)
from PIL import Image

from layerfusion.images.parts import MOST_PARTS
from layerfusion.images.reading import ImageError, read_pixels

ROUNDING = 1.01  # of 255; 16 bits with alpha are cut to 8 before they are laid over white
OF_16_BITS = 2
# What Pillow cuts off where it does not round.
MIXED = ("alpha", "transparent", "clear", "inks", "JPEG", "BMP", "RGB of 16 bits")
# Big-endian grey of 16 bits whose white is 0: Pillow says that it is not supported, and so do we.
REFUSED = {
    "TIFF, grey of 16 bits, white is 0, big end first",
    "TIFF, grey 0 of 16 bits, deflated, >",
}
SHOWN = """
const [data, done] = arguments;
(async () => {
  const bytes = Uint8Array.from(atob(data), character => character.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes]), {colorSpaceConversion: "none"});
  const page = new OffscreenCanvas(image.width, image.height).getContext("2d");
  page.fillStyle = "white";
  page.fillRect(0, 0, image.width, image.height);
  page.drawImage(image, 0, 0);
  const shown = page.getImageData(0, 0, image.width, image.height).data;
  return [image.height, image.width, ...shown];
})().then(done, error => done(String(error)));
"""


def tolerance(name):
    return OF_16_BITS if "16 bits" in name and "alpha" in name else ROUNDING


@pytest.mark.parametrize("name", sorted(FORMS.keys() - REFUSED))
def test_pixels_are_those_of_the_format(name, tmp_path):
    (tmp_path / "a").write_bytes(FORMS[name].data)
    pixels = read_pixels(tmp_path / "a")
    assert pixels.shape == FORMS[name].shows.shape and pixels.dtype == np.uint8
    exact = not any(word in name for word in MIXED)
    assert np.abs(pixels - FORMS[name].shows).max() <= (0.5 if exact else tolerance(name))


def test_chromium_shows_the_same(browser):
    for name, form in FORMS.items():
        if name.startswith("TIFF"):
            continue
        data = base64.b64encode(form.data).decode("ascii")
        shown = browser.execute_async_script(SHOWN, data)
        assert not isinstance(shown, str), f"{name}: {shown}"
        pixels = np.reshape(shown[2:], (shown[0], shown[1], 4))[..., :3]
        assert pixels.shape == form.shows.shape, name
        assert np.abs(pixels - form.shows).max() <= tolerance(name), name


def reason(data, folder):
    (folder / "a").write_bytes(data)
    with pytest.raises(ImageError) as caught:
        read_pixels(folder / "a")
    return caught.value.reason


def jpeg(size=(40, 30), mode="RGB", **options):
    path = io.BytesIO()
    Image.new(mode, size, 128 if mode == "L" else "red").save(path, "JPEG", **options)
    return path.getvalue()


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_greys_that_pillow_does_not_know_are_unsupported(name, tmp_path):
    assert "not supported" in reason(FORMS[name].data, tmp_path)


@pytest.mark.parametrize(
    ("kind", "dtype", "words"),
    [
        ({"bits": [8], "photometric": 1, "t339": (3, [2])}, "i1", "signed"),
        ({"bits": [16], "photometric": 1, "t339": (3, [2])}, "<i2", "signed"),
        ({"bits": [8] * 3, "photometric": 6}, "u1", "subsampled"),
    ],
)
def test_a_tiff_without_a_faithful_form_is_unsupported(kind, dtype, words, tmp_path):
    pixels = np.ones((HEIGHT, WIDTH, len(kind["bits"])), dtype)
    said = reason(tiff([pixels.tobytes()], **kind), tmp_path)
    assert words in said and "not supported" in said


def test_bmps_that_pillow_does_not_know_are_unsupported(tmp_path):
    words = [row.tobytes() for row in WIDE[..., 0].astype("<u2")]
    for masks in ((0xF00, 0xF0, 0xF, 0xF000), (0x7C00, 0x3E0, 0x1F, 0x8000)):
        data = bmp(words, 16, head=108, compression=3, masks=struct.pack("<4I", *masks))
        assert "not supported" in reason(data, tmp_path)
    data = bmp(packed(INDICES % 4, 2), 2, palette=bytes(16))
    assert reason(data, tmp_path).startswith("BMP pixel depth (2) is not supported")


@pytest.mark.parametrize(
    ("marker", "bits", "words"),
    [
        (0xC1, 12, "12 bits a channel"),
        (0xC0, 16, "16 bits a channel"),
        (0xC3, 12, "lossless"),
        (0xCB, 8, "lossless"),
        (0xC5, 8, "hierarchical"),
        (0xDE, 8, "hierarchical"),
        (0xCD, 8, "hierarchical"),
        (0xC9, 12, "arithmetic"),
        (0xF7, 8, "near-lossless"),
    ],
)
def test_a_rare_kind_of_jpeg_is_unsupported_and_not_damaged(marker, bits, words, tmp_path):
    data = bytearray(jpeg())
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = marker, bits
    said = reason(bytes(data), tmp_path)
    assert words in said and "not supported; convert it" in said


def test_a_damaged_jpeg_of_a_usual_kind_is_damaged(tmp_path):
    data = bytearray(jpeg())
    data[data.index(b"\xff\xc4") + 4] = 0x55
    said = reason(bytes(data), tmp_path)
    assert "damaged" in said and "not supported" not in said


PNG, JPEG = png(BYTES[..., :3], 8, 2), jpeg()
MANY = MOST_PARTS + 1
ENDLESS = {
    "chunks": PNG[:33] + png_chunk(b"teSt", b"") * MANY + PNG[33:],
    "texts": PNG[:33] + png_chunk(b"tEXt", b"a\0b") * MANY + PNG[33:],
    "pixels in pieces": PNG[:33] + png_chunk(b"IDAT", b"") * MANY + PNG[33:],
    "comments": JPEG[:2] + b"\xff\xfe\0\2" * MANY + JPEG[2:],
    "padding": JPEG[:2] + b"\xff" * MANY + JPEG[2:],
    "nothing": JPEG[:3] + b"\0" * MANY + JPEG[3:],
    "a GIF's comments": gif()[:-1] + b"!\xfe\1a\0" * MANY,
    "a GIF's pieces of a comment": gif()[:-1] + b"!\xfe" + b"\1a" * MANY + b"\0",
    "a GIF's nothing": gif()[:-1] + b"\7" * MANY,
}


@pytest.mark.parametrize("what", ENDLESS)
def test_a_file_of_endless_parts_is_refused_before_they_are_gone_through(what, tmp_path):
    assert reason(ENDLESS[what], tmp_path) == "it is made of more than 100,000 parts"


def long_ifd(tag, count, order, wide):
    """A TIFF whose first image is made of `count` pieces, as it says."""
    kind = "big" if order == ">" else "little"
    head = {"big": b"MM", "little": b"II"}[kind] + struct.pack(f"{order}H", 43 if wide else 42)
    if wide:
        head += struct.pack(f"{order}HHQQ", 8, 0, 16, 1)
        return head + struct.pack(f"{order}HHQQQ", tag, 16, count, 0, 0)
    return head + struct.pack(f"{order}IHHHIII", 8, 1, tag, 4, count, 0, 0)


@pytest.mark.parametrize("tag", [273, 279, 324, 325])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("wide", [False, True])
def test_a_tiff_of_endless_pieces_is_refused_before_they_are_gone_through(
    tag, order, wide, tmp_path
):
    said = reason(long_ifd(tag, MANY, order, wide), tmp_path)
    assert said == "its pixels are in 100,001 pieces"
    assert "pieces" not in reason(long_ifd(tag, 4, order, wide), tmp_path)


def test_a_tile_larger_than_any_picture_is_refused(tmp_path):
    tags = {
        256: 16,
        257: 16,
        258: 8,
        259: 1,
        262: 1,
        277: 1,
        322: 23_000,
        323: 23_000,
        324: 8,
        325: 9,
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    said = reason(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4), tmp_path)
    assert "too many pixels (529 megapixels" in said


def test_exif_is_not_joined_for_minutes(tmp_path):
    block = b"\xff\xe1\0\x0aExif\0\0\0\0"
    assert "EXIF is in more than 100 parts" in reason(JPEG[:2] + block * 101 + JPEG[2:], tmp_path)
    (tmp_path / "a").write_bytes(JPEG[:2] + block * 2 + JPEG[2:])
    assert read_pixels(tmp_path / "a").ndim == 3


@pytest.mark.parametrize(("width", "more"), [(9, 10_000_000), (65_536, 0)])
def test_a_bmp_is_not_unpacked_for_minutes(width, more, tmp_path):
    head = struct.pack("<IIIIiiHHIIIIII", 0, 0, 1078, 40, width, 9, 1, 8, 1, 0, 0, 0, 0, 0)
    said = reason(b"BM" + head + bytes(1024) + b"\1\7" * 81 + bytes(more), tmp_path)
    assert said == "its pixels are packed in too many runs"


def test_a_jpeg_is_not_gone_over_for_minutes(tmp_path):
    data = jpeg((5000, 4000), "L", progressive=True)
    last = data.rindex(b"\xff\xda")
    scan = data[data.rindex(b"\xff\xc4", 0, last) : -2]
    assert "20 megapixels are coded in 1" in reason(data[:-2] + scan * 110 + data[-2:], tmp_path)
    small = jpeg((50, 40), "L", progressive=True)
    scan = small[small.rindex(b"\xff\xc4") : -2]
    (tmp_path / "a").write_bytes(small[:-2] + scan * 110 + small[-2:])
    assert read_pixels(tmp_path / "a").shape == (40, 50, 3)
