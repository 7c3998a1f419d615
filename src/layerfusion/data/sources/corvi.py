"""Source kind `corvi`: latent-diffusion images of Corvi et al., synthetic in both runs.

Its folders train and valid are both training images here, as in the author's code: validation has
images of its own. They stay apart by the generator's name, which begins with the folder.
"""

import re
from pathlib import Path

from layerfusion.data.sources.published import NOTES, PAPER, Fact, Part, PublicDataSet
from layerfusion.data.sources.tree import ABOVE, Found, Place, files_beside, find_images
from layerfusion.settings import CorviSource

_README = "README of grip-unina/DMimageDetection"

CORVI = PublicDataSet(
    name="Corvi et al., latent diffusion",
    in_the_paper=Fact("synthetic training images of both runs", PAPER),
    images=Fact(
        "200,000 synthetic, PNG of 256 px (180,000 train, 20,000 valid); the 200,000 real ones, of "
        "COCO and LSUN, as lists only",
        f"{_README}; format and division: {NOTES}",
    ),
    layout=Fact(
        "latent_diffusion_trainingset/{train,valid}/latent_diffusion_*/*.png, real_coco.txt, "
        "real_lsun.txt",
        NOTES,
    ),
    size=Fact("20.45 GB", NOTES),
    published=Fact("github.com/grip-unina/DMimageDetection, with a link to grip.unina.it", _README),
    licence=Fact("non-commercial", NOTES),
    citation="corvi2023detection",
    parts=(
        Part(name="train", images=180_000, generator="train/"),
        Part(name="valid", images=20_000, generator="valid/"),
    ),
)

_IMAGE = re.compile(
    rf"{ABOVE}(?P<folder>train|valid)/(?P<generator>latent_diffusion_[^/]+)/[^/]+\.png",
    re.IGNORECASE,
)


def find_corvi(settings: CorviSource, root: Path) -> Found:
    """Find the images: synthetic, of the split train.

    The generator is, for example, ``valid/latent_diffusion_text2img_set0``. Real images are lists
    of names in `real_*.txt`: a note tells how many, and none of them counts as missing.
    """
    folders = settings.folders("corvi")
    found = find_images(root, folders, _IMAGE, _place)
    return found._replace(notes=_real_images(root, folders)) if len(found.files) else found


def _place(match: re.Match[str]) -> Place:
    generator = f"{match['folder'].lower()}/{match['generator']}"
    return Place(1, "train", "corvi", generator, None)


def _real_images(root: Path, folders: tuple[str, ...]) -> tuple[str, ...]:
    lists = files_beside(root, folders, "real_*.txt")
    if not lists:
        return ()
    names = sum(len(path.read_bytes().split()) for path in lists)
    return (
        f"its real images are lists only ({names:,} names in {len(lists)} files real_*.txt): no "
        "file of them is missing",
    )
