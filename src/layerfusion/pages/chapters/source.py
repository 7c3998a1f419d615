"""Reading a chapter's percent script as a notebook; how papermill learns to do the same.

Papermill imports this module when it is itself half imported (it looks for handlers first thing),
so nothing here may import papermill, or anything heavy, before it is called.
"""

import warnings
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

# Papermill warns of every input that is no .ipynb before it asks the handler for it.
warnings.filterwarnings("ignore", message=r"The specified file \(.*\.py\) does not end in one of")


def read_chapter(path: Path) -> NotebookNode:
    """Read a chapter as a notebook whose cell ids depend on its name and their order alone.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    return with_stable_ids(jupytext.read(path), path.stem)


def with_stable_ids(notebook: NotebookNode, name: str) -> NotebookNode:
    """Set the id of every cell from a chapter's name and the cell's place in it."""
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"{name.replace('_', '-')}-{index:03d}"
    return notebook


class ChapterHandler:
    """A papermill handler that reads chapters from ``.py``, and is its `LocalHandler` otherwise."""

    def read(self, path: str) -> str:
        """Return the notebook at `path` as JSON text."""
        if Path(path).suffix != ".py":
            return str(self.__getattr__("read")(path))
        return str(nbformat.writes(read_chapter(Path(path))))

    def __getattr__(self, name: str) -> Any:
        from papermill.iorw import LocalHandler

        return getattr(LocalHandler(), name)


chapter_handler = ChapterHandler()
