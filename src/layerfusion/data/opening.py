"""From a profile's sources to the manifest of their images."""

from pathlib import Path

import pandas as pd

from layerfusion.data.labels import label_test_images
from layerfusion.data.manifest import Manifest, Progress
from layerfusion.data.scanning import scan
from layerfusion.data.sources.folder import SourceFiles, existing_folder, find_folder_images
from layerfusion.data.sources.published import PUBLISHED, find_published
from layerfusion.errors import UserError
from layerfusion.settings import DataSettings, FolderSource, PublishedSource, Source, WorldSource


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
    scans = scan(
        root,
        files.sort_values("path", ignore_index=True),
        hash_files=settings.hash_files,
        decode_files=settings.decode_files,
        cache=cache / "scanned",
        progress=progress,
    )
    return Manifest.of_scans(root, scans)


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


def find_files(source: Source, root: Path, progress: Progress | None = None) -> SourceFiles:
    """Find a source's images below a root; those of a world are made if they are not there.

    Raises
    ------
    UserError
        If there is no such root, or images are not as the source's module says.
    """
    if isinstance(source, WorldSource):
        # Needs torch, which takes seconds to load.
        from layerfusion.data.sources.world import make_world

        return SourceFiles(make_world(source, root, progress))
    if isinstance(source, FolderSource):
        layout = None if source.layout is None else root / source.layout
        return SourceFiles(find_folder_images(root, layout))
    return find_published(source, root)


def advice(settings: DataSettings, kind: str, root: Path) -> str | None:
    """Say of a published set that is missing what it is, how big, where to get and to put it.

    Returns
    -------
    str or None
        One clause; None if the settings have no source of that kind.
    """
    for source in settings.sources:
        if isinstance(source, PublishedSource) and source.kind == kind:
            return PUBLISHED[kind].advice(source, root)
    return None
