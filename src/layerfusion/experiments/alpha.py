"""Alpha of a study's trained heads, and what each block does to their logits: a table beside it."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch

from layerfusion.analysis.importance import replacement_effects
from layerfusion.analysis.measures import Cell
from layerfusion.arithmetic import deterministic
from layerfusion.data.loading import evaluation_crops
from layerfusion.data.tables import read_csv
from layerfusion.errors import UserError
from layerfusion.model.detector import Detector, extract
from layerfusion.model.fusion import LayerFusion
from layerfusion.model.prefix_cache import open_prefix_cache
from layerfusion.progress import Reporter
from layerfusion.runs.experiment import Experiment

ALPHA = "alpha.csv"


def alpha_table(experiments: Mapping[Cell, Experiment], reporter: Reporter) -> pd.DataFrame:
    """Return alpha of every fusion of several blocks, and the effect of replacing each block.

    Parameters
    ----------
    experiments
        By variant and seed, all trained, on the same validation images.

    Returns
    -------
    DataFrame
        A row a head and block: ``variant``, ``seed``, ``block`` (from 1), ``alpha`` (in [0, 1]) and
        ``effect``, as `layerfusion.analysis.importance.replacement_effects`, of the validation
        images.

    Raises
    ------
    UserError
        If a run's detector is damaged or missing.
    ImageError
        If an image cannot be read any more.
    """
    tables, frozen = [], {}
    for (variant, seed), experiment in experiments.items():
        detector = experiment.obtain(reporter=reporter).detector()
        if not isinstance(detector.head, LayerFusion) or len(detector.block_weights()) < 2:
            continue
        trained = experiment.profile.encoder.trained_blocks > 0
        shared = (variant, seed) if trained else detector.frozen_sha256
        if shared not in frozen:
            frozen = {shared: _tokens(detector, experiment, reporter)}  # never two in memory
        effects = replacement_effects(detector, frozen[shared])
        rows = {"block": range(1, len(effects) + 1), "alpha": detector.block_weights()}
        own = pd.DataFrame(rows | {"effect": effects})
        own.insert(0, "variant", variant)
        tables.append(own.assign(seed=seed)[["variant", "seed", "block", "alpha", "effect"]])
    return pd.concat(tables, ignore_index=True)


def read_alpha(folder: Path) -> pd.DataFrame:
    """Read the table from a study's folder, or from where it was published.

    Raises
    ------
    UserError
        If it is not there, or is no such table.
    """
    table = read_csv(folder / ALPHA)
    try:
        return table.astype({"seed": int, "block": int, "alpha": float, "effect": float})
    except (KeyError, ValueError):
        raise UserError(f"{folder / ALPHA} is not a study's table of block weights") from None


def _tokens(detector: Detector, experiment: Experiment, reporter: Reporter) -> torch.Tensor:
    """Return the class tokens of the validation images."""
    images, profile = experiment.validation, experiment.profile
    if experiment.profile.encoder.trained_blocks == 0:
        detector.prefix_cache = open_prefix_cache(profile.loader, reporter.say)
    with reporter.bar("class tokens", len(images.rows)) as bar, deterministic():
        crops = evaluation_crops(images.files, profile.images, profile.loader, progress=bar)
        return extract(detector, crops, len(images.rows))
