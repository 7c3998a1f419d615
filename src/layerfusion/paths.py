"""Where things lie, whatever directory a command, notebook or test was started in."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def project_root() -> Path:
    """Return the checkout that the package is installed from, else the current directory."""
    checkout = PACKAGE.parents[1]
    return checkout if (checkout / "_toc.yml").is_file() else Path.cwd()


def runs_root() -> Path:
    """Return the folder of all runs: ``$LAYERFUSION_RUNS`` if set, else ``runs`` in the project."""
    chosen = os.environ.get("LAYERFUSION_RUNS")
    return Path(chosen) if chosen else project_root() / "runs"


def cache_root() -> Path:
    """Return the user's cache: a folder of what can be fetched or computed again.

    It is ``$LAYERFUSION_CACHE`` if set, else ``layerfusion`` in ``$XDG_CACHE_HOME``, else in
    ``~/.cache``.
    """
    chosen = os.environ.get("LAYERFUSION_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "layerfusion"


def shown(path: Path) -> str:
    """Return a path as a page may print it: relative to the project, or its last part alone."""
    try:
        return path.resolve().relative_to(project_root().resolve()).as_posix()
    except ValueError:
        return path.name
