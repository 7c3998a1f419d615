"""Twenty pictures that code draws keep the scores that the shipped detector gave them.

`python tests/scoring/test_golden.py` writes those scores, `golden.csv`, anew: after the detector
was replaced, and for no other reason.

Logits are compared, since most of these probabilities are near 1 and would hide a change there. The
first ones were written as probabilities of six decimals, worth up to .0013 of a logit; arithmetic
for other processors moved a logit by 2e-6 at most, and builds of libjpeg that differ by a grey
level may move it more. A wrong crop, a wrong channel order, other weights or another head move it
in its first digit.
"""

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from layerfusion.model.known_weights import KNOWN
from layerfusion.paths import cache_root
from layerfusion.scoring.files import score

GOLDEN = Path(__file__).with_name("golden.csv")
TOLERANCE = 0.02  # of a logit
SIZES = [(320, 256), (256, 256), (400, 300), (120, 180), (640, 230)]
CACHE = cache_root()  # the user's, before a test is given one of its own
WEIGHTS = KNOWN["clip-vit-b-16-int8"]
HERE = WEIGHTS.path.is_file()


def gradient(width, height, turn):
    """A colour gradient in a direction of its own."""
    y, x = np.mgrid[:height, :width]
    ramp = (np.cos(turn) * x / width + np.sin(turn) * y / height) % 1
    return np.stack([ramp, ramp**2, 1 - ramp], axis=-1) * 255


def shapes(width, height, turn):
    """Discs and bars on grey."""
    picture = Image.new("RGB", (width, height), (150, 150, 140))
    draw = ImageDraw.Draw(picture)
    for number in range(6):
        left, top = (37 * number * (1 + turn)) % width, (53 * number) % height
        box = (left, top, left + 60 + 9 * number, top + 40)
        colour = tuple(int(40 * number * part) % 256 for part in (1, 2, 3))
        (draw.ellipse if number % 2 else draw.rectangle)(box, fill=colour)
    return np.asarray(picture)


def noise(width, height, turn):
    """Noise of one fineness, from integers that are the same everywhere."""
    side = 1 + 4 * turn
    grains = np.random.default_rng(7 + turn).integers(
        0, 256, (-(-height // side), -(-width // side), 3), dtype=np.uint8
    )
    return grains.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]


def writing(width, height, turn):
    """Lines of blocks that look like print from afar; no font is needed."""
    page = np.full((height, width, 3), 245)
    for top in range(12, height - 12, 18):
        letters = np.random.default_rng(top + turn).integers(2, 9, width // 10)
        for number, letter in enumerate(letters):
            page[top : top + 10, 10 * number : 10 * number + letter] = 30 + 20 * turn
    return page


DRAWN = (gradient, shapes, noise, writing)


def pictures():
    """Yield name and bytes of each picture: each kind in five sizes, every other one as JPEG 85."""
    for kind in DRAWN:
        for turn, size in enumerate(SIZES):
            pixels = np.clip(kind(*size, turn), 0, 255).astype(np.uint8)
            file, suffix = BytesIO(), "jpg" if turn % 2 else "png"
            options = {"quality": 85} if suffix == "jpg" else {}
            Image.fromarray(pixels).save(file, "JPEG" if suffix == "jpg" else "PNG", **options)
            yield f"{kind.__name__}-{turn}.{suffix}", file.getvalue()


def scores(folder):
    """Return what the shipped detector gives the pictures, drawn into a folder."""
    for name, content in pictures():
        (folder / name).write_bytes(content)
    return score(folder)[["image_id", "logit"]]


def test_twenty_different_pictures_are_the_same_each_time():
    drawn = dict(pictures())
    assert len(drawn) == len(set(drawn.values())) == 20 and drawn == dict(pictures())
    assert sum(name.endswith(".jpg") for name in drawn) == 8
    for content in drawn.values():
        assert Image.open(BytesIO(content)).size in SIZES


@pytest.mark.skipif(
    not HERE, reason=f"its weights are not on this machine; get them with: {WEIGHTS.command}"
)
def test_the_shipped_detector_gives_the_scores_it_gave(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERFUSION_CACHE", str(CACHE))
    found = scores(tmp_path).set_index("image_id")["logit"]
    golden = pd.read_csv(GOLDEN).set_index("image_id")["logit"]
    assert set(found.index) == set(golden.index)
    np.testing.assert_allclose(found[golden.index], golden, rtol=0, atol=TOLERANCE)
    assert golden.nunique() > 10  # saturated scores would hide a change


def write_golden(path=GOLDEN):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        scores(Path(folder)).to_csv(path, index=False, float_format="%.6f", lineterminator="\n")
    return path


if __name__ == "__main__":
    print(write_golden(*map(Path, sys.argv[1:])))
