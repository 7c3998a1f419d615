"""PNG files with long texts in them: pixels are read, and nothing else changes."""

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from layerfusion.images.reading import probe_image, read_image

LONG = (1 << 20) + 1  # more than Pillow takes by itself


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


@pytest.mark.parametrize("profile", [LONG, 40_000_000])
def test_a_long_colour_profile_does_not_hide_pixels(profile, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(pixels()).save(path, icc_profile=b"p" * profile)
    np.testing.assert_array_equal(np.asarray(read_image(path)), pixels())
