"""All baselines, in the order of pages. One more is one file beside this one, and one line here."""

import importlib
import inspect
from functools import partial

from layerfusion.experiments.baselines import (
    gradient_descent,
    lattice,
    linear_probe,
    linear_svm,
    neighbours,
    rine,
    side_by_side,
)
from layerfusion.experiments.baselines.baseline import Baseline
from layerfusion.experiments.baselines.mold import fit_mold
from layerfusion.experiments.baselines.simlbr import fit_simlbr

TRIES = gradient_descent.TRIES
side, svm = side_by_side, linear_svm

ALL = (
    Baseline("linear-probe", "linear probe (Ojha 2023)", linear_probe.fit_linear_probe,
             "linear_probe", linear_probe.TRIES),
    *(
        Baseline(f"nearest-{k}", f"{k} nearest (Ojha 2023)",
                 partial(neighbours.fit_neighbours, k=k), "neighbours", drawn=False)
        for k in neighbours.NEIGHBOURS
    ),
    Baseline("linear-svm", "linear SVM (Cozzolino 2024)", svm.fit_linear_svm, "linear_svm",
             svm.TRIES, drawn=False),
    Baseline("rine", "RINE (Koutlis 2024)", rine.fit_rine, "rine", rine.TRIES),
    Baseline("mold", "MoLD (2025)", fit_mold, "mold", TRIES),
    Baseline("simlbr", "SimLBR (Dhakal 2026)", fit_simlbr, "simlbr", TRIES),
    Baseline("side-by-side", "tokens side by side", side.fit_side_by_side, "side_by_side",
             side.TRIES, drawn=False),
    Baseline("side-by-side-patches", "patch tokens side by side", side.fit_side_by_side,
             "side_by_side", side.TRIES, "patches", drawn=False),
    Baseline("side-by-side-both", "class and patch tokens side by side", side.fit_side_by_side,
             "side_by_side", side.TRIES, "both", drawn=False),
)  # fmt: skip
BASELINES = {baseline.name: baseline for baseline in ALL}
FUSIONS = {
    form.name: Baseline(form.name, form.text, partial(lattice.fit_fusion, form=form), "lattice",
                        TRIES, form.reads)
    for form in lattice.FORMS
}  # fmt: skip


def probes(blocks: int) -> dict[str, Baseline]:
    """Return a linear probe on the class token after each block, by name."""
    found = [
        Baseline(f"block-{k}", f"block {k}", partial(side.fit_side_by_side, block=k),
                 "side_by_side", side.TRIES, drawn=False)
        for k in range(1, blocks + 1)
    ]  # fmt: skip
    return {baseline.name: baseline for baseline in found}


DIFFERENCES = "Differences from its public code\n"  # heading in a module's docstring


def source(baseline: Baseline) -> str:
    """Return who published a baseline, and under which name it is known: one line."""
    return _docstring(baseline).partition("\n")[0]


def differences(baseline: Baseline) -> list[str]:
    """Return in what a baseline differs from its public code, a sentence or more each."""
    listed = _docstring(baseline).partition(DIFFERENCES)[2].partition("\n")[2]
    return [" ".join(item.split()) for item in ("\n" + listed).split("\n- ")[1:]]


def _docstring(baseline: Baseline) -> str:
    module = importlib.import_module(f"layerfusion.experiments.baselines.{baseline.module}")
    return inspect.getdoc(module) or ""
