"""Every kind of image file is read as a web page shows it, or refused with a reason."""

import pickle
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_forms import over_white
from PIL import Image, ImageCms, ImageOps

from layerfusion.errors import UserError
from layerfusion.images.reading import (
    IMAGE_SUFFIXES,
    ImageError,
    ImageInfo,
    probe_image,
    read_image,
    read_pixels,
)

WIDTH, HEIGHT = 24, 16
LOSSLESS = ["png", "bmp", "tif", "webp"]


def colours(seed=0):
    """Random pixels, uint8 (HEIGHT, WIDTH, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def saved(image, path, **options):
    image.save(path, **options)
    return path


def pixels(path):
    """What `read_image` gives, after the promises that hold for every file."""
    image = read_image(path)
    assert image.mode == "RGB"
    assert image.info == {}
    assert probe_image(path) == ImageInfo(*image.size, probe_image(path).format)
    return np.asarray(image)


def stored(path, attribute):
    """What Pillow says of the file: the kind of file that a test means to have made."""
    with Image.open(path) as image:
        return getattr(image, attribute)


def pillows_own(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def reason(path):
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert caught.value.path == Path(path)
    assert str(path) in str(caught.value)
    assert caught.value.reason in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@settings(max_examples=80, deadline=None)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    quality=st.integers(1, 100),
    subsampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    progressive=st.booleans(),
    mode=st.sampled_from(["RGB", "L", "CMYK"]),
)
def test_jpeg_equals_pillows_own_decoding(
    tmp_path_factory, width, height, quality, subsampling, progressive, mode
):
    rng = np.random.default_rng(quality)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)
    options = {"quality": quality, "progressive": progressive}
    if mode == "RGB":
        options["subsampling"] = subsampling
    path = saved(image, tmp_path_factory.mktemp("jpeg") / "image.jpg", **options)
    assert np.array_equal(pixels(path), pillows_own(path))
    assert read_image(str(path)).size == (width, height)


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_of_a_damaged_jpeg_nobody_sees_more_or_else_than_pillow_does(
    tmp_path_factory, place, byte, cut
):
    path = saved(Image.fromarray(colours()), tmp_path_factory.mktemp("jpeg") / "image.jpg")
    data = bytearray(path.read_bytes())
    at = int(place * (len(data) - 1))
    data[at] = byte
    path.write_bytes(data[:at] if cut else data)
    try:
        with warnings.catch_warnings(action="ignore"):
            expected = pillows_own(path)
    except Exception:
        with pytest.raises(ImageError):
            read_pixels(path)
    else:
        if stored(path, "format") in ("JPEG", "MPO"):
            turned = ImageOps.exif_transpose(Image.fromarray(expected))
            assert np.array_equal(read_pixels(path), np.asarray(turned))


@pytest.mark.parametrize("suffix", [name.removeprefix(".") for name in sorted(IMAGE_SUFFIXES)])
def test_every_suffix_we_name_is_read_with_its_size_and_format(tmp_path, suffix):
    path = saved(Image.fromarray(colours()), tmp_path / f"image.{suffix}")
    image = read_image(path)
    expected = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
    other = path.rename(tmp_path / "another.jpg")  # the content counts
    assert probe_image(other) == ImageInfo(WIDTH, HEIGHT, expected)
    assert np.array_equal(pixels(other), np.asarray(image))


def test_the_image_outlives_its_file(tmp_path):
    path = saved(Image.fromarray(colours()), tmp_path / "image.png")
    image = read_image(path)
    path.unlink()
    assert np.array_equal(np.asarray(image.crop((0, 0, 5, 5))), colours()[:5, :5])
    assert np.array_equal(np.asarray(pickle.loads(pickle.dumps(image))), colours())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files through /proc")
def test_no_file_stays_open(tmp_path):
    good = saved(Image.fromarray(colours()), tmp_path / "good.jpg")
    frames = [Image.fromarray(colours(seed)) for seed in range(3)]
    animated = saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG nothing")
    before = len(list(Path("/proc/self/fd").iterdir()))
    kept = [read_image(good), read_image(animated), probe_image(good)]
    for _ in range(3):
        reason(bad)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert len(kept) == 3


# The stored pixels that appear as `colours()` once the EXIF orientation is applied.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_exif_orientation_is_applied_once(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    turned = Image.fromarray(np.ascontiguousarray(STORED[orientation](colours())))
    path = saved(turned, tmp_path / f"turned.{suffix}", exif=exif, **options)
    assert np.array_equal(pixels(path), colours())
    assert (probe_image(path).width, probe_image(path).height) == (WIDTH, HEIGHT)
    assert np.array_equal(np.asarray(ImageOps.exif_transpose(read_image(path))), colours())


@pytest.mark.parametrize("orientation", [0, 6, 9])
def test_orientation_of_a_jpeg(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(colours()), tmp_path / "turned.jpg", exif=exif)
    plain = pillows_own(path)
    assert np.array_equal(pixels(path), np.rot90(plain, -1) if orientation == 6 else plain)


def test_a_damaged_exif_block_does_not_cost_the_image(tmp_path):
    path = saved(Image.fromarray(colours()), tmp_path / "odd.webp", exif=b"Exif\0\0nonsense")
    assert read_image(path).size == (WIDTH, HEIGHT)
    assert probe_image(path) == ImageInfo(WIDTH, HEIGHT, "WEBP")


FLAT = np.full((HEIGHT, WIDTH, 3), (180, 90, 40), dtype=np.uint8)


def lab():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.profileToProfile(Image.fromarray(FLAT), srgb, lab, outputMode="LAB")


def laid_over_white(image):
    rgba = np.asarray(image, dtype=float)
    return over_white(rgba[..., :3], rgba[..., 3] / 255)


PALETTE_ALPHA = Image.fromarray(np.dstack([colours(), colours(1)[..., 0]])).convert("PA")
DEEP = np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.int32).reshape(HEIGHT, WIDTH)
# What odd_forms.py has not, by mode: the image, what it shows, and how far off that may be.
KINDS = {
    "PA": (PALETTE_ALPHA, laid_over_white(PALETTE_ALPHA.convert("RGBA")), 1),
    "LAB": (lab(), FLAT, 4),
    "I": (Image.fromarray(DEEP), np.dstack([np.rint(DEEP / 257)] * 3), 0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_of_rare_kinds_become_rgb(tmp_path, kind):
    image, expected, off = KINDS[kind]
    path = saved(image, tmp_path / "image.tif")
    assert stored(path, "mode") == kind
    assert np.abs(pixels(path) - expected.astype(float)).max() <= off


def test_ycck_jpeg(tmp_path):
    # Pillow writes inks inverted, as Adobe does, so 55 is stored as 200. Declared as YCCK the bytes
    # mean luma 200, neutral chroma and no black. YCCK becomes ink as 255 - RGB and the inversion is
    # undone: 200 of each of the three inks, hence grey 55.
    luma, neutral, black = (np.full((HEIGHT, WIDTH), value, np.uint8) for value in (55, 127, 0))
    inks = [Image.fromarray(ink) for ink in (luma, neutral, neutral, black)]
    written = saved(Image.merge("CMYK", inks), tmp_path / "cmyk.jpg", quality=100).read_bytes()
    transform = written.index(b"Adobe") + 11
    path = tmp_path / "ycck.jpg"
    path.write_bytes(written[:transform] + b"\x02" + written[transform + 1 :])
    assert stored(path, "mode") == "CMYK"
    assert np.abs(pixels(path).astype(int) - 55).max() <= 2


def test_a_phone_picture_with_a_second_one_behind_it_is_a_jpeg(tmp_path):
    first, second = Image.fromarray(colours(0)), Image.fromarray(colours(1))
    path = tmp_path / "phone.jpg"
    first.save(path, "MPO", save_all=True, append_images=[second])
    assert stored(path, "format") == "MPO"
    assert probe_image(path).format == "JPEG"
    assert np.array_equal(pixels(path), pillows_own(path))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.float32(0.5), "pixel type F is not supported"),
        (np.int32(-1), "pixel values beyond 16 bits are not supported"),
        (np.int32(65536), "pixel values beyond 16 bits are not supported"),
    ],
)
def test_pixels_without_a_faithful_form_are_refused(tmp_path, value, words):
    assert reason(saved(Image.fromarray(np.full((4, 4), value)), tmp_path / "a.tif")) == words


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of a TIFF without its directory
@pytest.mark.parametrize("suffix", ["webp", "gif", "jpg", "png", "bmp", "tif"])
def test_no_beginning_of_a_file_is_taken_for_the_image(tmp_path, suffix):
    path = saved(Image.fromarray(colours()), tmp_path / f"whole.{suffix}")
    whole = path.read_bytes()
    for length in range(1, len(whole) - 20, 29):
        path.write_bytes(whole[:length])
        assert reason(path)
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert reason(path) == "truncated file" or suffix in ("webp", "gif")


def test_what_is_no_image_is_refused_with_a_reason(tmp_path):
    empty, text = tmp_path / "empty.jpg", tmp_path / "text.jpg"
    empty.touch()
    text.write_text("a picture is worth a thousand words")
    assert reason(empty) == "empty file"
    assert reason(text).startswith("not an image")
    assert reason(tmp_path / "none.png") == "file not found"
    assert reason(tmp_path) == "it is a folder"
    assert reason("nul\0byte.png").startswith("damaged file")


def test_permission_and_memory_are_told_apart(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise error

    (tmp_path / "a.png").touch()
    monkeypatch.setattr(Image, "open", fail)
    error: Exception = PermissionError(13, "Permission denied")
    assert reason(tmp_path / "a.png") == "no permission to read it"
    error = MemoryError()
    assert reason(tmp_path / "a.png") == "not enough memory to decode it"
    error = OSError(5, "Input/output error")
    assert reason(tmp_path / "a.png") == "input/output error"
    error = struct.error("unpack requires\na buffer")
    assert reason(tmp_path / "a.png") == "damaged file (unpack requires a buffer)"


def test_formats_that_we_do_not_name_are_left_to_others(tmp_path):
    for kind in ("PPM", "EPS", "ICO"):
        path = saved(Image.fromarray(colours()), tmp_path / "image.png", format=kind)
        assert reason(path).startswith("not an image")


@pytest.mark.parametrize("side", [10_000, 20_000])
@pytest.mark.parametrize("action", ["ignore", "error"])
def test_a_decompression_bomb_is_refused(tmp_path, side, action):
    # Pillow warns up to twice its limit (first side) and raises above it (second).
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(b"\0" * 99)))
    with warnings.catch_warnings():
        warnings.simplefilter(action, Image.DecompressionBombWarning)
        assert reason(path).startswith("too many pixels")
        with pytest.raises(ImageError, match="too many pixels"):
            probe_image(path)


def test_the_callers_own_pixel_limit_holds(tmp_path, monkeypatch):
    path = saved(Image.fromarray(colours()), tmp_path / "image.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT)
    assert read_image(path).size == (WIDTH, HEIGHT)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT - 1)
    with pytest.warns(Image.DecompressionBombWarning):
        assert reason(path).startswith("too many pixels")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_image(path).size == (WIDTH, HEIGHT)


def test_the_pixel_limit_can_be_moved(tmp_path, monkeypatch):
    path = saved(Image.fromarray(colours()), tmp_path / "image.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT)  # put back at the end
    monkeypatch.setenv("LAYERFUSION_MAX_MEGAPIXELS", "1e-6")
    assert "LAYERFUSION_MAX_MEGAPIXELS" in reason(path)
    monkeypatch.setenv("LAYERFUSION_MAX_MEGAPIXELS", "0.5")
    assert read_image(path).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("limit", ["many", "0", "-1", "nan", "inf"])
def test_a_pixel_limit_that_is_none_is_said(limit, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERFUSION_MAX_MEGAPIXELS", limit)
    with pytest.raises(UserError, match="is not a number of megapixels"):
        read_image(saved(Image.fromarray(colours()), tmp_path / "image.png"))


def float_rgb_tiff():
    """Return a TIFF of 2 x 2 pixels, three 32-bit floats each: whole, and not for Pillow."""
    fields = [
        (256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 3, 146), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 158), (277, 3, 1, 3), (278, 3, 1, 2), (279, 4, 1, 48), (284, 3, 1, 1),
        (339, 3, 3, 152),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *field) for field in fields)
    directory = struct.pack("<H", len(fields)) + entries + struct.pack("<I", 0)
    head = struct.pack("<2sHI", b"II", 42, 8) + directory
    assert len(head) == 146
    return head + struct.pack("<3H", 32, 32, 32) + struct.pack("<3H", 3, 3, 3) + bytes(48)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC is not read; convert it"),
        (b"\xff\x0a" + b"\0" * 20, "JPEG XL is not read"),
        (b"8BPS\0\1" + b"\0" * 20, "Photoshop is not read"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "not an image"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "damaged"),
        (b"PK\3\4" + b"\0" * 20, "not an image but an archive; extract it"),
        (b"%PDF-1.7\n", "not an image but a PDF"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "not an image but a video"),
        (b"<!DOCTYPE html><html>", "not an image but a web page"),
        (float_rgb_tiff(), "pixel type of TIFF is not supported"),
    ],
)
def test_the_reason_is_the_true_one(data, words, tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(data)
    assert words in reason(path)


def test_probing_refuses_like_reading_but_looks_at_the_header_alone(tmp_path):
    with pytest.raises(ImageError, match="file not found"):
        probe_image(tmp_path / "none.png")
    path = saved(Image.fromarray(colours()), tmp_path / "whole.png")
    path.write_bytes(path.read_bytes()[:200])
    assert probe_image(path) == ImageInfo(WIDTH, HEIGHT, "PNG")


def test_the_error_survives_a_worker_process(tmp_path):
    with pytest.raises(ImageError) as caught:
        read_image(tmp_path / "none.png")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is ImageError
    assert isinstance(copy, UserError)
    assert (copy.path, copy.reason) == (tmp_path / "none.png", "file not found")
    assert str(copy) == str(caught.value)


def test_threads_read_the_same_pixels(tmp_path):
    paths = [saved(Image.fromarray(colours(i)), tmp_path / f"{i}.png") for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(read_image, paths * 5))
    for i, image in enumerate(images):
        assert np.array_equal(np.asarray(image), colours(i % 8))


@pytest.fixture(scope="module")
def victims(tmp_path_factory):
    folder = tmp_path_factory.mktemp("victims")
    files = [saved(Image.fromarray(colours()), folder / f"a.{s}") for s in [*LOSSLESS, "jpg"]]
    files.append(saved(Image.fromarray(colours()).quantize(16), folder / "b.gif"))
    return files


@settings(max_examples=150, deadline=None)
@given(
    which=st.integers(0, 5),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_hostile_bytes_give_pixels_or_an_image_error(victims, which, changes):
    victim = victims[which]
    data = bytearray(victim.read_bytes())
    for place, value in changes:
        data[place % min(len(data), 300)] = value
    path = victim.with_name("changed" + victim.suffix)
    path.write_bytes(data)
    for function in (read_image, probe_image):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                function(path)
            except ImageError as error:
                assert error.reason
