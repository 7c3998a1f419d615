"""Source kind `coco`: COCO train2017, the real training images of both runs."""

import re
from pathlib import Path

from layerfusion.data.sources.published import NOTES, PAPER, Fact, Part, PublicDataSet
from layerfusion.data.sources.tree import ABOVE, Found, Place, find_images
from layerfusion.settings import CocoSource

COCO = PublicDataSet(
    name="COCO train2017",
    in_the_paper=Fact("real training images of both runs", PAPER),
    images=Fact("118,287 photographs, JPEG, longer side at most 640 px", NOTES),
    layout=Fact("train2017/*.jpg", NOTES),
    size=Fact("about 18 GB", NOTES),
    published=Fact("images.cocodataset.org/zips/train2017.zip", NOTES),
    licence=Fact("images: Flickr's terms; annotations: CC BY 4.0", NOTES),
    citation="lin2014microsoft",
    parts=(Part(name="train2017", images=118_287),),
)

# Not val2017 or test2017, which may lie beside it.
_IMAGE = re.compile(rf"{ABOVE}train2017/[^/]+\.jpe?g", re.IGNORECASE)


def find_coco(settings: CocoSource, root: Path) -> Found:
    """Find the photographs: real, of the split train."""
    folders = settings.folders("coco_train2017", "coco")
    return find_images(root, folders, _IMAGE, lambda match: Place(0, "train", "coco", None, None))
