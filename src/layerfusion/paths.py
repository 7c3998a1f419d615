"""Where things lie, whatever directory a command, notebook or test was started in."""

import os
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent

_HOME = re.compile(r"(--[\w-]+=|)(~(?:/.*)?)", re.DOTALL)


def with_home(text: str) -> str:
    """Return a path whose ``~`` is the user's home; any other text as it is.

    A shell replaces it only where a word begins with it: not in ``--out=~/scores.csv``, in a
    setting or in a variable of the environment.
    """
    match = _HOME.fullmatch(text)
    return text if match is None else match[1] + os.path.expanduser(match[2])  # noqa: PTH111


def project_root() -> Path:
    """Return the checkout that the package is installed from, else the current directory."""
    checkout = PACKAGE.parents[1]
    return checkout if (checkout / "_toc.yml").is_file() else Path.cwd()


def runs_root() -> Path:
    """Return the folder of all runs: ``$LAYERFUSION_RUNS`` if set, else ``runs`` in the project."""
    chosen = os.environ.get("LAYERFUSION_RUNS")
    return Path(with_home(chosen)) if chosen else project_root() / "runs"


def reference_folder(profile: str) -> Path:
    """Return where a profile's committed chapters, runs and studies lie."""
    return project_root() / "runs" / "reference" / profile


def cache_root() -> Path:
    """Return the user's cache: a folder of what can be fetched or computed again.

    It is ``$LAYERFUSION_CACHE`` if set, else ``layerfusion`` in ``$XDG_CACHE_HOME``, else in
    ``~/.cache``.
    """
    chosen = os.environ.get("LAYERFUSION_CACHE")
    if chosen:
        return Path(with_home(chosen))
    return Path(with_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "layerfusion"


def shown(path: Path) -> str:
    """Return a path as a page may print it: relative to the project, or its last part alone."""
    try:
        return path.resolve().relative_to(project_root().resolve()).as_posix()
    except ValueError:
        return path.name
