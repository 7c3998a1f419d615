"""The studies by name: for each question, variants and what they are compared with."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from layerfusion.analysis.effects import Contrast, Term, difference
from layerfusion.analysis.measures import RUNS, head_variant
from layerfusion.errors import UserError
from layerfusion.experiments.variant import Variant
from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.scored import Metric
from layerfusion.model.weights import describe
from layerfusion.paper import numbers as paper
from layerfusion.settings import Blocks

if TYPE_CHECKING:  # it loads torch, which takes seconds
    from layerfusion.runs.experiment import Experiment

FEWER = (0.25, 0.5)  # shares of the training images, on the way to all of them
TRAINED = (0, 1, 2, 4)
AUGMENTATIONS = ("flip", "jitter", "rotation", "jpeg", "resample")

# The metrics that the paper compares, and its names for them.
COMPARED: dict[Metric, str] = {
    "roc_auc": "AUC",
    "f1": "F1",
    "average_precision": "AP",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "fpr": "FPR",
}
DEGRADED: tuple[Metric, ...] = ("roc_auc", "f1")  # those of Table 2

Change = tuple[str, str, dict[str, Any]]  # a name, a text, settings


@dataclass(frozen=True)
class Plan:
    """What a study consists of on the images and settings at hand.

    Attributes
    ----------
    variants
        In the order of a table.
    conditions
        Names as `layerfusion.runs.condition.condition_named` takes them.
    """

    variants: list[Variant]
    contrasts: list[Contrast]
    conditions: list[str] = field(default_factory=lambda: ["local"])


@dataclass(frozen=True)
class Question:
    """A study of the catalogue.

    Attributes
    ----------
    text
        The question, for a page.
    plan
        Given an experiment whose manifest holds all images: variants, contrasts, conditions.
    """

    text: str
    plan: Callable[["Experiment"], Plan]


# --- the paper's claims ---------------------------------------------------------------------------

# Heads that fusion is compared with, values of ``head.blocks``. The method is claimed to beat them
# ("the final embedding is not necessarily the only useful representation"), but the paper has no
# ablation of it.
HEADS: dict[Blocks, str] = {"last": "the last alone", "mean": "their mean"}

# The learning rate of block weights that are meant to leave 1/L, in that of the head: set
# beforehand, not tuned on anything.
FASTER = 100

# Below which a threshold is "very small" (section 5); the paper's are .0001 and .0012.
SMALL_THRESHOLD = 0.01

# What other conditions than clean local images are said to cost.
LOWERED = {
    "official": "official {} below local, {} run",
    "jpeg": "JPEG 85 lowers {}, {} run",
    "launder": "laundering lowers {}, {} run",
}
SMALLER = "small images have lower F1 than all, {} run"


def claims() -> list[Contrast]:
    """Return the paper's claims, in its order, then fusion compared with other heads."""
    more_recall = (*_gain("recall", "local"), *_negated(_gain("precision", "local")))
    small_above_all = (*_gain("f1", "small"), *_negated(_gain("f1", "local")))
    recall = "open data raises local recall more than precision"
    small = "small images gain more F1 from open data than all"
    return [
        *_constrained_and_open("local"),
        _claim("gain-mostly-recall", recall, more_recall),
        *_constrained_and_open("official"),
        *(
            _claim(f"{on}-lower-{metric}-{run}", text.format(name, run), _loss(metric, run, on))
            for on, text in LOWERED.items()
            for metric, name in COMPARED.items()
            if metric in DEGRADED
            for run in RUNS
        ),
        *(
            _claim(f"small-lower-f1-{run}", SMALLER.format(run), _loss("f1", run, "small"))
            for run in RUNS
        ),
        _claim("small-gain-most", small, small_above_all),
        *(
            _claim(
                f"very-small-threshold-{run}",
                f"the threshold lies below {SMALL_THRESHOLD}, {run} run",
                (Term(-1, "threshold", run, "local"),),
                SMALL_THRESHOLD,
            )
            for run in RUNS
        ),
        *(one for on in ("local", "official") for one in _heads(on)),
    ]


def _heads(on: str) -> list[Contrast]:
    """Fusion above other heads, with block weights as the paper trains them and with freer ones."""
    compared = [("", "fusion of all blocks", head, text) for head, text in HEADS.items()]
    compared.append(("moving", "fusion with block weights that move", "mean", HEADS["mean"]))
    return [
        _above(
            f"fusion-{kind}{'-' * bool(kind)}above-{head}-{on}-{run}",
            f"{who} above {text}, {on} AUC, {run} run",
            f"{run}-{kind}" if kind else run,
            head_variant(run, head),
            on,
        )
        for kind, who, head, text in compared
        for run in RUNS
    ]


def _above(name: str, text: str, one: str, other: str, on: str = "local") -> Contrast:
    """Return the contrast of two variants' ROC AUC under a condition."""
    return Contrast(name, text, difference("roc_auc", (one, on), (other, on)))


def _gain(metric: Metric, on: str) -> tuple[Term, ...]:
    """From the constrained run to the open one."""
    return difference(metric, ("open", on), ("constrained", on))


def _loss(metric: Metric, run: str, on: str) -> tuple[Term, ...]:
    """From clean local images to another condition."""
    return difference(metric, (run, "local"), (run, on))


def _negated(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    return tuple(term._replace(sign=-term.sign) for term in terms)


def _constrained_and_open(on: str) -> list[Contrast]:
    """Which run has the higher number, of each that the paper gives, and that it has here too."""
    found = []
    for metric, words in COMPARED.items():
        above = _claim(
            f"open-above-constrained-{on}-{metric}", f"open above constrained, {on} {words}",
            _gain(metric, on),
        )  # fmt: skip
        if above.paper is not None and above.paper < 0:
            above = _claim(
                f"open-below-constrained-{on}-{metric}", f"open below constrained, {on} {words}",
                _negated(above.terms),
            )  # fmt: skip
        found += [above] if above.paper is not None else []
    return found


def _claim(name: str, text: str, terms: tuple[Term, ...], beyond: float = 0.0) -> Contrast:
    """Return a claim with its effect in the paper's tables, None where they lack a number of it."""
    effect = beyond
    for sign, metric, run, on in terms:
        reported = paper.reported(metric, run, on)
        if reported is None:
            return Contrast(name, text, terms, beyond=beyond)
        effect += sign * reported
    return Contrast(name, text, terms, effect, beyond)


def _claims(experiment: "Experiment") -> Plan:
    texts: dict[Blocks, str] = {
        "all": "all blocks, fused", "last": "last block alone", "mean": "equal weights",
    }  # fmt: skip
    variants = [
        Variant(head_variant(run, head), text, run, {"head.blocks": head})
        for run in RUNS
        for head, text in texts.items()
    ]
    variants += [_moving(experiment, run) for run in RUNS]
    return Plan(variants, claims(), ["local", "official", "jpeg", "launder"])


def _moving(experiment: "Experiment", run: str) -> Variant:
    """Return the paper's head with a learning rate of its own for the block weights."""
    rate = FASTER * experiment.profile.training.head_learning_rate
    changed = {"training.block_weights_learning_rate": rate}
    return Variant(f"{run}-moving", "block weights that move", run, changed)


# --- ablations ------------------------------------------------------------------------------------


def _in_runs(changes: list[Change], runs: Iterable[str] = RUNS) -> Plan:
    """Each change in each run, compared with the first one."""
    variants = [
        Variant(f"{run}-{name}", text, run, changed)
        for run in runs
        for name, text, changed in changes
    ]
    return _compared(variants, {v.name: f"{v.run}-{changes[0][0]}" for v in variants})


def _compared(variants: list[Variant], against: dict[str, str]) -> Plan:
    """Return variants with contrasts of ROC AUC; one that is its own reference has none."""
    texts = {variant.name: variant.text for variant in variants}
    contrasts = [
        _above(name, f"{texts[name]} above {texts[other]}", name, other)
        for name, other in against.items()
        if name != other
    ]
    return Plan(variants, contrasts)


def _weights(experiment: "Experiment") -> Plan:
    return _in_runs(
        [
            ("scalar", "a learned weight a block (the paper)", {}),
            ("equal", "equal weights", {"head.blocks": "mean"}),
            ("feature", "learned weights a block and feature", {"head.weights_per": "feature"}),
            ("last", "last block alone", {"head.blocks": "last"}),
        ]
    )


def _blocks(experiment: "Experiment") -> Plan:
    numbers = range(1, _depth(experiment) + 1)
    changes: list[Change] = [("all", "all blocks", {})]
    changes += [(f"only-{k}", f"block {k} alone", {"head.reads": [k]}) for k in numbers]
    changes += [
        (f"without-{k}", f"all but block {k}", {"head.reads": [n for n in numbers if n != k]})
        for k in numbers
    ]
    return _in_runs(changes, RUNS[:1])


def _trained(experiment: "Experiment") -> Plan:
    return _in_runs(
        [
            (f"trained-{k}", f"{k} block{'s' * (k != 1)} trained", {"encoder.trained_blocks": k})
            for k in TRAINED
            if k <= _depth(experiment)
        ]
    )


def _augmentations(experiment: "Experiment") -> Plan:
    used = experiment.profile.images.augmentation
    off = {
        name: f"images.augmentation.{name}_probability"
        for name in AUGMENTATIONS
        if getattr(used, f"{name}_probability") > 0
    }
    return _in_runs(
        [
            ("paper", "all augmentations (the paper)", {}),
            *((f"no-{name}", f"without {name}", {setting: 0.0}) for name, setting in off.items()),
            ("none", "crops alone", dict.fromkeys(off.values(), 0.0)),
        ]
    )


def _activation(experiment: "Experiment") -> Plan:
    return _in_runs(
        [
            (name, text, {"encoder.activation": name})
            for name, text in (("quick_gelu", "QuickGELU"), ("gelu", "GELU"))
        ]
    )


def _data(experiment: "Experiment") -> Plan:
    """Constrained; as many images of the open run's kinds; all of the open run."""
    own = {run: _counts(experiment, run) for run in RUNS}
    fewer = own["constrained"].groupby("label").sum() / own["open"].groupby("label").sum()
    equal = own["open"].mul(fewer, level="label").round().astype(int)
    variants = [
        Variant("constrained", "constrained", "constrained"),
        Variant("open-equal", "open, no more images", "open", _only(equal)),
        Variant("open", "open, all images", "open"),
    ]
    return _compared(variants, {"open-equal": "constrained", "open": "open-equal"})


def _curve(experiment: "Experiment") -> Plan:
    variants = []
    for run in RUNS:
        counts = _counts(experiment, run)
        variants.append(Variant(f"{run}-all", f"all {counts.sum():,} images", run))
        for share in FEWER:
            fewer = (share * counts).round().astype(int).clip(lower=1)
            text = f"{fewer.sum():,} images"
            variants.append(Variant(f"{run}-{share:g}", text, run, _only(fewer)))
    return _compared(variants, {v.name: f"{v.run}-all" for v in variants})


def _depth(experiment: "Experiment") -> int:
    """Return how many blocks the profile's encoder has, without reading its weights."""
    return describe(experiment.profile.encoder.model).depth


def _counts(experiment: "Experiment", run: str) -> "pd.Series[int]":
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


# --- layers ---------------------------------------------------------------------------------------


def _layers(experiment: "Experiment") -> Plan:
    """Compare the paper's fusion, in both runs, with baselines and its neighbours in a lattice.

    All learn from the same frozen features under one rule (`experiments.baselines.choosing`), the
    paper's fusion first; as the paper trains it, it stands beside them.
    """
    from layerfusion.experiments.baselines import lattice, registry  # loads torch: seconds

    variants, contrasts = [], []
    fits = registry.FUSIONS | registry.BASELINES | registry.probes(_depth(experiment))
    conditions = ["local", "official"]
    for run in RUNS:
        fitted = [Variant(f"{run}-{name}", fit.title, run, fit=fit) for name, fit in fits.items()]
        trained = Variant(run, "the paper's fusion, trained as in the paper", run)
        variants += [*fitted, trained]
    for run, on in product(RUNS, conditions):
        where, short = f"{on} AUC, {run} run", "" if on == "local" else f"-{on}"
        fusion = f"{run}-{lattice.Form().name}"
        others = {run: "the paper's own training"} | {
            f"{run}-{name}": fit.title for name, fit in registry.BASELINES.items()
        }
        contrasts += [
            _above(f"{name}{short}", f"{text} above the paper's fusion, {where}", name, fusion, on)
            for name, text in others.items()
        ]
        contrasts += [
            _above(f"{run}-{one.name}>{other.name}{short}", f"{other.text} above {one.text}, "
                   f"{where}", f"{run}-{other.name}", f"{run}-{one.name}", on)
            for one, other, _ in lattice.steps()
        ]  # fmt: skip
    return Plan(variants, contrasts, conditions)


def compared_with(
    variants: Sequence[Variant], mine: Sequence[Variant], conditions: Sequence[str]
) -> list[Contrast]:
    """Return contrasts of ROC AUC: the first variant of each run, and detectors of a user's own."""
    first = {variant.run: variant for variant in reversed(variants)}
    return [
        _above(f"{own.name}-{run}-{on}", f"{own.text} above {one.text}, {on} AUC, {run} run",
               own.name, one.name, on)
        for own in mine
        for run, one in sorted(first.items())
        for on in conditions
    ]  # fmt: skip


STUDIES = {
    "claims": Question("What of the paper's claims holds?", _claims),
    "weights": Question("What are learned weights worth, and weights of each feature?", _weights),
    "blocks": Question("Which blocks does it take?", _blocks),
    "trained": Question("How many blocks should be trained?", _trained),
    "augmentations": Question("Which augmentations help?", _augmentations),
    "activation": Question("Does the activation of the weights matter?", _activation),
    "data": Question("Is it the kind of data, or more of it?", _data),
    "curve": Question("What do more training images give?", _curve),
    "layers": Question("Is it the layers?", _layers),
}
ABLATIONS = ("weights", "blocks", "trained", "augmentations", "activation", "data", "curve")


def find_question(name: str) -> Question:
    """Return a study of the catalogue by its name.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name not in STUDIES:
        raise UserError(f"there is no study '{name}'; there are {', '.join(STUDIES)}")
    return STUDIES[name]
