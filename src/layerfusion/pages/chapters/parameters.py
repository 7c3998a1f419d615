"""A chapter's parameters, and the committed record that its run is compared with."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerfusion.errors import UserError
from layerfusion.paths import project_root

if TYPE_CHECKING:  # it loads torch, which takes seconds
    from layerfusion.runs.experiment import Experiment

PARAMETERS = {
    "profile": (str,),
    "seed": (int,),
    "data_root": (str, type(None)),
    "fresh": (bool,),
    "settings": (dict,),
}

# Set while chapters are executed for publication: where their run records are to be laid.
PUBLISHING = "LAYERFUSION_PUBLISHING"


def chapter_paths() -> dict[str, Path]:
    """Return the chapters' scripts by name (``02_constrained_run``), in the book's order."""
    folder = project_root() / "book"
    return {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.py"))}


def open_chapter(run: str, namespace: Mapping[str, Any]) -> "Experiment":
    """Open the experiment that a chapter's parameters describe.

    Parameters
    ----------
    run
        The run that the chapter is about.
    namespace
        As `checked_parameters` takes it.

    Raises
    ------
    UserError
        As `checked_parameters`, or if `Experiment.open` objects.
    """
    given = checked_parameters(namespace)
    from layerfusion.runs.experiment import Experiment

    chosen = {name: given[name] for name in ("profile", "seed", "data_root")}
    return Experiment.open(run, **chosen, overrides=given["settings"])


def checked_parameters(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chapter's parameters, where it opens no experiment and reads tables alone.

    Parameters
    ----------
    namespace
        The chapter's ``globals()``, before it defines anything but its parameters: papermill lets
        an unknown parameter pass with a warning, and a misspelt seed must not train for a day.

    Raises
    ------
    UserError
        If a parameter is unknown or of the wrong type.
    """
    plain = (str, int, float, bool, list, dict, tuple, type(None))
    given: dict[str, Any] = {
        name: value
        for name, value in namespace.items()
        if isinstance(value, plain) and not name.startswith("_") and name not in ("In", "Out")
    }
    unknown = given.keys() - PARAMETERS.keys()
    if unknown:
        raise UserError(
            f"there is no parameter '{min(unknown)}'; this chapter knows {', '.join(PARAMETERS)}"
        )
    for name, types in PARAMETERS.items():
        if type(given.get(name)) not in types:
            wanted = " or ".join("None" if t is type(None) else t.__name__ for t in types)
            raise UserError(
                f"parameter '{name}' is {given.get(name)!r}; it must be of type {wanted}"
            )
    return given
