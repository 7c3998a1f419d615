"""A build with a warning fails as with ``-W --keep-going``, whoever starts it and however often."""

from pathlib import Path
from typing import Any

from sphinx.application import ENV_PICKLE_FILENAME, Sphinx


def read_all_again(app: Sphinx, exception: Exception | None) -> None:
    """Make the next build read every page: it would not repeat a warning of a page it kept."""
    if app._warncount:
        Path(app.doctreedir, ENV_PICKLE_FILENAME).unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Let Sphinx show all warnings, and then exit with 1."""
    app.keep_going = True
    app.connect("build-finished", read_all_again)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
