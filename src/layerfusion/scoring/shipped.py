"""The detectors that come with the package, and whether the weights that one needs are here."""

from pathlib import Path

from layerfusion.errors import UserError
from layerfusion.model.folder import TRAINED, read_description
from layerfusion.model.known_weights import KNOWN
from layerfusion.paths import PACKAGE

DEMO = "demo"  # what the toy is called wherever a detector can be named

# The toy: trained on pictures that this project makes, on top of a small encoder. Its scores mean
# nothing for real photographs, as its `notice` says.
DEMO_FOLDER = PACKAGE / "scoring" / "demo_detector"
DEFAULT_FOLDER = PACKAGE / "scoring" / "photographs_detector"

_OR_THE_TOY = f" (or try the toy: --detector {DEMO})"


def detector_folder(named: str | Path | None = None, *, weights: str | None = None) -> Path:
    """Return the folder of a detector that a person names, once it is known that it can be loaded.

    Nothing large is read for that, so it can come before anything that takes time.

    Parameters
    ----------
    named
        ``"demo"``, the toy; a folder, such as ``detector`` of a finished run (one that is called
        demo is ``"./demo"``, or a `Path`); None for the default, the package's own of photographs.
    weights
        Where the frozen weights lie, or what they are called, if not as the description says.

    Raises
    ------
    UserError
        If the default is not in this copy of the package, or the weights are known by a name and
        not on this machine.
    """
    if named is None:
        folder, called, otherwise = DEFAULT_FOLDER, "the default detector", _OR_THE_TOY
        if not (folder / TRAINED).is_file():
            raise UserError(
                "this copy of layerfusion comes without its default detector; name the folder of "
                f"another{_OR_THE_TOY}"
            )
    elif named == DEMO:
        folder, called, otherwise = DEMO_FOLDER, "the demo detector", ""
    else:
        folder, called, otherwise = Path(named), f"the detector in {named}", ""
    needed = KNOWN.get(weights or _described_weights(folder))
    if needed and needed.file() is None:
        raise UserError(
            f"{called} needs the weights '{needed.name}', which are not on this machine; get them "
            f"with: {needed.command}{otherwise}"
        )
    return folder


def _described_weights(folder: Path) -> str:
    """Return `encoder.weights` of a description; nothing if it is none, as loading it will say."""
    try:
        return read_description(folder).encoder.weights
    except UserError:
        return ""
