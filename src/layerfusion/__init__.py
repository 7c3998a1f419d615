"""Layer-wise CLIP feature fusion for synthetic-image detection.

A reproduction of J. W. J. Lean, "Layer-Wise CLIP Feature Fusion for Synthetic Image Detection"
(MediaEval 2026), and the library behind it. Images are labelled 0 (real) or 1 (synthetic).

What is named in `__all__` is the package's face and stays; everything else is inside. A name is
loaded when it is first asked for, so that importing the package takes no time.
"""

import os
import warnings
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layerfusion.metrics.rates import evaluate
    from layerfusion.model.detector import Detector
    from layerfusion.runs.experiment import Experiment
    from layerfusion.scoring.classifier import ImageClassifier
    from layerfusion.scoring.files import score

    __version__: str

__all__ = ["Detector", "Experiment", "ImageClassifier", "evaluate", "score"]

_PLACES = {
    "Detector": "layerfusion.model.detector",
    "Experiment": "layerfusion.runs.experiment",
    "ImageClassifier": "layerfusion.scoring.classifier",
    "evaluate": "layerfusion.metrics.rates",
    "score": "layerfusion.scoring.files",
}

# Torch's threads wait for each other after every operation. By default they do so in a loop, and
# where anything else needs a core, if only the loader's workers, a step takes ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded

# OpenCLIP imports tqdm, which in a kernel without widgets leaves this complaint on the page.
warnings.filterwarnings("ignore", message="IProgress not found")

if not TYPE_CHECKING:  # or a misspelt name would be any object to a type checker

    def __getattr__(name):
        if name == "__version__":
            value = import_module("importlib.metadata").version("layerfusion")
        elif name in _PLACES:
            value = getattr(import_module(_PLACES[name]), name)
        else:
            raise AttributeError(f"module 'layerfusion' has no attribute '{name}'")
        globals()[name] = value  # the next time Python finds it by itself
        return value

    def __dir__():
        return sorted({*globals(), *__all__, "__version__"})
