"""Parts of resized images against the whole, which Pillow resizes."""

import numpy as np
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from layerfusion.images.degradations import Box, along_rows_first, needed, resized_part

SIDE = st.integers(1, 160)
PLACE = st.tuples(st.floats(0, 1), st.floats(0, 1))


def noise(height, width):
    rng = np.random.default_rng(height * 1000 + width)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def resized(pixels, target):
    return np.asarray(Image.fromarray(pixels).resize(target[::-1], Image.Resampling.BICUBIC))


def chosen(place, length):
    """Return the start and end of a part of a side, at least a pixel long."""
    one, other = (round(share * (length - 1)) for share in place)
    return min(one, other), max(one, other) + 1


@settings(max_examples=200, deadline=None)
@given(size=st.tuples(SIDE, SIDE), target=st.tuples(SIDE, SIDE), rows=PLACE, columns=PLACE)
@example(size=(100, 100), target=(50, 50), rows=(0, 1), columns=(0, 1))
@example(size=(3, 160), target=(160, 3), rows=(0.2, 0.3), columns=(0.5, 0.5))
def test_a_part_is_what_pillow_makes_there(size, target, rows, columns):
    assume(along_rows_first(size, target))
    (top, bottom), (left, right) = chosen(rows, target[0]), chosen(columns, target[1])
    box, pixels = Box(top, left, bottom, right), noise(*size)
    part = resized_part(needed(box, size, target).of(pixels), box, size, target)
    assert np.array_equal(part, box.of(resized(pixels, target)))


def test_a_part_of_a_large_image_needs_little_of_it():
    box = needed(Box(600, 900, 824, 1124), (3000, 4000), (1500, 2000))
    assert box == (1197, 1797, 1652, 2252)
    assert needed(Box(0, 0, 10, 10), (100, 100), (200, 200)) == (0, 0, 8, 8)


def test_photographs_are_resized_along_rows_first_unless_they_are_very_high():
    for width, height in [(640, 480), (480, 640), (4000, 3000), (3000, 4000), (9000, 500)]:
        assert along_rows_first((height, width), (height // 2, width // 2))
    assert not along_rows_first((2000, 500), (1000, 250))
    assert along_rows_first((2000, 500), (2000, 250))
