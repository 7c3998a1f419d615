"""Galleries show the images that are furthest from where they should be, with their numbers."""

import numpy as np
import pytest
from PIL import Image
from scipy.special import logit

from layerfusion.figures.galleries import error_gallery, flips_gallery
from layerfusion.metrics.flips import flips


@pytest.fixture
def manifest(scored, tmp_path):
    """The scored images, as files."""
    known = scored.experiments["open"].manifest
    for path in known.rows["path"]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), "grey").save(tmp_path / path)
    return type(known)(tmp_path, known.rows, known.skipped)


def captions(figure):
    return [[text.get_text().splitlines()[-1] for text in axes.texts] for axes in figure.axes]


def test_the_most_confident_errors_come_first(scored, manifest):
    table, threshold = scored.scored["local"]["open"].images, scored.runs["open"].record.threshold
    figure = error_gallery(manifest, table, threshold, columns=4)
    beyond = table["logit"] - logit(threshold)
    alarms = np.sort(beyond[(table["label"] == 0) & (beyond >= 0)])[::-1]
    misses = np.sort(beyond[(table["label"] == 1) & (beyond < 0)])
    assert captions(figure) == [[f"{v:+.2f}" for v in wrong[:4]] for wrong in (alarms, misses)]
    right = error_gallery(manifest, table.assign(label=beyond >= 0), threshold)
    names = [axes.get_ylabel() for axes in right.axes]
    assert names == ["real\nno false alarms", "synthetic\nno misses"]


def test_flips_begin_with_what_moved_furthest(scored, manifest):
    found = flips(scored.scored["local"])
    shown = captions(flips_gallery(manifest, found, columns=3))
    for row, flip, sign in zip(shown, ("corrected", "regressed"), (-1, 1), strict=True):
        moved = np.sort(sign * found.loc[found["flip"] == flip, "change_of_margin"])[:3] * sign
        assert row == [f"{value:+.2f}" for value in moved]
    assert captions(flips_gallery(manifest, found.assign(flip="correct in both"))) == [[], []]
