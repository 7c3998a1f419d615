"""Source and edit buttons of a chapter lead to its script: the notebook is recorded from it."""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


def name_script(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Tell the theme the suffix of the file that a person would read or edit."""
    if Path(app.srcdir, f"{pagename}.py").is_file():
        context["page_source_suffix"] = ".py"


def setup(app: Sphinx) -> dict[str, Any]:
    """Come before the theme, whose buttons are made at the same event with priority 500."""
    app.connect("html-page-context", name_script, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
