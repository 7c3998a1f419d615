import numpy as np
import pytest

from layerfusion.demo.cameras import CAMERAS
from layerfusion.demo.generators import GENERATORS
from layerfusion.demo.platforms import PLATFORMS
from layerfusion.figures import sheets
from layerfusion.figures.contact_sheets import GAP, SIDE


@pytest.mark.parametrize(
    ("sheet", "rows"),
    [
        (sheets.camera_sheet, [camera.name for camera in CAMERAS]),
        (sheets.generator_sheet, ["photograph", *GENERATORS]),
        (sheets.platform_sheet, ["photograph", *PLATFORMS]),
    ],
)
def test_a_sheet_has_a_named_row_each_and_no_two_are_alike(sheet, rows):
    figure = sheet(seed=1, columns=2)
    assert [axes.get_ylabel() for axes in figure.axes] == rows
    pictures = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert {picture.shape for picture in pictures} == {(SIDE, 2 * SIDE + GAP, 3)}
    assert len({picture.tobytes() for picture in pictures}) == len(rows)
