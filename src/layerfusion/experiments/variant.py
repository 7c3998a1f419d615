"""A detector to make: trained, fitted to frozen features as a baseline, or given by a user."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from torch import nn

from layerfusion.experiments.baselines.baseline import Baseline

# A detector of a user's own: a module that maps uint8 crops, shape (n, 3, crop, crop), to logits,
# shape (n,), or a function of image files. Greater is more likely synthetic.
Given = nn.Module | Callable[[Sequence[Path]], ArrayLike]


@dataclass(frozen=True)
class Variant:
    """A detector of a study.

    Attributes
    ----------
    name
        Unique in its study; `text` says the same in words.
    run
        ``constrained`` or ``open``: whose images it learns from.
    overrides
        Settings by dotted name, beside those of the command.
    fit
        A baseline, fitted in place of a training.
    given
        A finished detector, in place of both. A module may have ``image_settings``, which say how
        an image is cropped for it, and a ``threshold``, a probability.
    """

    name: str
    text: str
    run: str = "open"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    fit: Baseline | None = None
    given: Given | None = None

    @property
    def kind(self) -> str:
        """Return how it comes about: ``trained``, ``fitted`` or ``given``."""
        if self.given is not None:
            return "given"
        return "trained" if self.fit is None else "fitted"

    @property
    def change(self) -> str:
        """Return what its name says beside the run: ``all`` where it is the run itself."""
        return self.name.removeprefix(self.run).removeprefix("-") or "all"
