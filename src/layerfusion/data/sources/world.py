"""Source kind `world`: a folder with the demo world's pictures, made where it is not there."""

import tempfile
from pathlib import Path

import joblib
import pandas as pd
from safetensors.torch import load_file

from layerfusion.arithmetic import recording
from layerfusion.data.manifest import Progress, file_table
from layerfusion.demo.generators import WEIGHTS_FOLDER
from layerfusion.demo.pictures import Picture, make, plan, scene_of
from layerfusion.errors import UserError
from layerfusion.model.weight_files import tensors_sha256
from layerfusion.recipe import RECIPE
from layerfusion.settings import DataSettings, WorldSource, digest

# Pictures to a job: enough to hide what a job costs, few enough for a smooth progress bar.
CHUNK = 32

# What `contents` says of a picture; shape and colour are those of the first group of things.
CONTENTS = ("path", "shape", "colour", "ground", "backdrop", "light")


def world_digest(settings: WorldSource) -> str:
    """Return the sha256, 64 hex digits, of all that the pictures depend on."""
    # Of the tensors, for the order of what is said about them differs from one saving to the next.
    weights = {
        path.stem: tensors_sha256(load_file(path))
        for path in sorted(WEIGHTS_FOLDER.glob("*.safetensors"))
    }
    made_of = {"settings": settings.model_dump(mode="json"), "recipe": RECIPE}
    return digest(made_of | {"weights": weights})


def make_world(
    settings: WorldSource, folder: Path, progress: Progress | None = None
) -> pd.DataFrame:
    """Make the pictures in a folder, unless they are there, and return their `file_table`.

    The same settings give the same bytes on one machine, whatever its number of free cores. The
    folder appears when all is made.

    Raises
    ------
    UserError
        If the folder holds something else.
    """
    pictures = list(plan(settings))
    mark = f".world-{world_digest(settings)}"  # an empty file in a finished folder
    if not (folder / mark).exists():
        if folder.exists():
            raise UserError(f"{folder} holds something other than these pictures; move it away")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as partial:
            made = Path(partial) / folder.name
            _make_all(pictures, made, progress)
            (made / mark).touch()
            try:
                made.rename(folder)
            except OSError:
                if not (folder / mark).exists():  # finished by another process in the meantime
                    raise
    return file_table(picture[:6] for picture in pictures)


def contents(settings: DataSettings) -> pd.DataFrame:
    """Return what each picture shows: path, and shape, colour, ground, backdrop and light.

    Shape and colour are those of the scene's first group of things.

    Raises
    ------
    UserError
        If the images are not those of a world.
    """
    (source, *others) = settings.sources
    if others or not isinstance(source, WorldSource):
        raise UserError("only of a world is it known what each picture shows; use profile 'demo'")
    rows = []
    for picture in plan(source):
        scene = scene_of(picture)
        shown = {"path": picture.path} | vars(scene) | vars(scene.groups[0][0])
        rows.append([shown[column] for column in CONTENTS])
    return pd.DataFrame(rows, columns=list(CONTENTS))


def _make_all(pictures: list[Picture], folder: Path, progress: Progress | None) -> None:
    jobs = 1 if len(pictures) < 4 * CHUNK else -1  # a process a core takes seconds to start
    if progress:
        progress(0, len(pictures))
    with recording():
        made = joblib.Parallel(jobs, return_as="generator_unordered", batch_size=CHUNK)(
            joblib.delayed(_write)(picture, folder / picture.path) for picture in pictures
        )
        for done, _ in enumerate(made, start=1):
            if progress:
                progress(done, len(pictures))


def _write(picture: Picture, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(make(picture))
