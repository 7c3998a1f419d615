"""What the open run sees more of, and which predictions flip from the constrained run to it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.groups import UNKNOWN, by_group
from layerfusion.metrics.probability import threshold_logit
from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.uncertainty import image_interval

NONE = "none"  # the generator of a photograph, the platform of an image that was not shared

# From the constrained run to the open one, by (correct there, correct here).
FLIPS = {
    (True, True): "correct in both",
    (False, True): "corrected",
    (True, False): "regressed",
    (False, False): "wrong in both",
}


def added_images(training: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Count the training images that the open run has and the constrained run has not.

    Parameters
    ----------
    training
        By run: a row a training image, ``path``, ``label``, ``source``, ``generator`` and
        ``platform``.

    Returns
    -------
    DataFrame
        Columns ``source``, ``class``, ``generator``, ``platform`` (text; `NONE` of what an image
        has not) and ``images`` (int), the classes in their order.
    """
    rows = training["open"]
    rows = rows[~rows["path"].isin(training["constrained"]["path"])]
    columns = ["source", "class", "generator", "platform"]
    return (
        _named(rows)[columns].value_counts(sort=False).sort_index().rename("images").reset_index()
    )


def flips(scored: Mapping[str, ScoredImages]) -> pd.DataFrame:
    """Compare both runs' predictions of each image, at each run's own threshold.

    Parameters
    ----------
    scored
        The same images by run, of one seed, with ``image_id``, ``generator`` and ``platform``.

    Returns
    -------
    DataFrame
        A row an image, in the runs' order: ``image_id``; ``class``, ``generator`` and ``platform``
        (text); ``flip``, of `FLIPS`; ``change_of_margin``, by how much further its logit lies on
        the correct side of the threshold in the open run than in the constrained one.
    """
    margin = {}
    for run, own in scored.items():
        sign = np.where(own.label == 1, 1.0, -1.0)
        margin[run] = sign * (own.logits[0] - threshold_logit(own.thresholds[0]))
    correct = zip(*(~scored[run].wrong[0] for run in ("constrained", "open")), strict=True)
    found = _named(scored["open"].images)[["image_id", "class", "generator", "platform"]]
    return found.reset_index(drop=True).assign(
        flip=[FLIPS[bool(before), bool(after)] for before, after in correct],
        change_of_margin=margin["open"] - margin["constrained"],
    )


def count_flips(scored: Mapping[str, ScoredImages], by: Sequence[str] = ()) -> pd.DataFrame:
    """Count the predictions that flip, for each class and what else is asked for.

    Parameters
    ----------
    scored
        As in `flips`.
    by
        Columns of `flips` that divide the classes further, such as ``platform``.

    Returns
    -------
    DataFrame
        ``class`` and `by`; ``images``; a count for each of `FLIPS`; ``net``, the share that was
        corrected less the share that regressed, in [-1, 1], with ``low`` and ``high`` over
        other images (both runs on the same resamples; NaN where no resample has such an image).
    """
    images, counts = flips(scored), scored["open"].counts
    change = images["flip"].map({"corrected": 1, "regressed": -1}).fillna(0).to_numpy(dtype=int)

    def measure(own: NDArray[np.bool_]) -> dict[str, float]:
        drawn = counts[:, own]
        with np.errstate(invalid="ignore"):  # a resample may lack a small group
            net = image_interval((drawn @ change[own]) / drawn.sum(axis=1))
        numbers = images.loc[own, "flip"].value_counts()
        return {flip: int(numbers.get(flip, 0)) for flip in FLIPS.values()} | net.row("net")

    return by_group(images, ["class", *by], measure)


def correlation(scored: Mapping[str, ScoredImages]) -> float:
    """Return how alike two runs' predictions are: their correlation, in [-1, 1].

    The mean over seeds and both classes; NaN if a run predicts all images of a class alike.
    """
    one, two = scored["constrained"], scored["open"]
    with np.errstate(invalid="ignore"):
        found = [
            np.corrcoef(here[one.label == kind], there[one.label == kind])[0, 1]
            for here, there in zip(one.predicted, two.predicted, strict=True)
            for kind in CLASSES
        ]
    return float(np.mean(found))


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """Fill in what is missing: a photograph has no generator, a synthetic image's is unknown."""
    rows = rows.assign(**{"class": rows["label"].map(CLASSES)})
    generator = rows["generator"].astype(object)
    of_photographs = (rows["class"] == CLASSES[0]) & generator.isna()
    generator = generator.mask(of_photographs, NONE).fillna(UNKNOWN)
    return rows.assign(generator=generator, platform=rows["platform"].astype(object).fillna(NONE))
