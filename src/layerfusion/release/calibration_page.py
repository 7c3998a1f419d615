"""A calibration as one page of HTML that needs no other file and no network."""

from typing import NamedTuple

import layerfusion
from layerfusion.evidence.pages import page
from layerfusion.images.finding import printable
from layerfusion.release.calibration import Calibration
from layerfusion.release.calibration_words import folder_cells, sentences, shortcut_cells


class Table(NamedTuple):
    """A table of the page, every cell as it is shown; the first of a row names it."""

    title: str
    caption: str
    head: list[str]
    rows: list[list[str]]


def calibration_html(made: Calibration, notice: str | None) -> str:
    """Return the page: what must be known in words, then shortcuts, folders, what was left out.

    Parameters
    ----------
    notice
        The detector's own, from before.
    """
    return page(
        "calibration.html.j2",
        notice=(notice or "").rstrip("."),
        sentences=[printable(sentence) for sentence in sentences(made)],
        tables=[
            Table("Shortcuts", "How far each of these alone tells the classes apart",
                  *shortcut_cells(made)),
            Table("By folder", "The folder with most errors first", *folder_cells(made)),
        ],
        unreadable=[
            {name: printable(row[name]) for name in ("path", "reason")}
            for row in made.images.unreadable.to_dict("records")
        ],
        version=layerfusion.__version__,
        date=made.date,
        images_sha256=made.images_sha256,
    )  # fmt: skip
