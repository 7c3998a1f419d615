"""ROC AUC by where images come from and how they look, from a study's predictions alone.

One number over all images hides the source that a detector fails on, and whether it tells
photographs from generated images or photographs from drawings. Here every source is taken by
itself, and generated images by their style, each held against all images of the other class.

All numbers are means over seeds, with the interval of `layerfusion.metrics.uncertainty`'s
`seed_interval`, over other seeds and other images *of the same sources*: what a source that is not
there would do, none of them knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerfusion.analysis.claims import Values, resamples_of
from layerfusion.data.manifest import CLASSES
from layerfusion.metrics.uncertainty import resampled_roc_auc, seed_interval, with_known_spread
from layerfusion.runs.conditions import CONDITIONS
from layerfusion.settings import Blocks

# Styles of generated images: what each name on a page takes in. ``mixed`` sources hold photographic
# images and illustrations, nobody has said which are which, so they stand alone and are in neither.
STYLES: Mapping[str, tuple[str, ...]] = {
    "photographic": ("photo", "face"),
    "mixed": ("mixed",),
    "illustration": ("art",),
}
EVERY, UNKNOWN = "all", "unknown"

# Of fewer images a source's AUC says too little for it to be called the worst.
FEWEST_IMAGES = 10


@dataclass(frozen=True)
class ScoredImages:
    """The same images as the runs of several seeds score them, and resamples of them.

    Attributes
    ----------
    images
        A row an image: ``label`` (0 or 1), ``source``, ``style``.
    logits
        Shape (seeds, images), float64.
    counts
        Resamples, shape (1 + resamples, images), as `layerfusion.analysis.claims.resamples` draws
        them: those of the claims.
    """

    images: pd.DataFrame
    logits: NDArray[np.float64]
    counts: NDArray[np.int32]

    def auc(self, members: NDArray[np.bool_]) -> Values:
        """Return ROC AUC of some of the images, shape (seeds, 1 + resamples), estimates first.

        It is NaN where they lack a class; its replicates are NaN where they have one image of one.

        Parameters
        ----------
        members
            Which images, shape (images,).
        """
        labels = self.images["label"].to_numpy(dtype=np.int64)[members]
        counts = with_known_spread(labels, self.counts[:, members])
        return np.stack([resampled_roc_auc(labels, own[members], counts) for own in self.logits])


def scored_images(
    predictions: pd.DataFrame, run: str, *, blocks: Blocks = "all", on: str = "local"
) -> ScoredImages:
    """Take the images of a condition out of a study's predictions.

    Parameters
    ----------
    predictions
        As `layerfusion.studies.predictions.read_predictions` returns them.
    run
        ``constrained`` or ``open``.
    blocks
        The head's: ``all``, or an ablation.
    on
        A condition of which the table has rows of its own; ``small`` has none.

    Raises
    ------
    LookupError
        If there are no such predictions, from two seeds at least, or the images have no labels.
    """
    chosen = predictions[
        (predictions["run"] == run)
        & (predictions["blocks"] == blocks)
        & (predictions["condition"] == on)
    ]
    seeds = [rows.reset_index(drop=True) for _, rows in chosen.groupby("seed")]
    if len(seeds) < 2:
        raise LookupError(f"two seeds of the {run} run, {blocks} blocks, were not scored on '{on}'")
    images, split = seeds[0][["label", "source", "style"]], CONDITIONS[on].split
    counts = resamples_of({split: images["label"]})
    if split not in counts:
        raise LookupError(f"the images of '{on}' have no labels")
    logits = np.stack([rows["logit"].to_numpy(dtype=np.float64) for rows in seeds])
    return ScoredImages(images, logits, counts[split])


def source_table(scored: ScoredImages) -> pd.DataFrame:
    """Hold each source's images of a class against all images of the other class.

    Returns
    -------
    DataFrame
        A row a class and source, the worst source of each class first: ``class`` (real or
        synthetic), ``source``, ``images`` (of it), ``estimate``, ``low`` and ``high`` of ROC AUC in
        [0, 1], ``seeds``.
    """
    rows = [
        {"class": CLASSES[label], "source": source, "images": int(own.sum())}
        | _interval(scored.auc(own | _of_class(scored, 1 - label)))
        for label, source, own in _sources(scored)
    ]
    table = pd.DataFrame(rows).sort_values(["class", "estimate"], ascending=[False, True])
    return table.reset_index(drop=True)


def worst_sources(scored: ScoredImages) -> pd.DataFrame:
    """Return the lowest ROC AUC that a source of each class has, and of which source it is.

    Each seed has a lowest of its own, and so has every resample of the images, whichever source it
    is of. The lowest of several uncertain numbers lies too low, in the resamples lower still than
    in the images themselves: read it as what to expect at worst, not as the value of one source.

    Returns
    -------
    DataFrame
        A row a class: ``class``, ``source`` (the lowest on average over seeds), ``sources`` (how
        many with `FEWEST_IMAGES` images or more there are to choose from), then as in
        `source_table`. No row of a class without such a source.
    """
    rows = []
    for label, name in CLASSES.items():
        values = {
            source: scored.auc(own | _of_class(scored, 1 - label))
            for of, source, own in _sources(scored)
            if of == label and own.sum() >= FEWEST_IMAGES
        }
        if values:
            worst = min(values, key=lambda source: float(values[source][:, 0].mean()))
            lowest = np.fmin.reduce(list(values.values()))
            row = {"class": name, "source": worst, "sources": len(values)}
            rows.append(row | _interval(lowest))
    return pd.DataFrame(rows)


def style_table(scored: ScoredImages) -> pd.DataFrame:
    """Hold generated images of each style against all real images.

    Returns
    -------
    DataFrame
        A row a group of `STYLES` that there is, ``all`` before and ``unknown`` (style not said)
        after them: ``style``, ``images`` (generated ones), ``share`` of the generated images, then
        ``estimate``, ``low`` and ``high`` of ROC AUC in [0, 1], ``seeds``. The AUC of ``all`` is
        the mean of the others', weighted by their shares.
    """
    synthetic, rows = _of_class(scored, 1), []
    for style, own in _styles(scored).items():
        values = scored.auc(own | ~synthetic)
        images = int(own.sum())
        rows.append(
            {"style": style, "images": images, "share": images / synthetic.sum()}
            | _interval(values)
        )
    return pd.DataFrame(rows)


def style_gaps(scored: ScoredImages) -> pd.DataFrame:
    """Say how much of the AUC is that generated images are drawings.

    Returns
    -------
    DataFrame
        A row a difference of ROC AUC to that of photographic images, of ``all`` (what the other
        styles add to the number over all images) and of ``illustration``, where there are such:
        ``minuend``, then ``estimate``, ``low``, ``high`` (in [-1, 1], paired over images) and
        ``seeds``.
    """
    groups, synthetic = _styles(scored), _of_class(scored, 1)
    values = {style: scored.auc(own | ~synthetic) for style, own in groups.items()}
    if "photographic" not in values:
        return pd.DataFrame(columns=["minuend", "estimate", "low", "high", "seeds"])
    return pd.DataFrame(
        [
            {"minuend": style} | _interval(values[style] - values["photographic"])
            for style in (EVERY, "illustration")
            if style in values
        ]
    )


def _of_class(scored: ScoredImages, label: int) -> NDArray[np.bool_]:
    return (scored.images["label"] == label).to_numpy(dtype=bool)


def _sources(scored: ScoredImages) -> list[tuple[int, str, NDArray[np.bool_]]]:
    """Return label, name and images of every source; one with both classes is two of them."""
    names = scored.images["source"].fillna(UNKNOWN)
    return [
        (label, name, own)
        for label in CLASSES
        for name in sorted(names.unique())
        if (own := _of_class(scored, label) & (names == name).to_numpy(dtype=bool)).any()
    ]


def _styles(scored: ScoredImages) -> dict[str, NDArray[np.bool_]]:
    """Return the generated images of each group of styles that has any."""
    synthetic, style = _of_class(scored, 1), scored.images["style"]
    groups = {EVERY: synthetic} | {
        name: synthetic & style.isin(styles).to_numpy(dtype=bool) for name, styles in STYLES.items()
    }
    named = [one for styles in STYLES.values() for one in styles]
    groups[UNKNOWN] = synthetic & ~style.isin(named).to_numpy(dtype=bool)
    return {name: own for name, own in groups.items() if own.any()}


def _interval(values: Values) -> dict[str, float]:
    """Return mean over seeds and interval of values of shape (seeds, 1 + resamples)."""
    found = seed_interval(values)
    return {
        "estimate": found.estimate,
        "low": found.low,
        "high": found.high,
        "seeds": found.seeds,
    }
