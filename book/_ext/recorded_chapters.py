"""A chapter's page shows a recorded execution: only a complete one, and it says of when.

The metadata ``layerfusion`` of a notebook (``recorded``, ``commit``, ``profile``) is written when
its chapter is executed. A notebook that has none is shown without a date.
"""

import os
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from nbformat import NotebookNode
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

from layerfusion.pages.chapters.source import read_chapter

logger = logging.getLogger(__name__)


def check(app: Sphinx, docname: str, source: list[str]) -> None:
    """Stop the build at a notebook that is not the execution of a chapter from start to end."""
    if Path(app.env.doc2path(docname)).suffix == ".ipynb":
        fault = fault_of(source[0])
        if fault:
            raise ExtensionError(
                f"chapter {docname} cannot be shown: its notebook {fault}; "
                f"record it anew with: layerfusion chapters run {docname} --publish"
            )


def fault_of(text: str) -> str | None:
    """Say what is wrong with a notebook's JSON text, or return None."""
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except (ValueError, TypeError, KeyError, AttributeError, nbformat.ValidationError):
        return "cannot be read"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in code:
        for output in cell.outputs:
            if output.output_type == "error":
                reason = " ".join(f"{output.ename}: {output.evalue}".split())
                return f"ends in an error ({reason[:200]})"
    if not code or [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        return "was not executed from its first cell to its last"
    return None


def annotate(app: Sphinx, doctree: nodes.document) -> None:
    """Say on a chapter's page when it was executed and whether it is up to date; offer its files.

    Comes before Sphinx looks for files to be downloaded, which then copies them into the site.
    """
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix == ".ipynb":
        notebook = nbformat.read(path, as_version=4)
        record = notebook.metadata.get("layerfusion", {})
        script = path.with_suffix(".py")
        if script.is_file():
            app.env.note_dependency(str(script))
            if changed(script, notebook):
                logger.info("%s: the script has changed since its execution", app.env.docname)
                page = next(doctree.findall(nodes.section), doctree)
                page.insert(1, stale_note(record))  # below the title
        # Of a linked notebook, the tables beside the file that the link leads to.
        tables = sorted(path.resolve().parent.glob(f"tables/{path.stem}-*.csv"))
        files = [file for file in (script, path) if file.is_file()]
        doctree += foot(record, files, tables, start=path.parent)


def changed(script: Path, notebook: NotebookNode) -> bool:
    """Whether a chapter's cells are others than those that its notebook was recorded from."""
    recorded = [
        (cell.cell_type, cell.source)
        for cell in notebook.cells
        if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    return recorded != [(cell.cell_type, cell.source) for cell in read_chapter(script).cells]


def stale_note(record: dict[str, Any]) -> nodes.note:
    """Return the note on a page whose script has changed since it was executed."""
    since = f", of {record['recorded']}" if record.get("recorded") else ""
    text = f"This is the chapter's last complete execution{since}. Its script has changed since."
    return nodes.note("", nodes.paragraph(text=text), classes=["stale-chapter"])


def foot(
    record: dict[str, Any], files: list[Path], tables: list[Path], *, start: Path
) -> nodes.container:
    """Return a page's last lines: when it was executed, its script and notebook, its tables.

    Paths are written as seen from the folder `start`, the page's own.
    """
    profile = record.get("profile")
    lines = nodes.container(classes=["chapter-foot"])
    if record.get("recorded"):
        lines += nodes.paragraph(text=executed(record))
    lines += downloads("This chapter", {path.name: os.path.relpath(path, start) for path in files})
    if tables:
        suffix = f" ({profile})" if profile else ""
        links = {
            path.name.partition("-")[2] + suffix: os.path.relpath(path, start) for path in tables
        }
        lines += downloads("Tables of this chapter", links)
    return lines


def executed(record: dict[str, Any]) -> str:
    """Say in one line when, on which profile and at which commit a chapter was executed."""
    details = [f"{name} {record[name]}" for name in ("profile", "commit") if record.get(name)]
    return f"Executed {record['recorded']}" + (f" ({', '.join(details)})" if details else "")


def downloads(title: str, links: dict[str, str]) -> nodes.paragraph:
    """Return a line of links, paths by their texts, to files that Sphinx copies into the site."""
    line = nodes.paragraph("", f"{title}: ")
    for number, (text, path) in enumerate(links.items()):
        line += nodes.Text(", " if number else "")
        line += addnodes.download_reference("", text, reftarget=path)
    return line


def setup(app: Sphinx) -> dict[str, Any]:
    """Check what is read; write on it before Sphinx, at priority 500, collects downloads."""
    app.connect("source-read", check)
    app.connect("doctree-read", annotate, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
