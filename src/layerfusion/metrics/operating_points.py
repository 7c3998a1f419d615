"""Where on its ROC curve a run works: recall against false positives, at its threshold and others.

The paper finds that broader training data "helps most through recall" (section 5). A recall can
rise for two reasons: the scores separate the classes better, or the threshold lets more images
through, photographs too. The two are told apart here, by reading one run at the false-positive rate
of the other.
"""

from collections.abc import Mapping

import pandas as pd

from layerfusion.metrics.scored import ScoredImages
from layerfusion.metrics.uncertainty import image_interval, resampled_recall_at


def recall_gain(scored: Mapping[str, ScoredImages]) -> pd.DataFrame:
    """Split the open run's gain in recall into what its scores and what its threshold bring.

    Let R be a run's recall and F its false-positive rate at its own threshold, and R(f) its recall
    where its false-positive rate is f. Then

        R_open - R_constr. = [R_open(F_constr.) - R_constr.] + [R_open - R_open(F_constr.)]

    and the first bracket is the better separation, the second the more permissive threshold.

    Parameters
    ----------
    scored
        The same images by run, of one seed.

    Returns
    -------
    DataFrame
        A row for each term of this equation and for the change of F: ``part`` (text),
        ``estimate``, ``low`` and ``high`` over other images.
    """
    recall = {run: own.rates["recall"][0] for run, own in scored.items()}
    fpr = {run: own.rates["fpr"][0] for run, own in scored.items()}
    own = scored["open"]
    at_equal = resampled_recall_at(own.label, own.logits[0], fpr["constrained"], own.counts)
    parts = {
        "recall, open minus constrained": recall["open"] - recall["constrained"],
        "of this, by better scores": at_equal - recall["constrained"],
        "of this, by a more permissive threshold": recall["open"] - at_equal,
        "false-positive rate, open minus constrained": fpr["open"] - fpr["constrained"],
    }
    rows = [{"part": part} | image_interval(values).row() for part, values in parts.items()]
    return pd.DataFrame(rows)
