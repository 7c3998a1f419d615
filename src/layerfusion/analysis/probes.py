"""Linear probes: what a logistic regression reads off the class token after each block.

The paper's premise is that intermediate blocks keep traces that the last one attenuates (section
1, after Koutlis and Papadopoulos 2024). A probe a block shows where content and traces are legible.
"""

import warnings
from functools import partial
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from layerfusion.data.loading import evaluation_crops
from layerfusion.data.manifest import Manifest, Progress
from layerfusion.errors import UserError
from layerfusion.metrics.uncertainty import image_interval, resample_images, resampled_roc_auc
from layerfusion.model.detector import Detector, extract
from layerfusion.settings import ImageSettings, LoaderSettings

# Variance of an image's logit before anything is learned: see `linear_probe`.
PRIOR_LOGIT_VARIANCE = 10.0


def class_tokens(
    detector: Detector,
    manifest: Manifest,
    images: ImageSettings,
    loader: LoaderSettings,
    *,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return the class token after every block, for the evaluation crop of every image.

    Parameters
    ----------
    detector
        As for `layerfusion.model.detector.extract`.
    manifest
        The images. Those of ViT-L/14 take 98 kB each in memory, so large sets should be sampled.

    Returns
    -------
    ndarray
        h, shape (images, blocks, width), float32, block 1 first, in the manifest's order.

    Raises
    ------
    UserError
        If there are no images.
    ImageError
        If a file cannot be read.
    """
    crops = evaluation_crops(manifest.files, images, loader, progress=progress)
    return extract(detector, crops, len(manifest.rows)).numpy()


def linear_probe(width: int, variance: float = PRIOR_LOGIT_VARIANCE) -> Pipeline:
    """Return an unfitted probe: logistic regression on standardised features.

    Parameters
    ----------
    width
        Number of features d. The weights' prior variance, scikit-learn's C, is `variance` / d: with
        standardised features a logit then has that variance a priori, whatever d is, and one block
        and all of them concatenated are held back alike.
    variance
        At 10 a logit's standard deviation is about 3, so that most probabilities are possible:
        set beforehand, and tuned on no image.
    """
    # lbfgs needs some hundred steps; the limit is there to end what cannot converge.
    return make_pipeline(StandardScaler(), LogisticRegression(C=variance / width, max_iter=10_000))


def probe_blocks(
    train_tokens: NDArray[np.floating[Any]],
    train_target: ArrayLike,
    test_tokens: NDArray[np.floating[Any]],
    test_target: ArrayLike,
) -> pd.DataFrame:
    """Fit a probe on each block's class tokens, and one on all blocks', and score them.

    Parameters
    ----------
    train_tokens, test_tokens
        Shape (images, blocks, width), as `class_tokens` returns them.
    train_target, test_target
        Shape (images,): what to read off. If it has two values in all (real and synthetic: 0 and
        1), the measure is ROC AUC, the greater value being positive. If more (kinds of scenes), it
        is the accuracy of the most probable value; one that training lacks counts as missed.

    Returns
    -------
    DataFrame
        A row a block, then one for all:

        - ``tokens`` (``block 1``, ..., ``all blocks``) and ``block`` (Int64: 1, ..., L, <NA>);
        - ``measure`` (``ROC AUC`` or ``accuracy``) and ``chance``: 0.5, or the share of the
          commonest value among the test images;
        - ``score`` and its 95 % interval ``low`` and ``high``;
        - ``gain``, how much the score is above that of the last block, with ``gain_low`` and
          ``gain_high``: a paired interval, narrower than those of the two scores suggest.

        Intervals are over test images, stratified by target (`layerfusion.metrics.uncertainty`);
        how the probes would vary with the training images is not in them.

    Raises
    ------
    UserError
        If tokens and targets do not fit each other, a target is missing, or training, or testing
        of two values, has one value only.
    """
    trained = _targets(train_tokens, train_target, "training")
    tested = _targets(test_tokens, test_target, "test")
    if train_tokens.shape[1:] != test_tokens.shape[1:]:
        raise UserError(
            f"training tokens {train_tokens.shape} and test tokens {test_tokens.shape} must be of "
            "the same blocks and width"
        )
    two = len(np.unique(np.concatenate([trained, tested]))) == 2
    if len(np.unique(trained)) < 2 or (two and len(np.unique(tested)) < 2):
        raise UserError("a probe needs at least two values to separate, and found one")
    measure = partial(_fit_and_score, trained=trained, tested=tested, two=two)
    every = range(train_tokens.shape[1])
    # In processes of their own: there NumPy's BLAS is loaded after `use_arithmetic` has asked for
    # instructions, and last bits do not depend on who started this process.
    with warnings.catch_warnings():
        # A worker that has grown is renewed, and its work done by the next: no news for a page.
        warnings.filterwarnings("ignore", message="A worker stopped while", category=UserWarning)
        scores = joblib.Parallel(n_jobs=-1)(
            joblib.delayed(measure)(train_tokens[:, blocks], test_tokens[:, blocks])
            for blocks in [*([block] for block in every), [*every]]
        )
    table = _table(scores)
    commonest = np.unique(tested, return_counts=True)[1].max() / len(tested)
    table.insert(2, "measure", "ROC AUC" if two else "accuracy")
    table.insert(3, "chance", 0.5 if two else commonest)
    return table


def _fit_and_score(
    train_tokens: NDArray[np.floating[Any]],
    test_tokens: NDArray[np.floating[Any]],
    *,
    trained: NDArray[Any],
    tested: NDArray[Any],
    two: bool,
) -> NDArray[np.float64]:
    """Return the measure of a probe on the blocks given: its estimate, then its replicates."""
    train, test = (h.reshape(len(h), -1) for h in (train_tokens, test_tokens))
    probe, counts = linear_probe(train.shape[1]).fit(train, trained), resample_images(tested)
    if two:
        return resampled_roc_auc(tested == probe.classes_[1], probe.decision_function(test), counts)
    right = np.asarray(probe.predict(test) == tested, dtype=np.int32)
    return np.asarray((counts @ right) / len(tested))


def _table(scores: list[NDArray[np.float64]]) -> pd.DataFrame:
    """Return scores and gains of every block and of all, from their estimates and replicates."""
    last, blocks = scores[-2], range(1, len(scores))
    table = pd.DataFrame(
        image_interval(own).row("score") | image_interval(own - last).columns("gain")
        for own in scores
    )
    names = [*(f"block {number}" for number in blocks), "all blocks"]
    table.insert(0, "tokens", pd.Series(names, dtype="str"))
    table.insert(1, "block", pd.Series([*blocks, pd.NA], dtype="Int64"))
    return table


def _targets(tokens: NDArray[Any], target: ArrayLike, what: str) -> NDArray[Any]:
    """Return the targets of images, shape (images,), or raise the UserError that they are none."""
    targets = np.asarray(target)
    if tokens.ndim != 3 or targets.shape != tokens.shape[:1] or len(targets) == 0:
        raise UserError(
            f"{what} tokens {tokens.shape} must have shape (images, blocks, width), not empty, and "
            f"{what} targets {targets.shape} one value an image"
        )
    if pd.isna(targets).any():
        raise UserError(f"{int(pd.isna(targets).sum())} {what} images have no value to be probed")
    return targets
