"""What the publishers of a data set say of it; each source's module holds its own facts."""

from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

PAPER = "the paper, section 3"
TASK = "README of mever-team/mediaeval2026-sid"
# Facts whose own page could not be opened where this was written.
NOTES = "notes of this project, November 2026"


@dataclass(frozen=True)
class Fact:
    """What somebody says of a data set, and who says it."""

    text: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a data set, its number of files, and which rows of a source's table are in it.

    Attributes
    ----------
    images
        As published: files that are found short of it have not been extracted.
    label, platform
        Of the part's rows; any where None.
    generator
        What the generator of the part's rows begins with; any where None.
    """

    name: str
    images: int
    label: int | None = None
    platform: str | None = None
    generator: str | None = None

    def rows(self, files: pd.DataFrame) -> pd.Series:
        """Return which rows of a `file_table` are in this part, as booleans."""
        inside = pd.Series(True, index=files.index)
        if self.label is not None:
            inside &= (files["label"] == self.label).fillna(False).astype(bool)
        if self.platform is not None:
            inside &= files["platform"] == self.platform
        if self.generator is not None:
            inside &= files["generator"].str.startswith(self.generator, na=False)
        return inside


@dataclass(frozen=True, kw_only=True)
class PublicDataSet:
    """A data set of the task or the paper, as its publishers describe it.

    Attributes
    ----------
    citation
        Its key in the book's references.
    parts
        What is counted, if it is known how many files there are.
    known
        Defects that others have met in it.
    """

    name: str
    in_the_paper: Fact
    images: Fact
    layout: Fact
    size: Fact
    published: Fact
    licence: Fact
    citation: str
    parts: tuple[Part, ...] = ()
    known: str | None = None

    @property
    def expected(self) -> int | None:
        """The number of files of all parts; None if nobody says it."""
        return sum(part.images for part in self.parts) or None

    @property
    def facts(self) -> dict[str, Fact]:
        """All facts by name, in their order: ``in the paper``, ``images``, ``layout``..."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name.replace("_", " "): value
            for name, value in values.items()
            if isinstance(value, Fact)
        }

    def advice(self, place: Path) -> str:
        """Say in one clause what the set is, how big, where it is offered and where to put it."""
        return (
            f"{self.name} ({self.images.text}; size: {self.size.text}) is offered at "
            f"{self.published.text}; put it at {place} (layout: {self.layout.text})"
        )
