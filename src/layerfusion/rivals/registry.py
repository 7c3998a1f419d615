"""All rivals, in the order of pages. One more is one file beside this one, and one entry here."""

import importlib
import inspect
from functools import partial

from layerfusion.errors import UserError
from layerfusion.rivals.linear_probe import fit_linear_probe
from layerfusion.rivals.linear_svm import fit_linear_svm
from layerfusion.rivals.rine import PUBLISHED, fit_rine
from layerfusion.rivals.rival import Rival

ALL = (
    Rival("linear-probe", "linear probe (Ojha 2023)", fit_linear_probe, "linear_probe"),
    Rival("linear-svm", "linear SVM (Cozzolino 2024)", fit_linear_svm, "linear_svm"),
    Rival("rine", "RINE (Koutlis 2024)", partial(fit_rine, sizes=PUBLISHED["4-class"]), "rine"),
)
RIVALS = {rival.name: rival for rival in ALL}

DIFFERENCES = "Differences from its public code\n"  # heading in a module's docstring


def rivals_named(names: list[str]) -> list[Rival]:
    """Return rivals by name, in the order given, each once.

    Raises
    ------
    UserError
        If there is no such rival, or none is named.
    """
    for name in names:
        if name not in RIVALS:
            raise UserError(f"there is no rival '{name}'; there are {', '.join(RIVALS)}")
    if not names:
        raise UserError(f"no rival is named; there are {', '.join(RIVALS)}")
    return [RIVALS[name] for name in dict.fromkeys(names)]


def source(rival: Rival) -> str:
    """Return who published a rival, and under which name it is known: one line."""
    return _docstring(rival).partition("\n")[0]


def differences(rival: Rival) -> list[str]:
    """Return in what a rival differs from its public code, a sentence or more each."""
    listed = _docstring(rival).partition(DIFFERENCES)[2].partition("\n")[2]
    return [" ".join(item.split()) for item in ("\n" + listed).split("\n- ")[1:]]


def _docstring(rival: Rival) -> str:
    module = importlib.import_module(f"layerfusion.rivals.{rival.module}")
    return inspect.getdoc(module) or ""
