"""The upper rows of JPEGs, equal to those of the whole image."""

from io import BytesIO

import numpy as np
import pytest
import simplejpeg
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import photo
from layerfusion.images.jpeg import upper_rows
from layerfusion.images.reading import ImageError, read_picture, read_pixels


def pillows(image, **options):
    file = BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def whole(data):
    return simplejpeg.decode_jpeg(data, "RGB")


@settings(max_examples=150, deadline=None)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 150),
    share=st.floats(0, 1),
    quality=st.integers(1, 100),
    sampling=st.sampled_from(["444", "422", "420", "440", "411", "gray"]),
)
@example(width=64, height=128, share=0.125, quality=90, sampling="420")
@example(width=64, height=128, share=0.13, quality=90, sampling="420")
def test_rows_are_those_of_the_whole(width, height, share, quality, sampling):
    pixels = np.asarray(photo(width, height, seed=quality))
    kind = "GRAY" if sampling == "gray" else "RGB"
    given = np.ascontiguousarray(pixels[..., :1]) if sampling == "gray" else pixels
    data = simplejpeg.encode_jpeg(given, quality, kind, sampling)
    rows = max(1, round(share * height))
    upper = upper_rows(data, rows)
    if upper is None:
        assert rows + 32 >= height  # so little is left that nothing would be gained
    else:
        assert np.array_equal(upper, whole(data)[:rows])


@pytest.mark.parametrize("options", [{"restart_marker_rows": 1}, {"restart_marker_blocks": 3}])
def test_restart_markers_are_no_obstacle(options):
    data = pillows(photo(90, 200), **options)
    assert np.array_equal(upper_rows(data, 40), whole(data)[:40])


def test_other_kinds_are_decoded_whole():
    data = pillows(photo(60, 200))
    assert upper_rows(data, 40) is not None
    assert upper_rows(data, 199) is None
    assert upper_rows(pillows(photo(60, 200), progressive=True), 40) is None
    assert upper_rows(data[:-100], 40) is None  # truncated
    assert upper_rows(data + bytes(100), 40) is None  # nothing says that it is not
    inks = BytesIO()
    photo(60, 200).convert("CMYK").save(inks, "JPEG")
    assert upper_rows(inks.getvalue(), 40) is None
    for junk in (b"", b"\xff\xd8", b"\xff\xd8\xff\xd9", b"\xff" * 100, bytes(100)):
        assert upper_rows(junk, 1) is None


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_no_changed_byte_of_a_header_does_harm(mode):
    data = pillows(photo(40, 120).convert(mode))
    start = data.index(b"\xff\xda") + 14
    for at in range(start):
        for byte in (0, 1, 0x10, 0x20, 0x7F, 0xFF):
            damaged = data[:at] + bytes([byte]) + data[at + 1 :]
            try:
                upper = upper_rows(damaged, 20)
            except ValueError:
                continue
            assert upper is None or upper.shape[2] == 3


@pytest.mark.parametrize("orientation", [None, 1, 3, 6])
def test_a_picture_has_the_rows_and_the_size_of_the_image(tmp_path, orientation):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    photo(80, 200).save(path, exif=exif, quality=80)
    picture, pixels = read_picture(path), read_pixels(path)
    assert picture.size == pixels.shape[:2]
    upper = picture.upper(50)
    assert np.array_equal(upper[:50], pixels[:50])
    assert (len(upper) < len(pixels)) == (orientation in (None, 1))
    assert np.array_equal(picture.whole(), pixels)


def test_a_picture_of_another_format_is_all_there(tmp_path):
    path = tmp_path / "a.png"
    photo(30, 90).save(path)
    picture = read_picture(path)
    path.unlink()
    assert np.array_equal(picture.upper(10), np.asarray(photo(30, 90)))


def test_a_truncated_jpeg_is_refused_however_few_rows_are_wanted(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(pillows(photo(200, 400))[:-2000])
    with pytest.raises(ImageError, match="truncated"):
        read_picture(path).upper(10)


def test_a_jpeg_is_read_once_and_again_only_where_pillow_must_judge(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(pillows(photo(80, 200), progressive=True))
    whole_one = read_pixels(path)
    picture = read_picture(path)
    path.write_bytes(pillows(photo(80, 200), quality=100)[:-3000])
    damaged = read_picture(path)
    path.unlink()
    assert np.array_equal(picture.whole(), whole_one)
    with pytest.raises(ImageError, match="file not found"):
        damaged.whole()
