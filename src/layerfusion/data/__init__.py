"""Where images come from: one module a kind of source, all giving the same columns."""

from pathlib import Path
from typing import TYPE_CHECKING

from layerfusion.errors import UserError
from layerfusion.settings import DataSettings, FolderSource, WorldSource

if TYPE_CHECKING:  # the command line's help should not wait for pandas
    import pandas as pd

    from layerfusion.data.manifest import Manifest, Progress

__all__ = ["open_data"]


def open_data(
    settings: DataSettings,
    *,
    data_root: Path | None,
    cache: Path,
    progress: "Progress | None" = None,
) -> "Manifest":
    """Find the images of all sources and look at every file, or at those that are new.

    Parameters
    ----------
    settings
        The sources; a relative layout file is one below `data_root`.
    data_root
        The folder that holds the images; None for a profile that makes its own.
    cache
        Where images may be made, and where what was read of files is kept (in ``scanned``).
    progress
        Called with the number of files done and of all files.

    Raises
    ------
    UserError
        If a data root is needed and missing, or given and useless, sources do not go together, or
        a source's images are not as its module says.
    """
    import pandas as pd

    from layerfusion.data.scanning import scan

    root = _root(settings, data_root, cache)
    files = pd.concat([_find(source, root, progress) for source in settings.sources])
    twice = files["path"].duplicated()
    if twice.any():
        raise UserError(
            f"two sources of the profile both claim {root / files['path'][twice].iloc[0]}"
        )
    return scan(
        root,
        files.sort_values("path", ignore_index=True),
        hash_files=settings.hash_files,
        decode_files=settings.decode_files,
        cache=cache / "scanned",
        progress=progress,
    )


def _find(
    source: FolderSource | WorldSource, root: Path, progress: "Progress | None"
) -> "pd.DataFrame":
    """Return the files of a source below a root, as `layerfusion.data.manifest.file_table`."""
    if isinstance(source, WorldSource):
        # With it comes torch, which takes more memory than any manifest.
        from layerfusion.data.world import make_world

        return make_world(source, root, progress)
    from layerfusion.data.folder import find_folder_images

    return find_folder_images(root, None if source.layout is None else root / source.layout)


def _root(settings: DataSettings, data_root: Path | None, cache: Path) -> Path:
    """Return the folder that all sources' paths are relative to."""
    if not settings.sources:
        raise UserError("the profile has no data sources; name one under data.sources")
    worlds = [source for source in settings.sources if isinstance(source, WorldSource)]
    if not worlds:
        if data_root is None:
            raise UserError(
                "this profile reads images from a folder; give it with --data-root, or "
                "-p data_root in a chapter"
            )
        return data_root
    if len(settings.sources) > 1:
        raise UserError("a world has a root of its own; it must be a profile's only source")
    if data_root is not None:
        raise UserError(
            f"this profile makes its own images and would not read {data_root}; leave out the data "
            "root, or choose the profile 'folder'"
        )
    from layerfusion.data.world import world_digest

    return cache / f"world-{world_digest(worlds[0])[:10]}"
