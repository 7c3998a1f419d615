"""From a profile's sources to the manifest of their images."""

from pathlib import Path

import pandas as pd

from layerfusion.data.labels import label_test_images
from layerfusion.data.manifest import Manifest, Progress
from layerfusion.data.scanning import scan
from layerfusion.data.sources.registry import find_files
from layerfusion.data.sources.tree import existing_folder
from layerfusion.errors import UserError
from layerfusion.settings import DataSettings, WorldSource


def open_data(
    settings: DataSettings,
    *,
    data_root: Path | None,
    cache: Path,
    progress: Progress | None = None,
) -> Manifest:
    """Find the images of all sources and scan every file, or those that are new.

    Parameters
    ----------
    settings
        The sources; a relative path of a layout or of labels is one below `data_root`.
    data_root
        The folder that holds the images; None for a profile that makes its own.
    cache
        Where images may be made, and where what was read of files is kept (in ``scanned``).
    progress
        Called with the number of files done and of all files.

    Raises
    ------
    UserError
        If a data root is needed and missing, or given and useless, sources do not go together,
        images are not as their source's module says, or labels not as `label_test_images` does.
    """
    root = images_root(settings, data_root, cache)
    files = pd.concat([find_files(source, root, progress).files for source in settings.sources])
    twice = files["path"].duplicated()
    if twice.any():
        raise UserError(
            f"two sources of the profile both claim {root / files['path'][twice].iloc[0]}"
        )
    if settings.test_labels is not None:
        files = label_test_images(files, root / settings.test_labels)
    return scan(
        root,
        files.sort_values("path", ignore_index=True),
        hash_files=settings.hash_files,
        decode_files=settings.decode_files,
        cache=cache / "scanned",
        progress=progress,
    )


def images_root(settings: DataSettings, data_root: Path | None, cache: Path) -> Path:
    """Return the folder that all sources' paths are relative to.

    Raises
    ------
    UserError
        If a data root is needed and missing, or given and useless, or sources do not go together.
    """
    if not settings.sources:
        raise UserError("the profile has no data sources; name one under data.sources")
    worlds = [source for source in settings.sources if isinstance(source, WorldSource)]
    if not worlds:
        if data_root is None:
            raise UserError(
                "this profile reads images from a folder; give it with --data-root, or "
                "-p data_root in a chapter"
            )
        return existing_folder(data_root)
    if len(settings.sources) > 1:
        raise UserError("a world has a root of its own; it must be a profile's only source")
    if data_root is not None:
        raise UserError(
            f"this profile makes its own images and would not read {data_root}; leave out the data "
            "root, or choose the profile 'folder'"
        )
    from layerfusion.data.sources.world import world_digest  # needs torch: seconds to load

    return cache / f"world-{world_digest(worlds[0])[:10]}"
