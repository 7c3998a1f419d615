"""PNG files with long texts in them: pixels are read, and nothing else changes."""

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from layerfusion.images.png_text import without_long_text
from layerfusion.images.reading import probe_image, read_image

LONG = PngImagePlugin.MAX_TEXT_CHUNK + 1


def pixels():
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def saved(path, *texts, compressed=False, international=False):
    """Save pixels with texts of these lengths, and upright by EXIF only."""
    info = PngImagePlugin.PngInfo()
    for number, length in enumerate(texts):
        add = info.add_itxt if international else info.add_text
        add(f"workflow {number}", "x" * length, zip=compressed)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels()).save(path, pnginfo=info, exif=exif)
    return path


@pytest.mark.parametrize("international", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("texts", [[LONG], [LONG // 2, LONG // 2, LONG // 2], [70_000_000]])
def test_long_texts_do_not_hide_pixels(texts, compressed, international, tmp_path):
    path = saved(tmp_path / "a.png", *texts, compressed=compressed, international=international)
    np.testing.assert_array_equal(np.asarray(read_image(path)), np.rot90(pixels(), -1))
    assert (probe_image(path).width, probe_image(path).height) == (30, 40)


def test_texts_behind_the_pixels_do_not_either(tmp_path):
    path = saved(tmp_path / "a.png", LONG)
    data = path.read_bytes()
    start = data.index(b"tEXt") - 4
    text = data[start : start + 12 + int.from_bytes(data[start : start + 4], "big")]
    end = data.index(b"IEND") - 4
    path.write_bytes(data[:start] + data[start + len(text) : end] + text * 70 + data[end:])
    np.testing.assert_array_equal(np.asarray(read_image(path)), np.rot90(pixels(), -1))


def test_a_file_that_needs_nothing_is_left_alone(tmp_path):
    saved(tmp_path / "a.png", 1000)
    Image.fromarray(pixels()).save(tmp_path / "a.jpg")
    (tmp_path / "empty.png").touch()
    for name in ("a.png", "a.jpg", "empty.png"):
        with (tmp_path / name).open("rb") as file:
            assert without_long_text(file) is None and file.tell() == 0


def test_a_chunk_that_lies_about_its_length_is_pillows_to_judge(tmp_path):
    path = saved(tmp_path / "a.png", 100, compressed=True)
    data = bytearray(path.read_bytes())
    start = data.index(b"zTXt") - 4
    data[start : start + 4] = b"\x7f\xff\xff\xff"
    path.write_bytes(data)
    with path.open("rb") as file:
        found = without_long_text(file)
    assert found is None or len(found.getvalue()) < len(data)


@pytest.mark.parametrize("profile", [LONG, 40_000_000])
def test_a_long_colour_profile_does_not_hide_pixels(profile, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(pixels()).save(path, icc_profile=b"p" * profile)
    np.testing.assert_array_equal(np.asarray(read_image(path)), pixels())
    with path.open("rb") as file:
        assert without_long_text(file) is not None and file.tell() == 0
