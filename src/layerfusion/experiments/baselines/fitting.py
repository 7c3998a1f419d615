"""A baseline: its settings chosen and it fitted on the views that a run trains on; its scores."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from layerfusion.data.manifest import Manifest
from layerfusion.data.sources.folder import described
from layerfusion.data.tables import read_parquet
from layerfusion.experiments.baselines.baseline import Baseline, Labels, Reads
from layerfusion.experiments.baselines.choosing import Choice, choose, source_groups
from layerfusion.experiments.baselines.features import Features, FrozenEncoder, training_views
from layerfusion.files import in_place_of, read_text
from layerfusion.metrics.held_out import source_names
from layerfusion.paths import runs_root
from layerfusion.progress import Reporter
from layerfusion.runs.experiment import Experiment
from layerfusion.scoring.predictions import write_predictions
from layerfusion.settings import Tokens, digest, family_of

Made = TypeVar("Made")

FOLDER = "cells"  # in a profile's folder: what baselines and given detectors scored


@dataclass(frozen=True)
class Learned:
    """What a run's baselines learn from: features of its views, labels, and what is held out."""

    features: Features
    labels: Labels
    groups: NDArray[Any]


class Fitting:
    """Fits baselines one after the other, and keeps the features that the next one may share.

    Parameters
    ----------
    experiment
        Any of those that are fitted; all have its images and encoder.
    """

    def __init__(self, experiment: Experiment, reporter: Reporter) -> None:
        self.experiment, self.reporter = experiment, reporter
        self._kept: dict[str, tuple[Any, Any]] = {}  # the last made of each kind, by what it is of

    def scores(self, baseline: Baseline, experiment: Experiment) -> pd.DataFrame:
        """Return ``image_id`` and ``logit`` (float32) of validation, then test images, in order.

        What was fitted before is found again, whichever study asked for it. ``attrs`` has
        ``seconds``, of fitting alone, ``feature_seconds``, of what was computed for it,
        ``parameters``, how many were learnt, ``settings``, what was chosen, ``tries``, their ROC
        AUC on sources held out, and ``training_auc``, on the views that it learnt from.

        Raises
        ------
        UserError
            If the encoder cannot be loaded, or an image not be read.
        """
        path = self._place(baseline, experiment, self.key(baseline, experiment), "parquet")
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_predictions(self._fitted(baseline, experiment), path)
        return read_parquet(path)

    @staticmethod
    def key(baseline: Baseline, experiment: Experiment) -> str:
        """Return one sha256 of all that a fit's numbers depend on."""
        known = [
            _seedless(baseline, experiment).place.key, baseline.name, list(baseline.tries),
            scored(experiment).digest(), digest({"sources": _sources(experiment).tolist()}),
            version("scikit-learn"),
        ]  # fmt: skip
        return digest({"baseline": known})

    def _place(self, baseline: Baseline, experiment: Experiment, key: str, kind: str) -> Path:
        name = f"{baseline.name}-{experiment.run}-{key[:10]}.{kind}"
        return runs_root() / experiment.profile.name / FOLDER / name

    def _fitted(self, baseline: Baseline, experiment: Experiment) -> pd.DataFrame:
        begun = time.perf_counter()
        tested = self._features(baseline.reads)
        learned = self._learned(baseline.reads, experiment)
        feature_seconds, begun = time.perf_counter() - begun, time.perf_counter()
        choice = self._choice(baseline, experiment, learned)
        choosing_seconds, begun = time.perf_counter() - begun, time.perf_counter()
        features, labels = learned.features, learned.labels
        fitted = baseline.fit(features, labels, experiment.seed, **choice.settings)
        seconds = time.perf_counter() - begun
        self.reporter.say(
            f"{baseline.name}, {experiment.run}, seed {experiment.seed}: {seconds:.0f} s"
        )
        ids = scored(experiment).rows["path"].to_numpy()
        logits = np.asarray(fitted.score(tested), dtype=np.float32)
        table = pd.DataFrame({"image_id": ids, "logit": logits})
        table.attrs |= {
            "seconds": round(seconds, 1),
            "feature_seconds": round(feature_seconds, 1),
            "choosing_seconds": round(choosing_seconds, 1),
            "parameters": fitted.parameters,
            "settings": dict(choice.settings),
            "tries": [round(auc, 6) for auc in choice.roc_auc],
            "training_auc": round(float(roc_auc_score(labels, fitted.score(features))), 6),
        }
        return table

    def _choice(self, baseline: Baseline, experiment: Experiment, learned: Learned) -> Choice:
        """Return what was chosen for a baseline in a run: the same for all seeds."""
        key = self.key(replace(baseline, drawn=False), experiment)
        path = self._place(baseline, experiment, key, "json")
        if not path.is_file():
            made = choose(baseline, learned.features, learned.labels, learned.groups)
            with in_place_of(path, shared=True) as partial_file:
                partial_file.write_text(json.dumps(asdict(made)), encoding="utf-8")
        found = json.loads(read_text(path))
        return Choice(found["settings"], tuple(found["roc_auc"]))

    def _features(self, reads: Reads) -> Features:
        """Return the features of all images that are scored."""
        return self._last("scored", reads, partial(self._read, reads, self._evaluated))

    def _learned(self, reads: Reads, experiment: Experiment) -> Learned:
        """Return what a run's baselines learn from; that of the last one, where it is the same."""
        same_views = experiment.profile.training.views is not None
        wanted = reads, experiment.run, None if same_views else experiment.seed

        def make() -> Learned:
            images, draws = training_views(experiment)
            labels = np.array([images.labels[draw.row] for draw in draws], dtype=np.int64)
            row = np.array([draw.row for draw in draws], dtype=np.int64)
            groups = source_groups(_sources(experiment)[row], row, labels)
            views = self._read(reads, lambda encoder: encoder.training_features(experiment)[0])
            return Learned(views, labels, groups)

        return self._last("learned", wanted, make)

    def _read(self, reads: Reads, read: Callable[[FrozenEncoder], Features]) -> Features:
        """Return features with the tokens that are read, of one pass through the tower or two."""
        if reads != "both":
            return read(self._encoder(reads))
        of_class, of_patches = read(self._encoder("class")), read(self._encoder("patches"))
        both = np.concatenate([of_class.tokens, of_patches.tokens], axis=1)
        return replace(of_class, tokens=both)

    def _evaluated(self, encoder: FrozenEncoder) -> Features:
        return encoder.evaluation_features(scored(self.experiment))

    def _encoder(self, tokens: Tokens) -> FrozenEncoder:
        return self._last(
            "encoder", tokens, lambda: FrozenEncoder(self.experiment.profile, self.reporter, tokens)
        )

    def _last(self, kind: str, wanted: Any, make: Callable[[], Made]) -> Made:
        """Return what was made last of a kind, if it is what is wanted; else make it."""
        if kind not in self._kept or self._kept[kind][0] != wanted:
            self._kept.pop(kind, None)  # never two of them in memory
            self._kept[kind] = wanted, make()
        return cast(Made, self._kept[kind][1])


def scored(experiment: Experiment) -> Manifest:
    """Return the images that baselines score: validation images, then test images."""
    parts = [experiment.manifest.select(split=split) for split in ("val", "test")]
    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    return Manifest(experiment.manifest.root, rows, experiment.manifest.skipped)


def _seedless(baseline: Baseline, experiment: Experiment) -> Experiment:
    """Return the experiment whose seed is left out where nothing depends on it."""
    views_are_drawn = experiment.profile.training.views is None
    return experiment if baseline.drawn or views_are_drawn else replace(experiment, seed=0)


def _sources(experiment: Experiment) -> NDArray[np.str_]:
    """Return the source of each training image, those of one family together."""
    rows, families = experiment.training.rows, experiment.profile.data.families
    said = _described(experiment.manifest.root, tuple(rows["path"]))
    known = rows["source"].where(said.isna().to_numpy(), said.to_numpy())
    family = [family_of(source, families) for source in known]
    return source_names(rows.assign(source=known, family=family))


@cache
def _described(root: Path, paths: tuple[str, ...]) -> "pd.Series[str]":
    """Return what a description in the root says of each image's source, for all fits of a run."""
    return described(root, pd.Index(paths), ["source"])["source"]
