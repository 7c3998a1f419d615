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
    """Return the user's cache: ``$LAYERFUSION_CACHE``, or ``layerfusion`` in ``~/.cache``.

    ``$XDG_CACHE_HOME`` stands for ``~/.cache`` where it is set.
    """
    chosen = os.environ.get("LAYERFUSION_CACHE")
    parent = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(chosen or Path(parent) / "layerfusion").expanduser()


def shown(path: Path) -> str:
    """Return a path as a page may print it: relative to the project, or its last part alone."""
    try:
        return path.resolve().relative_to(project_root().resolve()).as_posix()
    except ValueError:
        return path.name
