"""Source kind `wang`: ProGAN and LSUN images of Wang et al. (CNNDetection).

The task's constrained data contain them; the submitted run did not train on them. Indexed, they are
there for a run that does: ``runs.constrained.train_sources=[coco, corvi, wang]``.
"""

import re
from pathlib import Path

import pandas as pd

from layerfusion.data.manifest import Split
from layerfusion.data.sources.published import NOTES, PAPER, Fact, PublicDataSet
from layerfusion.data.sources.tree import ABOVE, Found, Place, find_images
from layerfusion.settings import WangSource

_README = "README of PeterWang512/CNNDetection"

WANG = PublicDataSet(
    name="Wang et al. (CNNDetection)",
    in_the_paper=Fact("allowed in the constrained run, not used", PAPER),
    images=Fact("real images of LSUN and ProGAN's, 20 classes", _README),
    layout=Fact("progan_train/{class}/{0_real,1_fake}/*.png", NOTES),
    size=Fact("about 70 GB", NOTES),
    published=Fact("github.com/PeterWang512/CNNDetection", _README),
    licence=Fact("CC BY-NC-SA 4.0", "LICENSE.txt of PeterWang512/CNNDetection"),
    citation="wang2020cnn",
)

_IMAGE = re.compile(
    rf"{ABOVE}progan_(?P<part>train|val)/(?P<category>[^/]+)/(?P<label>0_real|1_fake)/[^/]+\.png",
    re.IGNORECASE,
)


def find_wang(settings: WangSource, root: Path) -> Found:
    """Find both archives: progan_train of the split train, progan_val held out.

    ``progan_val`` is no validation set here: that is ITW-SM alone.
    """
    folders = settings.folders("wang", "CNNDetection")
    found = [
        find_images(root, [f"{folder}/{name}" for folder in folders], _IMAGE, _place)
        for name in ("progan_train", "progan_val")
    ]
    files = pd.concat([one.files for one in found], ignore_index=True)
    return Found(files, sum((one.passed_over for one in found), ()))


def _place(match: re.Match[str]) -> Place:
    label = int(match["label"][0])
    split: Split = "train" if match["part"].lower() == "train" else "heldout"
    return Place(label, split, "wang", "ProGAN" if label else None, None)
