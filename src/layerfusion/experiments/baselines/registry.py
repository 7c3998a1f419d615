"""All baselines, in the order of pages. One more is one file beside this one, and one line here."""

import importlib
import inspect
from functools import partial

from layerfusion.experiments.baselines.baseline import Baseline
from layerfusion.experiments.baselines.linear_probe import fit_linear_probe
from layerfusion.experiments.baselines.linear_svm import fit_linear_svm
from layerfusion.experiments.baselines.rine import PUBLISHED, fit_rine

ALL = (
    Baseline("linear-probe", "linear probe (Ojha 2023)", fit_linear_probe, "linear_probe"),
    Baseline("linear-svm", "linear SVM (Cozzolino 2024)", fit_linear_svm, "linear_svm"),
    Baseline("rine", "RINE (Koutlis 2024)", partial(fit_rine, sizes=PUBLISHED["4-class"]), "rine"),
)
BASELINES = {baseline.name: baseline for baseline in ALL}

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
