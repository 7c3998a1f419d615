"""Images of a data set as contact sheets: samples, errors, prediction flips, content groups."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill, shorten

import pandas as pd
from matplotlib.figure import Figure

from layerfusion.data.manifest import SPLITS, Manifest
from layerfusion.errors import UserError
from layerfusion.figures.contact_sheets import Picture, SheetRow, contact_sheet, square_picture
from layerfusion.figures.errors import ERRORS
from layerfusion.figures.style import COLOURS
from layerfusion.metrics.classes import CLASSES, UNLABELLED, class_names
from layerfusion.metrics.flips import NONE
from layerfusion.metrics.probability import decide, threshold_logit

LONGEST_NAME = 24
LONGEST_CAPTION = 18


def sample_sheet(manifest: Manifest, *, seed: int = 0, columns: int = 8) -> Figure:
    """Draw a row of random images for each split, source and class.

    Of an image its central square is shown. A row with fewer images than columns is shorter; of a
    file that cannot be decoded there is a grey tile.

    Parameters
    ----------
    seed
        Which images: of the same rows the same, whatever their order and whatever else there is.
    columns
        Images to a row.

    Raises
    ------
    UserError
        If there are no images.
    """
    rows = manifest.rows.assign(name=class_names(manifest.rows["label"])).sort_values("path")
    rows["split"] = pd.Categorical(rows["split"], SPLITS, ordered=True)
    sheet = []
    for (split, source, name), own in rows.groupby(["split", "source", "name"], observed=True):
        chosen = own.sample(min(columns, len(own)), random_state=seed)
        place = shorten(f"{split}, {source}", LONGEST_NAME, placeholder="...")
        text = f"{place}\n{name}\n{len(own):,} images"
        colour = (COLOURS | {UNLABELLED: "0.35"})[str(name)]
        sheet.append(SheetRow(text, _pictures(manifest.root, chosen["path"]), colour=colour))
    if not sheet:
        raise UserError(f"there are no images in {manifest.root} to be shown")
    return contact_sheet(sheet, columns=columns)


def error_gallery(
    manifest: Manifest, predictions: pd.DataFrame, threshold: float, *, columns: int = 8
) -> Figure:
    """Show the most confident errors of each class; a row without an error says so.

    Parameters
    ----------
    manifest
        Of the predicted images, for their files.
    predictions
        As `layerfusion.scoring.predictions.predict_each` returns them, with labels.
    threshold
        The probability from which an image is predicted synthetic.
    columns
        Images to a row. Above each: platform and generator, where known, and by how much its logit
        is beyond the threshold's.
    """
    called = decide(predictions["logit"], threshold)
    scored = predictions.assign(beyond=predictions["logit"] - threshold_logit(threshold))
    sheet = []
    for label, name in CLASSES.items():
        wrong = scored[(scored["label"] == label) & (called == (label == 0))]
        wrong = wrong.sort_values("beyond", ascending=label == 1, kind="stable").head(columns)
        text = f"{name}\n{ERRORS[name]}" if len(wrong) else f"{name}\nno {ERRORS[name]}"
        sheet.append(_captioned(text, manifest.root, wrong, COLOURS[name]))
    return contact_sheet(sheet, columns=columns)


def flips_gallery(manifest: Manifest, flips: pd.DataFrame, *, columns: int = 8) -> Figure:
    """Show the predictions that flip with the largest change of margin: corrected ones above.

    Parameters
    ----------
    manifest
        Of the images, for their files.
    flips
        As `layerfusion.metrics.flips.flips` returns it.
    columns
        Images to a row. Above each: class, platform, generator, and the change of its margin.
    """
    sheet = []
    for flip in ("corrected", "regressed"):
        own = flips[flips["flip"] == flip].rename(columns={"change_of_margin": "beyond"})
        own = own.replace({NONE: None})  # of what an image has not, nothing is said
        own = own.sort_values("beyond", ascending=flip == "regressed", kind="stable").head(columns)
        sheet.append(_captioned(flip, manifest.root, own))
    return contact_sheet(sheet, columns=columns)


def content_sheet(
    root: Path, images: pd.DataFrame, names: Mapping[int, str], *, columns: int = 8
) -> Figure:
    """Show the images that are most typical of each content group.

    Parameters
    ----------
    root
        Where the images lie.
    images
        A row an image: ``image_id`` (its path below `root`), ``group`` and ``distance``, as
        `layerfusion.analysis.content.content_groups` returns them.
    names
        What stands beside each group's row, by its number.
    """
    sheet = []
    for number, own in images.groupby("group"):
        typical = own.nsmallest(columns, "distance")["image_id"]
        sheet.append(SheetRow(fill(names[number], 22), _pictures(root, typical)))  # type: ignore[index]
    return contact_sheet(sheet, columns=columns)


def _captioned(name: str, root: Path, images: pd.DataFrame, colour: str = "black") -> SheetRow:
    """Return a row of images, above each its class if known, platform, generator and logit."""
    captions = []
    for image in images.to_dict("records"):
        known = [image[key] for key in ("class", "platform", "generator") if key in image]
        names = [shorten(str(k), LONGEST_CAPTION, placeholder="...") for k in known if pd.notna(k)]
        captions.append("\n".join([*names, f"{image['beyond']:+.2f}"]))
    return SheetRow(name, _pictures(root, images["image_id"]), captions, colour)


def _pictures(root: Path, paths: Sequence[str] | pd.Series) -> list[Picture]:
    return [square_picture(root / path) for path in paths]
