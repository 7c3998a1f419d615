"""Pages that are written by what they describe: the commands by their help, chapters by their runs.

Such a page has a line ``<!-- name -->`` where the text comes that this module makes. Objects of
other projects are linked by a list in this module, since a build asks no network for theirs.
"""

import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import typer
from sphinx.application import Sphinx
from sphinx.config import Config
from typer.cli import get_docs_for_click

from layerfusion.cli.main import app as command_line
from layerfusion.files import in_place_of

# Options of every command, which its page describes once.
COMMON = re.compile(
    r"^\* `(?:-q, --quiet|-v, --verbose|--help|--(?:install|show)-completion)`:.*\n", re.MULTILINE
)

# Objects that the package's public signatures name: project, address, role and page of each.
ELSEWHERE = {
    "python": (
        "https://docs.python.org/3/",
        {"pathlib.Path": ("py:class", "library/pathlib.html")},
    ),
    "torch": (
        "https://docs.pytorch.org/docs/stable/",
        {
            "torch.Tensor": ("py:class", "tensors.html"),
            "torch.nn.Module": ("py:class", "generated/torch.nn.Module.html"),
            "torch.device": ("py:class", "tensor_attributes.html"),
        },
    ),
    "pandas": (
        "https://pandas.pydata.org/docs/",
        {"pandas.DataFrame": ("py:class", "reference/api/pandas.DataFrame.html")},
    ),
    "sklearn": (
        "https://scikit-learn.org/stable/",
        {
            "sklearn.base.BaseEstimator": (
                "py:class",
                "modules/generated/sklearn.base.BaseEstimator.html",
            ),
            "sklearn.base.ClassifierMixin": (
                "py:class",
                "modules/generated/sklearn.base.ClassifierMixin.html",
            ),
        },
    ),
}


def commands(book: Path) -> str:
    """Return the help of every command, as Markdown."""
    command = typer.main.get_command(command_line)
    with typer.Context(command, info_name="layerfusion") as context:
        text = get_docs_for_click(obj=command, ctx=context, name="layerfusion")
    _, _, sections = text.partition("\n## ")  # what stands above is the page's own introduction
    return COMMON.sub("", f"## {sections}").replace("**Options**:\n\n\n", "")


def status(book: Path) -> str:
    """Return a table of the chapters that are shown: on which profile, at which commit, when."""
    rows = ["| Chapter | Profile | Executed | Commit | Seconds | Processor |", "|" + "---|" * 6]
    for path in filter(Path.is_file, sorted(book.glob("[0-9][0-9]_*.ipynb"))):
        record = nbformat.read(path, as_version=4).metadata.get("layerfusion", {})
        names = ("profile", "recorded", "commit", "seconds", "processor")
        cells = [str(record.get(name) or "not recorded") for name in names]
        rows.append(f"| [{path.stem[:2]}]({path.stem}) | {' | '.join(cells)} |")
    return "\n".join(rows)


PAGES: dict[str, Callable[[Path], str]] = {"commands": commands, "status": status}


def write(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put a page's text where its line says so."""
    if docname in PAGES:
        source[0] = source[0].replace(f"<!-- {docname} -->", PAGES[docname](Path(app.srcdir)))


def link_elsewhere(app: Sphinx, config: Config) -> None:
    """Tell intersphinx where objects of other projects are described."""
    for project, (address, objects) in ELSEWHERE.items():
        file = Path(app.doctreedir, "inventories", f"{project}.inv")
        file.parent.mkdir(parents=True, exist_ok=True)
        head = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
        lines = [f"{name} {role} 1 {page}#$ -\n" for name, (role, page) in objects.items()]
        with in_place_of(file) as partial:
            partial.write_bytes(
                f"{head}# The remainder of this file is compressed using zlib.\n".encode()
                + zlib.compress("".join(lines).encode())
            )
        config.intersphinx_mapping[project] = (address, str(file))


def setup(app: Sphinx) -> dict[str, Any]:
    """Come before intersphinx, which reads its mapping when the configuration is complete."""
    app.connect("config-inited", link_elsewhere, priority=100)
    app.connect("source-read", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
