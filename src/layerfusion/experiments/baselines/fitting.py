"""A baseline, fitted to the views that a run trains on, scores the validation images."""

import time
from functools import cached_property
from importlib.metadata import version

import numpy as np
import pandas as pd

from layerfusion.data.tables import read_parquet
from layerfusion.experiments.baselines.baseline import Baseline, Labels
from layerfusion.experiments.baselines.features import Features, FrozenEncoder
from layerfusion.paths import runs_root
from layerfusion.progress import Reporter
from layerfusion.runs.experiment import Experiment
from layerfusion.scoring.predictions import write_predictions
from layerfusion.settings import digest

FOLDER = "cells"  # in a profile's folder: what baselines and given detectors scored


class Fitting:
    """Fits baselines one after the other, and keeps the features that the next one may share.

    Parameters
    ----------
    experiment
        Any of those that are fitted; all have its validation images and encoder.
    """

    def __init__(self, experiment: Experiment, reporter: Reporter) -> None:
        self.experiment, self.reporter = experiment, reporter
        self._training: tuple[tuple[str, int | None], tuple[Features, Labels]] | None = None

    def scores(self, baseline: Baseline, experiment: Experiment) -> pd.DataFrame:
        """Return ``image_id`` and ``logit`` (float32) of the validation images, in their order.

        What was fitted before is found again, whichever study asked for it. ``attrs`` has
        ``seconds``, of fitting alone, ``feature_seconds``, of what was computed for it, and
        ``parameters``, how many were learnt.

        Raises
        ------
        UserError
            If the encoder cannot be loaded, or an image not be read.
        """
        key = self.key(baseline, experiment)
        name = f"{baseline.name}-{experiment.run}-seed{experiment.seed}-{key[:10]}.parquet"
        path = runs_root() / experiment.profile.name / FOLDER / name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_predictions(self._fitted(baseline, experiment), path)
        return read_parquet(path)

    @staticmethod
    def key(baseline: Baseline, experiment: Experiment) -> str:
        """Return one sha256 of all that a fit's numbers depend on."""
        known = [experiment.place.key, baseline.name, version("scikit-learn")]
        return digest({"baseline": known})

    def _fitted(self, baseline: Baseline, experiment: Experiment) -> pd.DataFrame:
        begun = time.perf_counter()
        validation = self._validation
        features, labels = self._training_features(experiment)
        feature_seconds, begun = time.perf_counter() - begun, time.perf_counter()
        fitted = baseline.fit(features, labels, experiment.seed)
        seconds = time.perf_counter() - begun
        self.reporter.say(
            f"{baseline.name}, {experiment.run}, seed {experiment.seed}: {seconds:.0f} s"
        )
        ids = experiment.validation.rows["path"].to_numpy()
        scores = np.asarray(fitted.score(validation), dtype=np.float32)
        table = pd.DataFrame({"image_id": ids, "logit": scores})
        table.attrs |= {"seconds": round(seconds, 1), "parameters": fitted.parameters}
        table.attrs["feature_seconds"] = round(feature_seconds, 1)
        return table

    @cached_property
    def _encoder(self) -> FrozenEncoder:
        return FrozenEncoder(self.experiment.profile, self.reporter)

    @cached_property
    def _validation(self) -> Features:
        return self._encoder.evaluation_features(self.experiment.validation)

    def _training_features(self, experiment: Experiment) -> tuple[Features, Labels]:
        """Return the features of a run's views; those of the last one, where they are the same."""
        same_views = experiment.profile.training.views is not None
        wanted = experiment.run, None if same_views else experiment.seed
        if self._training is None or self._training[0] != wanted:
            self._training = None  # never two of them in memory
            self._training = wanted, self._encoder.training_features(experiment)
        return self._training[1]
