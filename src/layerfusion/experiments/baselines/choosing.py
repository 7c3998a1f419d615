"""One rule for all baselines: settings are chosen on training images, held out by source.

Each baseline has the same number of tries. A try learns from half of the sources and scores the
other half, then the other way round; the greater mean ROC AUC wins, of equal ones the first. No
validation image is looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from layerfusion.experiments.baselines.baseline import Baseline, Labels, Settings
from layerfusion.experiments.baselines.features import Features
from layerfusion.metrics.held_out import Split, fewest_groups, folds

FOLDS = 2  # of sources; the paper's constrained run has two sources of photographs
SEED = 0  # of tries


@dataclass(frozen=True)
class Choice:
    """What was chosen for a baseline, and how the tries did.

    Attributes
    ----------
    settings
        Of its `Baseline.tries`.
    roc_auc
        Of each try, on sources held out, in their order; empty where there was but one.
    """

    settings: Settings
    roc_auc: tuple[float, ...] = ()


def choose(baseline: Baseline, features: Features, labels: Labels, groups: NDArray[Any]) -> Choice:
    """Return the settings that do best on training sources that a fit has not seen.

    Parameters
    ----------
    groups
        The source of each view, shape (n,), one class each. Where a class has one source, views are
        divided by their image instead, which `source_groups` sees to.
    """
    if len(baseline.tries) == 1:
        return Choice(baseline.tries[0])
    splits = list(folds(labels, groups, most=FOLDS, seed=SEED))
    found = [_held_out_auc(baseline, one, features, labels, splits) for one in baseline.tries]
    return Choice(baseline.tries[int(np.argmax(found))], tuple(found))


def source_groups(
    names: NDArray[np.str_], images: NDArray[np.int64], labels: Labels
) -> NDArray[Any]:
    """Return what is held out together, of each view: its source, or its image.

    Parameters
    ----------
    names
        The source of each view, shape (n,), as `layerfusion.metrics.held_out.source_names` has it.
    images
        The number of its image, shape (n,): views of one image are never parted.
    """
    return names if fewest_groups(labels, names) >= FOLDS else images


def _held_out_auc(
    baseline: Baseline,
    settings: Settings,
    features: Features,
    labels: Labels,
    splits: Sequence[Split],
) -> float:
    """Return the mean ROC AUC of a try over the parts that its fits have not seen."""
    found = []
    for learned, left in splits:
        fitted = baseline.fit(features[learned], labels[learned], SEED, **settings)
        found.append(roc_auc_score(labels[left], fitted.score(features[left])))
    return float(np.mean(found))
