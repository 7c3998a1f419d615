"""A detector as scikit-learn's classifiers are: paths in, classes and probabilities out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from layerfusion.errors import UserError
from layerfusion.images.reading import ImageError
from layerfusion.metrics.probability import decide, probability
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.model.detector import Detector
from layerfusion.scoring.detectors import detector_folder
from layerfusion.scoring.predictions import score_files
from layerfusion.settings import LoaderSettings


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Real (0) or synthetic (1), by a detector whose head stays as it is.

    Parameters
    ----------
    detector
        Trained; None for the one that comes with the package, read when it is first needed.

    Attributes
    ----------
    classes_
        0 and 1, shape (2,).
    threshold_
        From which probability on an image is called synthetic: what `fit` chose. A detector that
        has a threshold predicts with it before.
    """

    classes_ = np.array([0, 1])

    def __init__(self, detector: Detector | None = None) -> None:
        self.detector = detector

    def fit(self, X: Sequence[str | Path], y: ArrayLike) -> "ImageClassifier":  # noqa: N803
        """Choose the threshold of the largest F1 on labelled images, as the paper does.

        Parameters
        ----------
        X
            Paths of images.
        y
            0 (real) or 1 (synthetic), both of them, shape (n,).

        Raises
        ------
        ImageError
            If an image cannot be read.
        UserError
            If labels are not 0 and 1 or not as many as images.
        """
        labels = np.asarray(y)
        if labels.shape != (len(X),):
            raise UserError(f"{len(X)} images and labels of shape {labels.shape} do not fit")
        if set(np.unique(labels)) != {0, 1}:
            raise UserError("labels must be 0 (real) and 1 (synthetic), both of them")
        self.threshold_ = best_f1_threshold(labels, self.predict_proba(X)[:, 1])
        return self

    def predict_proba(self, X: Sequence[str | Path]) -> NDArray[np.float64]:  # noqa: N803
        """Return how far each image looks real and synthetic, shape (n, 2), in the images' order.

        These are a detector's outputs, which sum to 1; they are not calibrated probabilities.

        Raises
        ------
        ImageError
            If an image cannot be read: a row that is not a number would surprise whatever comes
            next. `layerfusion.score` gives reasons in its place.
        """
        synthetic = probability(self._logits(X))
        return np.column_stack([1 - synthetic, synthetic])

    def predict(self, X: Sequence[str | Path]) -> NDArray[np.int64]:  # noqa: N803
        """Return the class of each image, shape (n,), as `layerfusion score` labels it."""
        return decide(self._logits(X), self._threshold()).astype(np.int64)

    def _logits(self, X: Sequence[str | Path]) -> NDArray[np.float64]:  # noqa: N803
        """Return the logit of each image, shape (n,); errors as of `predict_proba`."""
        if isinstance(X, str | Path):
            raise UserError(f"give a list of paths, as in [{str(X)!r}]")
        files = [Path(path) for path in X]
        if not files:
            return np.empty(0)
        images = self._detector().image_settings
        table = score_files(self._detector(), files, images, LoaderSettings())
        for path, error in zip(files, table["error"], strict=True):
            if isinstance(error, str):
                raise ImageError(path, error)
        return table["logit"].to_numpy(dtype=np.float64)

    def _detector(self) -> Detector:
        if self.detector is not None:
            return self.detector
        if not hasattr(self, "_shipped"):
            self._shipped = Detector.load(detector_folder())
        return self._shipped

    def _threshold(self) -> float:
        threshold = getattr(self, "threshold_", self._detector().threshold)
        if threshold is None:
            raise NotFittedError("this detector has no threshold yet; fit the classifier first")
        return float(threshold)

    def __sklearn_is_fitted__(self) -> bool:
        """Say whether there is a threshold to predict with."""
        return hasattr(self, "threshold_") or self._detector().threshold is not None
