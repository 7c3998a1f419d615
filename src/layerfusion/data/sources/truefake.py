"""Source kind `truefake`: TrueFake's images as three social networks gave them back.

The open run adds them. Images before sharing (PreSocial) are a source of their own, in no run.
"""

import re
from pathlib import Path

from layerfusion.data.sources.published import NOTES, PAPER, Fact, Part, PublicDataSet
from layerfusion.data.sources.tree import ABOVE, PLATFORMS, Found, Place, find_images
from layerfusion.settings import TrueFakeSource

_README = "README of MMLab-unitn/TrueFake-IJCNN25"
_SHARED = ("Facebook", "Telegram", "Twitter")

TRUEFAKE = PublicDataSet(
    name="TrueFake",
    in_the_paper=Fact("shared images, real and synthetic, added to the open run's training", PAPER),
    images=Fact(
        "600,000, of these 180,000 shared on three social networks (on each, 8 generators x 5,000 "
        "and 2 x 10,000 real), JPEG",
        f"{_README}; division and format: {NOTES}",
    ),
    layout=Fact("{PreSocial,Facebook,Telegram,Twitter}/{Fake,Real}/...", NOTES),
    size=Fact("not stated", _README),
    published=Fact("github.com/MMLab-unitn/TrueFake-IJCNN25", _README),
    licence=Fact("not stated", _README),
    citation="dellanna2025truefake",
    parts=tuple(
        Part(name=f"{platform}/{name}", images=images, label=label, platform=platform)
        for platform in _SHARED
        for label, name, images in ((1, "Fake", 40_000), (0, "Real", 20_000))
    ),
)

# As published; upper and lower case are put right, other names stay as they are.
FAMILIES = (
    "StyleGAN1", "StyleGAN2", "StyleGAN3", "StableDiffusion1.5", "StableDiffusion2",
    "StableDiffusion3", "StableDiffusionXL", "FLUX.1",
)  # fmt: skip
_FAMILIES = {family.lower(): family for family in FAMILIES}

# Below a family there may be further folders (prompts, truncations) or none.
_IMAGE = re.compile(
    rf"{ABOVE}(?P<platform>PreSocial|{'|'.join(_SHARED)})/"
    r"(?:Fake/(?P<family>[^/]+)|Real)/(?:.+/)?[^/]+",
    re.IGNORECASE,
)


def find_truefake(settings: TrueFakeSource, root: Path) -> Found:
    """Find the images, of the split train.

    The source of shared images is ``truefake``, with their platform; that of the others is
    ``truefake_presocial``. The generator of a synthetic image is its family.
    """
    found = find_images(root, settings.folders("truefake_social"), _IMAGE, _place)
    before = int((found.files["source"] == "truefake_presocial").sum())
    if not before:
        return found
    note = f"{before:,} images of PreSocial are a source of their own, truefake_presocial"
    return found._replace(notes=(note,))


def _place(match: re.Match[str]) -> Place:
    family = match["family"]
    platform = PLATFORMS.get(match["platform"].lower())
    source = "truefake" if platform else "truefake_presocial"
    if family is None:
        return Place(0, "train", source, None, platform)
    return Place(1, "train", source, _FAMILIES.get(family.lower(), family), platform)
