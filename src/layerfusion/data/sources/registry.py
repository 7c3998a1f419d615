"""All kinds of sources by name: how each finds its images, and what its publisher says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerfusion.data.manifest import Progress
from layerfusion.data.sources.coco import COCO, find_coco
from layerfusion.data.sources.corvi import CORVI, find_corvi
from layerfusion.data.sources.folder import find_folder_images
from layerfusion.data.sources.itw_sm import ITW_SM, find_itw_sm
from layerfusion.data.sources.mediaeval_test import MEDIAEVAL_TEST, find_mediaeval_test
from layerfusion.data.sources.published import PublicDataSet
from layerfusion.data.sources.synthbuster import SYNTHBUSTER, find_synthbuster
from layerfusion.data.sources.tree import Found
from layerfusion.data.sources.truefake import TRUEFAKE, find_truefake
from layerfusion.data.sources.wang import WANG, find_wang
from layerfusion.settings import DataSettings, FolderSource, PublishedSource, Source, WorldSource


@dataclass(frozen=True)
class Publication:
    """A published data set, and the function that finds its images below a data root.

    Where nothing of the set is there, nothing is found: whether a run needs it is for the run to
    say.
    """

    data_set: PublicDataSet
    find: Callable[[Any, Path], Found]


# By kind, which is also the `source` of the images that runs train on.
PUBLISHED = {
    "coco": Publication(COCO, find_coco),
    "corvi": Publication(CORVI, find_corvi),
    "wang": Publication(WANG, find_wang),
    "truefake": Publication(TRUEFAKE, find_truefake),
    "itw_sm": Publication(ITW_SM, find_itw_sm),
    "mediaeval_test": Publication(MEDIAEVAL_TEST, find_mediaeval_test),
    "synthbuster": Publication(SYNTHBUSTER, find_synthbuster),
}


def find_files(source: Source, root: Path, progress: Progress | None = None) -> Found:
    """Find a source's images below a root; those of a world are made if they are not there.

    Raises
    ------
    UserError
        If there is no such root, or images are not as the source's module says.
    """
    if isinstance(source, WorldSource):
        from layerfusion.data.sources.world import (
            make_world,  # needs torch, which takes seconds to load
        )

        return Found(make_world(source, root, progress))
    if isinstance(source, FolderSource):
        layout = None if source.layout is None else root / source.layout
        return Found(find_folder_images(root, layout))
    return PUBLISHED[source.kind].find(source, root)


def advice(settings: DataSettings, kind: str, root: Path) -> str | None:
    """Say of a published set that is missing what it is, how big, where to get and to put it.

    Returns
    -------
    str or None
        One clause; None if the settings have no source of that kind.
    """
    for source in settings.sources:
        if isinstance(source, PublishedSource) and source.kind == kind:
            return PUBLISHED[kind].data_set.advice(root / source.folder)
    return None
