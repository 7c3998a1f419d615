"""Options of the theme that Jupyter Book's configuration does not know.

Named in `_config.yml` under ``sphinx``, they would take the place of those that it does know.
"""

from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config


def choose(app: Sphinx, config: Config) -> None:
    """Link to a page's source wherever it can be edited; have one search box.

    The second box, in a bar of its own, comes from a base theme newer than the book's theme.
    """
    options = config.html_theme_options
    options["use_source_button"] = options.get("use_edit_page_button", False)
    options["navbar_persistent"] = []


def mend(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Take a role from docutils' bibliographies, whose entries do not fit it."""
    if "body" in context:
        context["body"] = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )


def setup(app: Sphinx) -> dict[str, Any]:
    """Come before the themes, which read their options when the builder is made."""
    app.connect("config-inited", choose)
    app.connect("html-page-context", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
