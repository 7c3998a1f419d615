import io

import numpy as np
import pytest
from PIL import Image

from layerfusion.demo.platforms import PLATFORMS, jpeg, share


@pytest.fixture
def upload():
    pixels = np.random.default_rng(0).integers(0, 256, (120, 180, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("platform", PLATFORMS.values(), ids=lambda platform: platform.name)
def test_a_shared_picture_is_a_smaller_jpeg_of_the_same_shape(upload, platform):
    for seed in range(5):
        shown = Image.open(io.BytesIO(share(upload, platform, np.random.default_rng(seed))))
        assert shown.format == "JPEG"
        low, high = platform.longest_side
        assert low <= max(shown.size) <= high
        assert shown.width / shown.height == pytest.approx(1.5, abs=0.03)


def test_sharing_repeats_and_enlarges_nothing(upload):
    platform = PLATFORMS["album"]
    small = upload.resize((40, 30))
    one, two = (share(small, platform, np.random.default_rng(3)) for _ in range(2))
    assert one == two
    assert Image.open(io.BytesIO(one)).size == (40, 30)


def test_a_worse_quality_takes_fewer_bytes(upload):
    assert len(jpeg(upload, 60)) < len(jpeg(upload, 90))
    assert len(jpeg(upload, 80, subsampling=2)) < len(jpeg(upload, 80))
