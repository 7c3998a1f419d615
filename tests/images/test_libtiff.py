"""A damaged TIFF is a row with its reason, not a thousand lines of a C library."""

import os

import numpy as np
import pytest
from PIL import Image

from layerfusion.images.pixel_types import without_libtiffs_words


@pytest.mark.parametrize("compression", ["group4", "tiff_lzw", "tiff_deflate", "packbits"])
def test_of_damaged_tiffs_the_command_says_what_it_says_of_others(run, tmp_path, compression):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8))
    path = tmp_path / "damaged.tif"
    (image.convert("1") if compression == "group4" else image).save(path, compression=compression)
    data = bytearray(path.read_bytes())
    for _ in range(40):
        data[rng.integers(200, len(data) - 200)] ^= 0xA5
    path.write_bytes(data)
    _, _, err = run("score", path, "--detector", "demo", "--out", tmp_path / "scores.csv")
    assert "Decod" not in err
    assert len(err.splitlines()) <= 3


def test_what_is_written_before_and_after_is_not_lost(capfd):
    os.write(2, b"before\n")
    with pytest.raises(RuntimeError), without_libtiffs_words():
        os.write(2, b"within\n")
        raise RuntimeError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"
