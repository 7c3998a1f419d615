"""All kinds of sources: how each finds its images."""

from pathlib import Path

from layerfusion.data.manifest import Progress
from layerfusion.data.sources.folder import find_folder_images
from layerfusion.data.sources.published import PUBLISHED, find_published
from layerfusion.data.sources.tree import SourceFiles
from layerfusion.settings import DataSettings, FolderSource, PublishedSource, Source, WorldSource


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
            return PUBLISHED[kind].advice(PUBLISHED[kind].place(source, root))
    return None
