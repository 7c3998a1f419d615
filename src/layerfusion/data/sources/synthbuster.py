"""Source kind `synthbuster`: nine generators that no run trains on, as a further held-out set."""

import re
from pathlib import Path

from layerfusion.data.sources.published import NOTES, Fact, Part, PublicDataSet
from layerfusion.data.sources.tree import ABOVE, Found, Place, find_images
from layerfusion.settings import SynthbusterSource

GENERATORS = (
    "dalle2", "dalle3", "firefly", "glide", "midjourney-v5", "stable-diffusion-1-3",
    "stable-diffusion-1-4", "stable-diffusion-2", "stable-diffusion-xl",
)  # fmt: skip

SYNTHBUSTER = PublicDataSet(
    name="Synthbuster",
    in_the_paper=Fact("not in it; a further held-out set of this project", NOTES),
    images=Fact("9 generators x 1,000 synthetic, PNG; real ones separately, as RAISE-1k", NOTES),
    layout=Fact("synthbuster/{generator}/*.png", NOTES),
    size=Fact("12.4 GB", NOTES),
    published=Fact("zenodo.org/records/10066460", NOTES),
    licence=Fact("CC BY-NC-SA 4.0", NOTES),
    citation="bammey2024synthbuster",
    parts=tuple(Part(name=name, images=1_000, generator=name) for name in GENERATORS),
)

_IMAGE = re.compile(
    rf"{ABOVE}(?P<generator>{'|'.join(map(re.escape, GENERATORS))})/[^/]+\.png", re.IGNORECASE
)


def find_synthbuster(settings: SynthbusterSource, root: Path) -> Found:
    """Find the images: synthetic, of the split heldout, so that no other split takes them in."""
    return find_images(root, settings.folders(), _IMAGE, _place)


def _place(match: re.Match[str]) -> Place:
    return Place(1, "heldout", "synthbuster", match["generator"].lower(), None)
