"""A page built by Sphinx in this process."""

import io
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils


def build_site(folder: Path, page: str, settings: dict[str, Any]) -> tuple[str, str]:
    """Build a folder below its ``_build``; return a page's HTML and Sphinx's warnings."""
    made, warnings = folder / "_build", io.StringIO()
    with patch_docutils(), docutils_namespace():
        Sphinx(
            folder, None, made / "html", made / "trees", "html",
            confoverrides=settings | {"root_doc": page}, status=None, warning=warnings,
        ).build()  # fmt: skip
    return (made / "html" / f"{page}.html").read_text(encoding="utf-8"), warnings.getvalue()
