"""Source kind `itw_sm`: the task's validation images, found in the wild on social media."""

import re
from pathlib import Path, PurePosixPath

import pandas as pd

from layerfusion.data.sources.published import NOTES, PAPER, TASK, Fact, Part, PublicDataSet
from layerfusion.data.sources.tree import ABOVE, PLATFORMS, Found, Place, files_beside, find_images
from layerfusion.errors import UserError
from layerfusion.settings import ItwSmSource

ITW_SM = PublicDataSet(
    name="MediaEval validation (ITW-SM)",
    in_the_paper=Fact("local validation", PAPER),
    images=Fact("5,000 real, 5,000 synthetic, in the wild; mixed formats", TASK),
    layout=Fact("ITW-SM/{0_real,1_fake}/", NOTES),
    size=Fact("3.55 GB", NOTES),
    published=Fact("github.com/mever-team/mediaeval2026-sid", TASK),
    licence=Fact("research only", NOTES),
    citation="konstantinidou2026navigating",
    parts=(
        Part(name="0_real", images=5_000, label=0),
        Part(name="1_fake", images=5_000, label=1),
    ),
    known="others met one corrupt file, 1_fake/x_618.jpg, and 19 exact duplicates in it",
)

METADATA = "metadata.csv"
_IMAGE = re.compile(rf"{ABOVE}(?P<label>0_real|1_fake)/(?P<name>[^/]+)", re.IGNORECASE)


def find_itw_sm(settings: ItwSmSource, root: Path) -> Found:
    """Find the images, of the split val.

    The platform is that of the file's row in `metadata.csv`, which the later release has beside or
    above the two folders, else that with which the file's name begins (``Facebook_real_1042.jpg``).

    Raises
    ------
    UserError
        If `metadata.csv` cannot be read.
    """
    folders = settings.folders("itw_val")
    found = find_images(root, folders, _IMAGE, _place)
    if not len(found.files):
        return found
    table = found.files
    described = _platforms(root, folders)
    if described is None:
        note = f"there is no {METADATA}: platforms are what file names begin with"
        return found._replace(notes=(note,))
    own = [described.get(PurePosixPath(path).name) for path in table["path"]]
    platform = pd.Series(own, index=table.index, dtype="str").fillna(table["platform"])
    return found._replace(files=table.assign(platform=platform))


def _place(match: re.Match[str]) -> Place:
    platform = PLATFORMS.get(match["name"].partition("_")[0].lower())
    return Place(int(match["label"][0]), "val", "itw_sm", None, platform)


def _platforms(root: Path, folders: tuple[str, ...]) -> dict[str, str] | None:
    """Return the platform of each file name in `metadata.csv`; None if there is no such file."""
    file = next(iter(files_beside(root, folders, METADATA)), None)
    if file is None:
        return None
    try:
        rows = pd.read_csv(file, dtype="str", usecols=["file_name", "platform"]).dropna()
    except (OSError, ValueError) as error:  # pandas' and Unicode's errors are ValueErrors
        reason = " ".join(str(error).split())
        raise UserError(f"{file} cannot be read as the metadata of ITW-SM: {reason}") from None
    names = rows["file_name"].str.replace("\\", "/").str.rpartition("/")[2]
    platform = rows["platform"].str.lower().map(PLATFORMS).fillna(rows["platform"])
    return dict(zip(names, platform, strict=True))
