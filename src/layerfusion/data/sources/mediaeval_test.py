"""Source kind `mediaeval_test`: the task's test images, whose labels the organisers keep."""

import re
from pathlib import Path

from layerfusion.data.sources.published import NOTES, PAPER, TASK, Fact, Part, PublicDataSet
from layerfusion.data.sources.tree import Found, Place, find_images
from layerfusion.settings import MediaEvalTestSource

MEDIAEVAL_TEST = PublicDataSet(
    name="MediaEval test",
    in_the_paper=Fact("official evaluation, by the organisers", PAPER),
    images=Fact("10,000 from social media, labels kept by the organisers", TASK),
    layout=Fact("*.jpg, without labels", NOTES),
    size=Fact("not stated", TASK),
    published=Fact("for registered teams only", TASK),
    licence=Fact("usage agreement", TASK),
    citation="karageorgiou2026synthetic",
    parts=(Part(name="images", images=10_000),),
)

_IMAGE = re.compile(r"(?:[^/]+/){1,3}[^/]+\.jpe?g", re.IGNORECASE)


def find_mediaeval_test(settings: MediaEvalTestSource, root: Path) -> Found:
    """Find the images: without labels, of the split test."""
    folders = settings.folders("test/taska_test")
    return find_images(
        root, folders, _IMAGE, lambda match: Place(None, "test", "mediaeval_test", None, None)
    )
