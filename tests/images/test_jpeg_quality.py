"""The quality that a JPEG was written with."""

import numpy as np
import pytest
from PIL import Image

from layerfusion.images.jpeg import jpeg_quality


@pytest.fixture(scope="module")
def image():
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8))


@pytest.mark.parametrize("quality", [5, 30, 50, 75, 77, 85, 95, 100])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_what_pillow_wrote_is_read(image, tmp_path, quality, mode):
    path = tmp_path / "a.jpg"
    image.convert(mode).save(path, quality=quality, progressive=quality > 60)
    assert jpeg_quality(path) == quality


def test_it_is_that_of_the_last_writing(image, tmp_path):
    path = tmp_path / "a.jpg"
    image.save(path, quality=20)
    with Image.open(path) as first:
        first.save(tmp_path / "b.jpg", quality=90)
    assert jpeg_quality(tmp_path / "b.jpg") == 90


def test_tables_of_ones_own_have_the_nearest(image, tmp_path):
    path = tmp_path / "a.jpg"
    image.save(path, quality=80)
    with Image.open(path) as written:
        tables = [[step + 1 for step in written.quantization[number]] for number in (0, 1)]
    image.save(path, qtables=tables)
    assert 76 <= jpeg_quality(path) < 80


def test_what_is_no_jpeg_has_none(image, tmp_path):
    image.save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    for name in ("a.png", "b.jpg", "missing.jpg"):
        assert jpeg_quality(tmp_path / name) is None
