"""Buttons of a chapter lead to its script, from which the notebook is recorded, and offer both."""

import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


def name_script(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Tell the theme which file a person would read or edit, and that there is a notebook too."""
    script = Path(app.srcdir, f"{pagename}.py")
    if script.is_file():
        sources = Path(app.outdir, "_sources")
        (sources / pagename).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(script, sources / f"{pagename}.py")
        context["page_source_suffix"] = ".py"
        context["ipynb_source"] = context["sourcename"]
        context["sourcename"] = f"{pagename}.py"


def name_notebook(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Give Sphinx back its own name of the source: under it, it copies the notebook."""
    if "ipynb_source" in context:
        context["sourcename"] = context["ipynb_source"]


def setup(app: Sphinx) -> dict[str, Any]:
    """Stand before and behind the theme, whose buttons are made at the same event at 501."""
    app.connect("html-page-context", name_script, priority=400)
    app.connect("html-page-context", name_notebook, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
