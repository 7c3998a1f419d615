"""Sheets of pictures, a named row each: images of a data set, and the demo world's scenes."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import fill, shorten
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageOps

from layerfusion.data.manifest import SPLITS, Manifest
from layerfusion.demo.cameras import CAMERAS, Camera, photograph
from layerfusion.demo.generators import GENERATORS, load_generator
from layerfusion.demo.platforms import PLATFORMS, share
from layerfusion.demo.rendering import render
from layerfusion.demo.scenes import draw_scene
from layerfusion.errors import UserError
from layerfusion.images.reading import ImageError, read_image
from layerfusion.metrics.classes import CLASSES, class_names
from layerfusion.metrics.flips import NONE
from layerfusion.metrics.probability import decide, threshold_logit
from layerfusion.pages.figures.errors import ERRORS
from layerfusion.pages.figures.style import COLOURS, SHADES, finish

Picture = NDArray[np.uint8]

SIDE = 128  # px of a picture on the sheet
GAP = 4  # px between pictures
COLUMNS = 8  # pictures of a data set in a row, at most
CAPTIONED = 6  # of those with captions, which must be readable
SCENES = 6  # of the demo world
CAMERA = CAMERAS[1]  # behind every picture whose camera is not the point
LONGEST_NAME = 24
LONGEST_CAPTION = 13


class SheetRow(NamedTuple):
    """A row of a sheet: its name, pictures of one shape (side, side, 3), a caption above each."""

    name: str
    pictures: Sequence[Picture]
    captions: Sequence[str] = ()
    colour: str = "black"


def contact_sheet(rows: Sequence[SheetRow]) -> Figure:
    """Draw rows of pictures below each other, white where a row is shorter than the longest."""
    columns = max(1, *(len(row.pictures) for row in rows))
    lines = max((text.count("\n") + 1 for row in rows for text in row.captions), default=0)
    figure, grid = plt.subplots(
        len(rows), 1, figsize=(0.78 * columns + 1.6, (0.78 + 0.13 * lines) * len(rows)), dpi=165,
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for axes, row in zip(grid.flat, rows, strict=True):
        side = len(row.pictures[0]) if row.pictures else SIDE
        strip = np.full((side, columns, side + GAP, 3), 255, dtype=np.uint8)
        for number, picture in enumerate(row.pictures):
            strip[:, number, :side] = picture
        axes.imshow(strip.reshape(side, -1, 3)[:, :-GAP], interpolation="nearest")
        name: dict[str, Any] = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 9}
        axes.set_ylabel(row.name, color=row.colour, **name)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("none")  # `finish` makes two of them visible again
        for number, caption in enumerate(row.captions):
            middle = number * (side + GAP) + side / 2
            axes.text(middle, -GAP, caption, ha="center", va="bottom", fontsize=7)
    return finish(figure)


def sample_sheet(manifest: Manifest, *, seed: int = 0) -> Figure:
    """Draw a row of random images for each split, source and class.

    Of an image its central square is shown, of a file that cannot be decoded a grey tile.

    Parameters
    ----------
    seed
        Which images: of the same rows the same, whatever their order and whatever else there is.

    Raises
    ------
    UserError
        If there are no images.
    """
    rows = manifest.rows.assign(name=class_names(manifest.rows["label"])).sort_values("path")
    rows["split"] = pd.Categorical(rows["split"], SPLITS, ordered=True)
    sheet = []
    for (split, source, name), own in rows.groupby(["split", "source", "name"], observed=True):
        chosen = own.sample(min(COLUMNS, len(own)), random_state=seed)
        place = shorten(f"{split}, {source}", LONGEST_NAME, placeholder="...")
        text = f"{place}\n{name}\n{len(own):,} images"
        pictures = _pictures(manifest.root, chosen["path"])
        sheet.append(SheetRow(text, pictures, colour=SHADES[str(name)]))
    if not sheet:
        raise UserError(f"there are no images in {manifest.root} to be shown")
    return contact_sheet(sheet)


def error_gallery(manifest: Manifest, predictions: pd.DataFrame, threshold: float) -> Figure:
    """Show the most confident errors of each class; a row without an error says so.

    Above each: platform and generator, where known, and by how much its logit is beyond the
    threshold's.

    Parameters
    ----------
    manifest
        Of the predicted images, for their files.
    predictions
        As `layerfusion.scoring.predictions.predict_each` returns them, with labels.
    threshold
        The probability from which an image is predicted synthetic.
    """
    called = decide(predictions["logit"], threshold)
    scored = predictions.assign(beyond=predictions["logit"] - threshold_logit(threshold))
    sheet = []
    for label, name in CLASSES.items():
        wrong = scored[(scored["label"] == label) & (called == (label == 0))]
        text = f"{name}\n{ERRORS[name]}" if len(wrong) else f"{name}\nno {ERRORS[name]}"
        sheet.append(_furthest(text, manifest.root, wrong, "beyond", COLOURS[name]))
    return contact_sheet(sheet)


def flips_gallery(manifest: Manifest, flips: pd.DataFrame) -> Figure:
    """Show the predictions that flip with the largest change of margin: corrected ones above.

    Above each: class, platform, generator, and the change of its margin.

    Parameters
    ----------
    manifest
        Of the images, for their files.
    flips
        As `layerfusion.metrics.flips.flips` returns it.
    """
    known = flips.replace({NONE: None})  # of what an image has not, nothing is said
    return contact_sheet(
        [
            _furthest(flip, manifest.root, known[known["flip"] == flip], "change_of_margin")
            for flip in ("corrected", "regressed")
        ]
    )


def content_sheet(root: Path, images: pd.DataFrame, names: Mapping[int, str]) -> Figure:
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
    typical = images.sort_values("distance", kind="stable").groupby("group").head(COLUMNS)
    sheet = []
    for number in sorted(set(typical["group"])):
        own = typical.loc[typical["group"] == number, "image_id"]
        sheet.append(SheetRow(fill(names[number], 22), _pictures(root, own)))
    return contact_sheet(sheet)


def camera_sheet() -> Figure:
    """Draw a row a camera: the real pictures of the world, before JPEG."""
    return contact_sheet([SheetRow(camera.name, _photographs(camera)) for camera in CAMERAS])


def generator_sheet() -> Figure:
    """Draw a row of photographs, then a row a generator: what it makes of them."""
    photographs = _photographs()
    rows = [SheetRow("photograph", photographs)]
    for name in GENERATORS:
        made = load_generator(name).generate(np.stack(photographs), seeds=range(SCENES))
        rows.append(SheetRow(name, list(made)))
    return contact_sheet(rows)


def platform_sheet() -> Figure:
    """Draw a row of photographs, then a row a platform: what it shows of them, at one size."""
    photographs = _photographs()
    rows = [SheetRow("photograph", photographs)]
    for name, platform in PLATFORMS.items():
        rng = np.random.default_rng(0)
        files = [share(Image.fromarray(photo), platform, rng) for photo in photographs]
        shown = [Image.open(io.BytesIO(file)) for file in files]
        size, nearest = (SIDE, SIDE), Image.Resampling.NEAREST
        rows.append(SheetRow(name, [np.asarray(one.resize(size, nearest)) for one in shown]))
    return contact_sheet(rows)


def _furthest(
    name: str, root: Path, images: pd.DataFrame, column: str, colour: str = "black"
) -> SheetRow:
    """Return the images with the largest absolute values of a column, captions above them."""
    chosen = images.sort_values(column, key=np.abs, ascending=False, kind="stable").head(CAPTIONED)
    captions = []
    for image in chosen.to_dict("records"):
        known = [image.get(key) for key in ("class", "platform", "generator")]
        names = [shorten(str(k), LONGEST_CAPTION, placeholder="...") for k in known if pd.notna(k)]
        captions.append("\n".join([*names, f"{image[column]:+.2f}"]))
    return SheetRow(name, _pictures(root, chosen["image_id"]), captions, colour)


def _pictures(root: Path, paths: Iterable[str]) -> list[Picture]:
    """Return the central squares of images, shape (SIDE, SIDE, 3); grey of a damaged one."""
    pictures = []
    for path in paths:
        try:
            image = read_image(root / path)
        except ImageError:
            image = Image.new("RGB", (SIDE, SIDE), (200, 200, 200))
        pictures.append(np.asarray(ImageOps.fit(image, (SIDE, SIDE), Image.Resampling.LANCZOS)))
    return pictures


def _photographs(camera: Camera = CAMERA) -> list[Picture]:
    """Return the same scenes as a camera takes them."""
    scenes = [draw_scene(np.random.default_rng([0, 4, index])) for index in range(SCENES)]
    return [
        photograph(render(scene, SIDE, SIDE), camera, np.random.default_rng(index))
        for index, scene in enumerate(scenes)
    ]
