"""What the ablations change: for each question, variants of the method and what each is held to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pandas as pd

from layerfusion.analysis.claims import RUNS
from layerfusion.errors import UserError
from layerfusion.metrics.classes import CLASSES
from layerfusion.model.weights import model_config
from layerfusion.runs.experiment import Experiment

FEWER = (0.25, 0.5)  # shares of the training images, on the way to all of them
TRAINED = (0, 1, 2, 4)
AUGMENTATIONS = ("flip", "jitter", "rotation", "jpeg", "resample")


@dataclass(frozen=True)
class Variant:
    """A run of the method with other settings.

    Attributes
    ----------
    name
        Unique in its ablation; `text` says the same in words.
    run
        ``constrained`` or ``open``.
    overrides
        Settings by dotted name, beside those of the command.
    against
        Name of the variant that it is held against; None for one that others are held against.
    """

    name: str
    text: str
    run: str
    overrides: dict[str, Any] = field(default_factory=dict)
    against: str | None = None


@dataclass(frozen=True)
class Ablation:
    """A question, and how the variants that answer it follow from images and profile.

    Attributes
    ----------
    name
        For files and the command line.
    question
        For a page.
    variants
        Given an experiment whose manifest holds all images: the variants, in the order of a table.
    """

    name: str
    question: str
    variants: Callable[[Experiment], list[Variant]]


def _in_both_runs(changes: list[tuple[str, str, dict[str, Any]]]) -> list[Variant]:
    """Each change (name, text, overrides) in both runs, held against the first one."""
    first = changes[0][0]
    return [
        Variant(f"{run}-{name}", text, run, changed, None if name == first else f"{run}-{first}")
        for run in RUNS
        for name, text, changed in changes
    ]


def _weights(experiment: Experiment) -> list[Variant]:
    return _in_both_runs(
        [
            ("scalar", "a learned weight a block (the paper)", {}),
            ("equal", "equal weights", {"head.blocks": "mean"}),
            ("feature", "learned weights a block and feature", {"head.weights_per": "feature"}),
            ("last", "last block alone", {"head.blocks": "last"}),
        ]
    )


def _blocks(experiment: Experiment) -> list[Variant]:
    depth = _depth(experiment)
    numbers = range(1, depth + 1)
    changes: list[tuple[str, str, dict[str, Any]]] = [("all", "all blocks", {})]
    changes += [(f"only-{k}", f"block {k} alone", {"head.reads": [k]}) for k in numbers]
    changes += [
        (f"without-{k}", f"all but block {k}", {"head.reads": [n for n in numbers if n != k]})
        for k in numbers
    ]
    return [variant for variant in _in_both_runs(changes) if variant.run == RUNS[0]]


def _trained(experiment: Experiment) -> list[Variant]:
    return _in_both_runs(
        [
            (f"trained-{k}", f"{k} blocks trained", {"encoder.trained_blocks": k})
            for k in TRAINED
            if k <= _depth(experiment)
        ]
    )


def _augmentations(experiment: Experiment) -> list[Variant]:
    used = experiment.profile.images.augmentation
    off = {
        name: f"images.augmentation.{name}_probability"
        for name in AUGMENTATIONS
        if getattr(used, f"{name}_probability") > 0
    }
    return _in_both_runs(
        [
            ("paper", "all augmentations (the paper)", {}),
            *((f"no-{name}", f"without {name}", {setting: 0.0}) for name, setting in off.items()),
            ("none", "crops alone", dict.fromkeys(off.values(), 0.0)),
        ]
    )


def _activation(experiment: Experiment) -> list[Variant]:
    return _in_both_runs(
        [
            (name, text, {"encoder.activation": name})
            for name, text in (("quick_gelu", "QuickGELU"), ("gelu", "GELU"))
        ]
    )


def _data(experiment: Experiment) -> list[Variant]:
    """Constrained; as many images of the open run's kinds; all of the open run."""
    own = {run: _counts(experiment, run) for run in RUNS}
    fewer = own["constrained"].groupby("label").sum() / own["open"].groupby("label").sum()
    equal = own["open"].mul(fewer, level="label")
    return [
        Variant("constrained", "constrained", "constrained"),
        Variant(
            "open-equal", "open, no more images", "open",
            _only(equal.round().astype(int)), against="constrained",
        ),
        Variant("open", "open, all images", "open", against="open-equal"),
    ]  # fmt: skip


def _curve(experiment: Experiment) -> list[Variant]:
    found = []
    for run in RUNS:
        counts = _counts(experiment, run)
        name = f"{run}-all"
        found.append(Variant(name, f"all {counts.sum():,} images", run))
        for share in FEWER:
            fewer = (share * counts).round().astype(int).clip(lower=1)
            text, changed = f"{fewer.sum():,} images", _only(fewer)
            found.append(Variant(f"{run}-{share:g}", text, run, changed, against=name))
    return found


def _depth(experiment: Experiment) -> int:
    """Return how many blocks the profile's encoder has, without reading its weights."""
    return int(model_config(experiment.profile.encoder.model)["vision_cfg"]["layers"])


def _counts(experiment: Experiment, run: str) -> "pd.Series[int]":
    """Return how many training images a run has, by ``source`` and ``label``."""
    sources = experiment.profile.run(run).train_sources
    rows = experiment.manifest.select(split="train", sources=sources).rows
    return rows.groupby(["source", "label"]).size()


def _only(counts: "pd.Series[int]") -> dict[str, Any]:
    """Return the setting that so many images of each source and label are used."""
    quotas = [
        {"source": source, "label": CLASSES[label], "images": images}
        for (source, label), images in cast(dict[tuple[str, int], int], counts.to_dict()).items()
    ]
    return {"data.selection": {"name": "shared", "quotas": quotas}}


ABLATIONS = {
    ablation.name: ablation
    for ablation in (
        Ablation(
            "weights", "What are learned weights worth, and weights of each feature?", _weights
        ),
        Ablation("blocks", "Which blocks does it take?", _blocks),
        Ablation("trained", "How many blocks should be trained?", _trained),
        Ablation("augmentations", "Which augmentations help?", _augmentations),
        Ablation("activation", "Does the activation of the weights matter?", _activation),
        Ablation("data", "Is it the kind of data, or more of it?", _data),
        Ablation("curve", "What do more training images give?", _curve),
    )
}


def find_ablation(name: str) -> Ablation:
    """Return an ablation by its name.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name not in ABLATIONS:
        raise UserError(f"there is no ablation '{name}'; there are {', '.join(ABLATIONS)}")
    return ABLATIONS[name]
